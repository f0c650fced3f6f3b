"""The status of a user by the rules of docs/zim.md, written a second time and without the product's code.

A late event is applied by going through all events of its client again.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

Row = Mapping[str, Any]
"""An event by the columns of its table."""
_STATUS: Final = {"CONNECTED": "online", "RECONNECTING": "offline", "DISCONNECTED": "not_logged_in"}
_FOR_GOOD: Final = {"KICKED_OUT", "TOKEN_EXPIRED", "UNREGISTERED"}


class Client:
    """One client. ``status`` is that after all events that were added, in whatever order."""

    def __init__(self) -> None:
        self._events: list[tuple[int, bytes, int, Row]] = []
        self._begin()

    def _begin(self) -> None:
        self.status = "not_logged_in"
        self._session: Any = None
        self._calls_login = self._over = self._logged_out = False
        self._over_session: Any = None

    def add(self, event: Row) -> None:
        """One more event."""
        new = (event["seq"], event["id"], event["position"], event)
        if not self._events or self._events[-1][:3] < new[:3]:
            self._events.append(new)
            self._step(event)
            return
        insort(self._events, new, key=lambda one: one[:3])
        self._begin()
        for *_, one in self._events:
            self._step(one)

    def _step(self, event: Row) -> None:
        session = event["session_id"]
        if session not in {None, self._session}:
            self._session, self._logged_out = session, False
        if event["type"] == "login":
            self._calls_login, self._over, self._logged_out = True, False, False
        elif event["type"] == "logout":
            self.status, self._logged_out = "not_logged_in", True
        elif event["type"] == "connection_state_changed":
            new = _STATUS.get(event["connection_state"])
            if new is None:
                return
            if new == "not_logged_in":
                self.status = new
                if event["connection_event"] in _FOR_GOOD:
                    self._over, self._over_session = True, session
                return
            if self._over and self._calls_login and session in {None, self._over_session}:
                return  # an SDK with an expired token says CONNECTED after the end
            if self._logged_out and new == "offline":
                return
            self.status, self._over, self._logged_out = new, False, False


class User:
    """The clients of one user."""

    def __init__(self) -> None:
        self.clients: dict[bytes, Client] = defaultdict(Client)

    def add(self, event: Row) -> None:
        """One more event of one of them."""
        self.clients[event["client_id"]].add(event)

    @property
    def status(self) -> str:
        """Of the user."""
        return of_clients(client.status for client in self.clients.values())


def of_clients(statuses: Iterable[str]) -> str:
    """The status of a user whose clients have these."""
    found = set(statuses)
    return next((one for one in ("online", "offline") if one in found), "not_logged_in")
