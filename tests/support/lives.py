"""Lives of users for tests of findings: clients that tell a story in seconds after the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sidecar.domain import findings
from sidecar.domain.events import Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone


class Device(Phone):
    """A client on a device of its own; each of its acts is a list of events."""

    def __init__(self, user_id: str = "carol", name: str = "phone", **known: Any) -> None:
        super().__init__(user_id, name)
        self.known = {"platform": "Android", "device_id": name} | known

    def event(self, event_type: str, at: float, **fields: Any) -> Event:
        """The next event, with what is known of the device."""
        return super().event(event_type, at, **self.known | fields)

    def logs_in(self, at: float, **fields: Any) -> list[Event]:
        """A login that succeeds after 0.3 s."""
        return [self.login(at, **fields), self.says("CONNECTED", "SUCCESS", at + 0.3), self.result(at + 0.3)]

    def result(self, at: float, code: int = 0) -> Event:
        """The result of login."""
        return self.event("login_result", at, details={"code": code, "message": ""})

    def fails(self, at: float, code: Any = 6_000_121, method: str | None = "sendMessage", message: str = "") -> Event:
        """A call that the SDK refuses."""
        return self.event("api_error", at, details={"method": method, "code": code, "message": message})

    def kicked(self, at: float) -> Event:
        """A login elsewhere ends that of this device."""
        return self.says("DISCONNECTED", "KICKED_OUT", at)

    def expires(self, at: float) -> Event:
        """The token ends."""
        return self.says("DISCONNECTED", "TOKEN_EXPIRED", at)

    def warned(self, at: float, second: int = 30) -> Event:
        """The SDK warns of the end of the token."""
        return self.event("token_will_expire", at, details={"second": second})

    def renews(self, at: float, code: int = 0) -> Event:
        """The result of renewToken."""
        return self.event("token_renewed", at, details={"code": code, "token_expires_at_us": None})


def life(at: float, events: Iterable[Event], user_id: str = "carol") -> Life:
    """The life so many seconds after the beginning."""
    return Life.of(BEGIN_US + round(at * SECOND_US), user_id, events)


def found(at: float, events: Iterable[Event], user_id: str = "carol") -> list[Finding]:
    """All findings at that moment."""
    return findings.find(life(at, events, user_id))


def one(at: float, events: Iterable[Event], kind: str) -> Finding:
    """The finding of this kind."""
    (finding,) = [each for each in found(at, events) if each.kind == kind]
    return finding


def advice(finding: Finding) -> str:
    """What to change in the app."""
    return " ".join(str(one) for one in finding.advice)


def ids(*events: Event) -> tuple[bytes, ...]:
    """Their ids."""
    return tuple(event.id for event in events)
