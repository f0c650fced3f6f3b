"""Makes events for tests: short to write, complete for the store."""

from __future__ import annotations

import uuid
from random import Random
from string import ascii_letters, digits
from typing import Any

from sidecar.domain.events import CONNECTION_STATE_CHANGED, Event
from sidecar.domain.moment import moment_us
from sidecar.domain.units import SECOND_US

APP_ID = 1234567890
# 2026-11-23T14:00:00Z: where the tests' time begins.
BEGIN_US = 1_795_442_400 * SECOND_US


def made_id(name: str) -> bytes:
    """A UUID's bytes, the same for the same name."""
    return uuid.uuid5(uuid.NAMESPACE_OID, name).bytes


def incompressible(length: int) -> str:
    """Text of so many bytes, which PostgreSQL cannot compress into an index."""
    return "".join(Random(length).choices(ascii_letters + digits, k=length))  # noqa: S311 - the same every time


class Phone:
    """One SDK instance of one user: each call is the next event it would report, ``at`` seconds after the beginning."""

    def __init__(self, user_id: str | None, name: str = "phone", app_id: int = APP_ID) -> None:
        self.user_id = user_id
        self.name = f"{user_id}/{name}"
        self.app_id = app_id
        self.client_id = made_id(self.name)
        self.session_id: bytes | None = None
        self.seq = 0

    def event(self, event_type: str, at: float, **fields: Any) -> Event:
        """The next event of the given type."""
        self.seq += 1
        occurred = BEGIN_US + int(at * SECOND_US)
        given: dict[str, Any] = {
            "id": made_id(f"{self.name}/{self.seq}"),
            "type": event_type,
            "occurred_at_us": occurred,
            "received_at_us": occurred,
            "client_id": self.client_id,
            "seq": self.seq,
            "app_id": self.app_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
            "platform": "Web",
        }
        fields_of_event = given | fields
        fields_of_event.setdefault(
            "moment_us", moment_us(fields_of_event["occurred_at_us"], fields_of_event["received_at_us"])
        )
        return Event(**fields_of_event)

    def login(self, at: float, *, token_expires_at_us: int | None = None) -> Event:
        """A call of login: it begins a session."""
        self.session_id = made_id(f"{self.name}/session/{self.seq}")
        details = {"offline_login": False, "token_expires_at_us": token_expires_at_us}
        return self.event("login", at, details=details)

    def says(self, state: str, event: str, at: float, extended_data: str = "", **fields: Any) -> Event:
        """A callback of onConnectionStateChanged."""
        return self.event(
            CONNECTION_STATE_CHANGED,
            at,
            connection_state=state,
            connection_event=event,
            extended_data=extended_data,
            **fields,
        )
