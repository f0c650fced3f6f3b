"""The clients that send heartbeats, in memory: when each was last stored, and how many there are.

There are two generations: once all live clients must have been stored again, the young one becomes the old one, which
is dropped. A client that is not found here is only treated with more care (:mod:`sidecar.store.heartbeats`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.domain.units import MS_US, SECOND_US

# About 130 bytes each. Of more clients only the newest are known, and no longer interval is given.
CLIENTS_MOST: Final = 1_000_000
# A generation lasts for so much of the longest interval given in it: a heartbeat may be late.
_GENERATION: Final = 1.25
# A client is one integer, as a hundred thousand are held: when it was stored, in ms, above its interval in seconds.
_INTERVAL_BITS: Final = 20
_INTERVAL: Final = (1 << _INTERVAL_BITS) - 1


class LiveClients:
    """By the hash of a client. ``*_us`` is the steady clock. ``expected``: how many there were before a restart."""

    def __init__(self, now_us: int, after_s: int) -> None:
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._begun_us = now_us
        self._longest_s = after_s
        self.expected = 0

    def expect(self, clients: int, after_s: int) -> None:
        """So many were live before a restart, and may have been given this interval."""
        self.expected = clients
        self._longest_s = max(self._longest_s, after_s)

    @property
    def count(self) -> int:
        """How many clients are live: those of about the last two intervals."""
        return max(self.expected, self.known)

    @property
    def known(self) -> int:
        """How many of them were stored since the start."""
        return len(self._young) + len(self._old)

    def put(self, client: int, stored_us: int, after_s: int) -> None:
        """A client's sign of life at that moment is stored, with the interval that it was given."""
        if len(self._young) >= CLIENTS_MOST // 2:
            self.turn(stored_us, after_s)
        self._old.pop(client, None)
        self._young[client] = stored_us // MS_US << _INTERVAL_BITS | after_s
        self._longest_s = max(self._longest_s, after_s)

    def renew(self, client: int, stored_us: int) -> None:
        """The same for a client that keeps its interval."""
        self.put(client, stored_us, self._find(client) & _INTERVAL)

    def forget(self, clients: Iterable[int]) -> None:
        """These are live no more."""
        for client in clients:
            self._young.pop(client, None)
            self._old.pop(client, None)

    def was_stored_since(self, client: int, since_us: int, after_s: int) -> bool:
        """Whether the client's last sign of life that is stored is not older, and its interval is this one."""
        found = self._find(client)
        return found & _INTERVAL == after_s and found >> _INTERVAL_BITS >= since_us // MS_US

    def is_due(self, now_us: int) -> bool:
        """Whether :meth:`turn` is due."""
        return now_us - self._begun_us >= _GENERATION * self._longest_s * SECOND_US

    def turn(self, now_us: int, after_s: int) -> None:
        """Drops the old generation; ``after_s`` is the interval that is given now."""
        self.expected = 0
        self._old, self._young = self._young, {}
        self._begun_us = now_us
        self._longest_s = max(self._longest_s, after_s) if self._old else after_s

    def _find(self, client: int) -> int:
        return self._young.get(client) or self._old.get(client, 0)
