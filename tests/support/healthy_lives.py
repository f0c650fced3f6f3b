"""A strategy that makes lives of users with whom nothing is wrong."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from sidecar.domain.events import Event
from tests.support.lives import Device


class _Client:
    """One device that logs in, and what may happen to it until it logs out."""

    def __init__(self, device: Device, at: float, *, reports_login: bool) -> None:
        self.device = device
        self.at = at
        self.reports_login = reports_login
        self.events: list[Event] = []

    def log_in(self) -> None:
        """The app logs in."""
        if self.reports_login:
            self.events += self.device.logs_in(self.at)
        else:
            self.events.append(self.device.says("CONNECTING", "ACTIVE_LOGIN", self.at))
            self.events.append(self.device.says("CONNECTED", "SUCCESS", self.at + 0.5))

    def lose(self, for_s: float, retries: int) -> None:
        """The connection drops and returns; the SDK reports each retry."""
        for retry in range(retries):
            self.events.append(self.device.says("RECONNECTING", "LOGIN_INTERRUPTED", self.at + for_s * retry / retries))
        self.events.append(self.device.says("CONNECTED", "SUCCESS", self.at + for_s))

    def renew(self, after_s: float) -> None:
        """The SDK warns, and the app renews the token."""
        self.events += [self.device.warned(self.at), self.device.renews(self.at + after_s)]

    def log_out(self, *, is_called: bool) -> None:
        """The user logs out."""
        if is_called and self.reports_login:
            self.events.append(self.device.event("logout", self.at))
        self.events.append(self.device.says("DISCONNECTED", "SUCCESS", self.at))


@st.composite
def _healthy(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = []
    for number in range(draw(st.integers(1, 3))):
        device = Device(name=f"device {number}")
        client = _Client(device, draw(st.floats(0, 5_000)), reports_login=draw(st.booleans()))
        for _ in range(draw(st.integers(1, 3))):
            client.log_in()
            for what in draw(st.lists(st.sampled_from(["lose", "renew", "stay"]), max_size=3)):
                # Outages of a healthy life are an hour apart.
                client.at += 3_600 + draw(st.floats(0, 600))
                if what == "lose":
                    client.lose(draw(st.floats(1, 25)), draw(st.integers(1, 4)))
                elif what == "renew":
                    client.renew(draw(st.floats(0.1, 25)))
            client.at += draw(st.floats(100, 4_000))
            if draw(st.booleans()):
                break
            client.log_out(is_called=draw(st.booleans()))
            client.at += draw(st.floats(1, 10_000))
        events += client.events
    return events


HEALTHY: Final = _healthy()
