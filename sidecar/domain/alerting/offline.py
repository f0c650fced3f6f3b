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

    The line is a list for each second of when they went offline, which is put in order when its time has come: a heap
    would take an entry of its own for each user.
    """

    def __init__(self) -> None:
        # Since when. With a minus: and it does not stand in the line. None: it is not offline, and still stands in it.
        self._since: dict[UserId, int | None] = {}
        self._line: dict[int, list[UserId]] = {}
        self._seconds: list[int] = []

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
        found: list[tuple[UserId, int]] = []
        while self._seconds and self._seconds[0] * _SECOND_US <= until_us and len(found) < most:
            line = self._line[self._seconds[0]]
            line.sort(key=self._place, reverse=True)
            while line and len(found) < most:
                since_us = self._since[line[-1]]
                if since_us is None:
                    del self._since[line.pop()]
                elif since_us <= until_us:
                    found.append((line.pop(), since_us))
                    self._since[found[-1][0]] = -since_us
                elif since_us // _SECOND_US > self._seconds[0]:
                    # It was online in between, and is to be looked at later.
                    self._stand(line.pop(), since_us)
                else:
                    return found
            if not line:
                del self._line[heapq.heappop(self._seconds)]
        return found

    @property
    def next_us(self) -> int | None:
        """Nobody is to be taken before this; None while nobody stands in the line."""
        if not self._seconds:
            return None
        begin_us = self._seconds[0] * _SECOND_US
        return max(begin_us, min(self._since[who] or 0 for who in self._line[self._seconds[0]]))

    def _stand(self, who: UserId, since_us: int) -> None:
        second = since_us // _SECOND_US
        line = self._line.get(second)
        if line is None:
            self._line[second] = [who]
            heapq.heappush(self._seconds, second)
        else:
            line.append(who)

    def _place(self, who: UserId) -> tuple[int, UserId]:
        return self._since[who] or 0, who
