"""From the notifications that are due to the messages that are sent: one by one, or many as one digest.

Pure: a receiver gets few messages whatever happens, and nothing is left out of them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec

_MINUTE_US = 60_000_000
# A first notification waits this long for a storm to show, which then speaks for it.
SETTLE_US = 1_000_000


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One notification that has not become a message yet. ``group`` is what it shares with its company.

    ``answers`` is the message that told of the firing, where this comes after one; ``digest``: that was a digest.
    ``founded``: it is no end of something that was never told. ``fires``, ``held`` and ``acknowledged`` tell how its
    alert stands.
    """

    id: int
    alert_id: int
    what: str  # firing | resolved | acknowledged | repeat
    group: str
    due_us: int
    answers: int | None = None
    digest: bool = False
    founded: bool = True
    fires: bool = True
    held: str | None = None
    acknowledged: bool = False


class Planned(msgspec.Struct, frozen=True):
    """The notifications that one message tells of. ``answers``: the digest whose end it tells."""

    what: str
    notifications: tuple[Waiting, ...]
    answers: int | None = None

    @property
    def is_digest(self) -> bool:
        """Whether it tells of many at once."""
        return self.answers is not None or len({one.alert_id for one in self.notifications}) > 1


class Budget:
    """How many messages may go in a minute."""

    def __init__(self, most_per_minute: int) -> None:
        self._most = most_per_minute
        self._sent: deque[int] = deque()

    def left(self, now_us: int) -> int:
        """How many may go now."""
        while self._sent and self._sent[0] <= now_us - _MINUTE_US:
            self._sent.popleft()
        return self._most - len(self._sent)

    def spend(self, count: int, now_us: int) -> None:
        """So many go now."""
        self._sent.extend([now_us] * count)


class Grouping:
    """One receiver's messages. ``alone``: how many of a group are told one by one within an interval."""

    def __init__(self, *, alone: int, interval_us: int, own: Budget, overall: Budget) -> None:
        self._alone = alone
        self._interval_us = interval_us
        self._own = own
        self._overall = overall
        self._told: dict[str, deque[int]] = defaultdict(deque)

    def plan(self, waiting: Sequence[Waiting], ended: frozenset[int], now_us: int) -> list[Planned]:
        """The messages to send now; what is in none of them waits on. ``ended``: digests all of which is over."""
        groups: dict[str, list[Waiting]] = defaultdict(list)
        digests: dict[int, list[Waiting]] = defaultdict(list)
        answers: list[Planned] = []
        for one in waiting:
            if one.what in {"firing", "repeat"}:
                groups[f"{one.what} {one.group}"].append(one)
            elif one.digest and one.answers is not None:
                if one.what == "resolved" and one.answers in ended:
                    digests[one.answers].append(one)
            else:
                answers.append(Planned(one.what, (one,)))
        answers += [Planned("resolved", tuple(own), digest) for digest, own in digests.items()]
        planned = [one for group, own in groups.items() for one in self._of_group(group, own, now_us)]
        return self._within_budget(planned, answers, now_us)

    def _of_group(self, group: str, own: list[Waiting], now_us: int) -> list[Planned]:
        told = self._told.get(group, deque())
        while told and told[0] <= now_us - self._interval_us:
            told.popleft()
        if not told:
            self._told.pop(group, None)
        if len(own) <= self._alone - len(told):
            return [Planned(one.what, (one,)) for one in own]
        if now_us < min(one.due_us for one in own) + self._interval_us:
            return []
        return [Planned(own[0].what, tuple(own))]

    def _within_budget(self, planned: list[Planned], answers: list[Planned], now_us: int) -> list[Planned]:
        """Answers go first: they close what was told. What does not fit is told as one, or waits for a minute."""
        left = min(self._own.left(now_us), self._overall.left(now_us))
        going = answers[: max(0, left)]
        left -= len(going)
        if len(planned) > left:
            everything = tuple(one for each in planned for one in each.notifications)
            planned = [Planned("firing", everything)] if left > 0 and everything else []
        for one in planned:
            if len(one.notifications) == 1:
                each = one.notifications[0]
                self._told[f"{each.what} {each.group}"].append(now_us)
        going += planned
        self._own.spend(len(going), now_us)
        self._overall.spend(len(going), now_us)
        return going
