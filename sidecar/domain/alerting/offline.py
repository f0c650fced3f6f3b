"""Who is offline and does not fire for it, and when to look at each: 0.2 KB a user, because there may be very many."""

from __future__ import annotations

import heapq
from typing import Final

from sidecar.domain.alerting.book import UserId

_SECOND_US: Final = 1_000_000


class Offline:
    """Each user is in it once, and stands once in the line of those to look at, however often it comes and goes.

    Whoever is offline anew while it still stands in the line keeps its place until then: if it says that this was
    before the first time, because its clock was set back, it is looked at no sooner.

    The line is a list for each second of when they went offline, whose users come to a heap when its time has come: a
    heap of all of them would take an entry of its own for each user.
    """

    def __init__(self) -> None:
        # Since when. With a minus: and it does not stand in the line. None: it is not offline, and still stands in it.
        self._since: dict[UserId, int | None] = {}
        self._line: dict[int, list[UserId]] = {}
        # The seconds as a heap; and no user of a second stood in the line from before this moment.
        self._seconds: list[int] = []
        self._first_us: dict[int, int] = {}
        # Those of the seconds whose time has come, by when they went offline.
        self._front: list[tuple[int, UserId]] = []

    def __contains__(self, who: UserId) -> bool:
        return self._since.get(who) is not None

    def add(self, who: UserId, since_us: int, *, look: bool) -> None:
        """The user is offline since then; ``look``: it is to be looked at when that has been for too long."""
        known = self._since.get(who, -1)
        stands = known is None or known > 0
        self._since[who] = since_us if stands or look else -since_us
        if look and not stands:
            self._stand(who, since_us)

    def remove(self, who: UserId) -> None:
        """The user is not offline any more, or fires for it; KeyError if it is not in it."""
        since_us = self._since[who]
        if since_us is not None and since_us < 0:
            del self._since[who]
        else:
            self._since[who] = None

    def take(self, until_us: int, most: int) -> list[tuple[UserId, int]]:
        """Who has been offline since ``until_us`` or longer, and since when: the longest first, ``most`` at most.

        They leave the line, and are in it further until they are removed.
        """
        while self._seconds and self._first_us[self._seconds[0]] <= until_us:
            self._come(heapq.heappop(self._seconds))
        found: list[tuple[UserId, int]] = []
        while self._front and self._front[0][0] <= until_us and len(found) < most:
            stood_us, who = heapq.heappop(self._front)
            since_us = self._since[who]
            if since_us is None:
                del self._since[who]
            elif since_us != stood_us:
                heapq.heappush(self._front, (since_us, who))  # it was online in between
            else:
                found.append((who, since_us))
                self._since[who] = -since_us
        return found

    @property
    def next_us(self) -> int | None:
        """Nobody is to be taken before this; None while nobody stands in the line."""
        first = [self._first_us[self._seconds[0]]] if self._seconds else []
        return min([*first, *(since_us for since_us, _ in self._front[:1])], default=None)

    def _come(self, second: int) -> None:
        """The time of this second has come."""
        del self._first_us[second]
        for who in self._line.pop(second):
            since_us = self._since[who]
            if since_us is None:
                del self._since[who]
            elif since_us // _SECOND_US > second:
                self._stand(who, since_us)  # it was online in between, and is to be looked at later
            else:
                heapq.heappush(self._front, (since_us, who))

    def _stand(self, who: UserId, since_us: int) -> None:
        second = since_us // _SECOND_US
        line = self._line.get(second)
        if line is None:
            line = self._line[second] = []
            self._first_us[second] = since_us
            heapq.heappush(self._seconds, second)
        line.append(who)
        self._first_us[second] = min(since_us, self._first_us[second])
