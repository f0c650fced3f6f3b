"""Limits the clients that one user may have within a day, which bounds what one user can cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.domain.events import Event
from sidecar.domain.units import DAY_US, MINUTE_US
from sidecar.store.users import client_rows
from sidecar.store.users.generational_cache import GenerationalCache
from sidecar.store.users.working_set import ClientOfUser, User, WorkingSet

CLIENTS_MOST: Final = 10_000
WITHIN_US: Final = DAY_US
COUNTED_EVERY_US: Final = MINUTE_US


class ClientLimit:
    """Refuses new clients of users that were seen from too many."""

    def __init__(self, cached: int) -> None:
        # By user key: how many new clients it may still have, and when they were counted. Time only adds to that: they
        # are counted again at zero, but not for each event that is refused.
        self._left: GenerationalCache[int, tuple[int, int]] = GenerationalCache(cached)

    def refused(self, working: WorkingSet, events: Sequence[Event]) -> set[ClientOfUser]:
        """The clients of loaded ``events`` that are new and exceed the limit of their user."""
        refused: set[ClientOfUser] = set()
        new_ids = {client_id for clients in working.new_clients.values() for client_id in clients}
        left: dict[int, tuple[int, int]] = {}
        for event in events if new_ids else ():
            if event.client_id not in new_ids or event.user_id is None:
                continue
            user = working.loaded[event.app_id, event.user_id]
            key = user.user_key
            new = working.new_clients.get(key)
            if new is None or event.client_id not in new:
                continue
            if key not in left:
                left[key] = self._left_of(working, user, event.received_at_us)
            room, counted_us = left[key]
            if room > 0:
                left[key] = (room - 1, counted_us)
                del new[event.client_id]
            else:
                refused.add((event.app_id, event.user_id, event.client_id))
        for key, counted in left.items():
            self._left.put(key, counted)
        return refused

    def _left_of(self, working: WorkingSet, user: User, now_us: int) -> tuple[int, int]:
        known = self._left.get(user.user_key)
        if known is not None and (known[0] > 0 or 0 <= now_us - known[1] < COUNTED_EVERY_US):
            return known
        return CLIENTS_MOST - _seen_lately(working, user, now_us), now_us


def _seen_lately(working: WorkingSet, user: User, now_us: int) -> int:
    since_us = now_us - WITHIN_US
    in_rows = 0
    if user.stored:
        in_rows = client_rows.count_seen_since(working.connection, user.user_key, since_us, CLIENTS_MOST)
    return in_rows + (0 if user.crowded else sum(one.last_seen_at_us > since_us for one in user.clients.values()))
