"""The heartbeats that an edge passes on: one of each client in an interval, once the centre knows the client.

They are kept in memory alone. What a crash loses the clients' next ones make up for, within a lease of the centre's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US

# Some 1 KB each. Past it the client that was heard first is forgotten, until it is heard again.
CLIENTS_MOST: Final = 100_000
# A client's heartbeat is passed on within this part of the interval.
_PART: Final = 3


class _Client(msgspec.Struct):
    """``waiting``: its newest heartbeat, not passed on yet. ``known_from``: the centre knows it from this position on.

    ``sent_us``: when one was passed on last, by the steady clock.
    """

    seq: int
    waiting: Event | None
    known_from: int | None = None
    sent_us: int | None = None


_Key = tuple[bytes, int, str | None]


class HeartbeatFold:
    """Takes every accepted heartbeat, and gives those that are to be sent. Used in the event loop alone."""

    def __init__(self) -> None:
        self._clients: dict[_Key, _Client] = {}

    def note(self, heartbeats: Sequence[Event]) -> None:
        """One counts if it is newer than its client's last: what comes back through a circle of edges is not."""
        for one in heartbeats:
            key = _key(one)
            client = self._clients.pop(key, None)
            if client is None:
                client = _Client(one.seq, one)
            elif one.seq > client.seq:
                client.seq, client.waiting = one.seq, one
            self._clients[key] = client
        while len(self._clients) > CLIENTS_MOST:
            del self._clients[next(iter(self._clients))]

    def due(self, steady_us: int, *, newest: int, forwarded: int, after_s: int, limit: int) -> list[Event]:
        """Those to send now, up to ``limit``: call it every :func:`look_every_us`.

        ``newest`` is the newest position of the log, ``forwarded`` the last that the centre has: a client's events come
        before its heartbeats. Clients that are not heard any more are forgotten.
        """
        since_us = steady_us - after_s * SECOND_US * (_PART - 1) // _PART
        gone_us = steady_us - 2 * after_s * SECOND_US
        found: list[Event] = []
        gone: list[_Key] = []
        for key, client in self._clients.items():
            if client.known_from is None:
                client.known_from = newest
            if client.waiting is None:
                if client.sent_us is not None and client.sent_us < gone_us:
                    gone.append(key)
            elif client.known_from <= forwarded and (client.sent_us is None or client.sent_us <= since_us):
                found.append(client.waiting)
                if len(found) == limit:
                    break
        for key in gone:
            del self._clients[key]
        return found

    def sent(self, heartbeats: Sequence[Event], steady_us: int) -> None:
        """The centre has these."""
        for one in heartbeats:
            client = self._clients.get(_key(one))
            if client is not None:
                client.sent_us = steady_us
                if client.waiting is one:
                    client.waiting = None


def look_every_us(after_s: int) -> int:
    """How often due ones are to be looked for at this interval."""
    return after_s * SECOND_US // _PART


def _key(heartbeat: Event) -> _Key:
    return heartbeat.client_id, heartbeat.app_id, heartbeat.user_id
