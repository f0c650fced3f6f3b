"""The blocks of clients with recent late events, in memory between transactions."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from sidecar.store.log_positions import Oldest, oldest_of_apps
from sidecar.store.mapping import Client
from sidecar.store.users.client_history import KnownBlocks

# How many blocks and events are kept at least; at most twice as many. Each takes about 0.8 KB.
KEPT: Final = 20_000


class RecentBlocks:
    """Keeps what is known of clients' blocks, as long as no event is deleted from the log.

    There are two generations, as in a :class:`sidecar.store.users.generational_cache.GenerationalCache`, but here what
    a client takes differs.
    """

    def __init__(self) -> None:
        self._young: dict[int, KnownBlocks] = {}
        self._young_size = 0
        self._old: dict[int, KnownBlocks] = {}
        self._oldest: Oldest | None = None

    def __contains__(self, client_key: int) -> bool:
        return client_key in self._young or client_key in self._old

    def begin(self, connection: sa.Connection) -> Oldest:
        """To be called first in each transaction; returns from where on events are in the log."""
        oldest = oldest_of_apps(connection)
        if oldest != self._oldest:
            self._young, self._young_size, self._old = {}, 0, {}
            self._oldest = oldest
        return oldest

    def take(self, client: Client) -> KnownBlocks:
        """What is known of a client's blocks, which is forgotten here: it may come to differ from the tables."""
        known = self._young.pop(client.client_key, None)
        if known is not None:
            self._young_size -= known.size
            return known
        return self._old.pop(client.client_key, None) or KnownBlocks(client)

    def keep(self, known: KnownBlocks) -> None:
        """Keeps them, once they are written, of a client with late events."""
        if not known.events or known.size > KEPT:
            return
        if self._young_size + known.size > KEPT:
            self._old, self._young, self._young_size = self._young, {}, 0
        self._young[known.client_key] = known
        self._young_size += known.size
