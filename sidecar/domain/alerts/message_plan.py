"""Plans the messages of notifications that are due: one each, or a digest of many. Pure.

A receiver gets few messages whatever happens, and every notification is in one. How many it got lately is read from the
messages themselves, so that neither a restart nor a rolled-back transaction changes what may be sent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from sidecar.domain.units import MINUTE_US, SECOND_US

# A first notification waits this long: a storm that opens meanwhile suppresses it.
SETTLE_US = SECOND_US
# The longest pause between two attempts, unless the receiver requests a longer one.
LONGEST_PAUSE_US = 5 * MINUTE_US
# This part of a minute's messages is reserved for firing alerts, however many resolutions wait.
_KEPT_FOR_FIRING = 4
ABOUT_FIRING = frozenset({"firing", "repeat"})


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One notification that has not become a message yet. ``group``: those with the same are sent together.

    ``answers``: the message about the firing, if there was one; ``digest``: whether that was a digest.
    ``firing_delivered``: the firing was delivered, or this is about the firing. ``fires``, ``suppressed_by`` and
    ``acknowledged`` are of its alert.
    """

    id: int
    alert_id: int
    what: str  # firing | resolved | acknowledged | repeat
    group: str
    due_us: int
    answers: int | None
    digest: bool
    firing_delivered: bool
    fires: bool
    suppressed_by: str | None
    acknowledged: bool


class Planned(msgspec.Struct, frozen=True):
    """The notifications of one message. ``answers``: the digest whose end it is."""

    what: str
    notifications: tuple[Waiting, ...]
    answers: int | None = None

    @property
    def is_digest(self) -> bool:
        """Whether it is about many alerts."""
        return self.answers is not None or len({one.alert_id for one in self.notifications}) > 1


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message that limits count. ``group``: that of its single alert; None for a digest.

    ``at_us`` is when it was created, or accepted. ``is_pending``: the receiver has not accepted it yet.
    """

    receiver: str
    what: str
    at_us: int
    is_pending: bool = False
    group: str | None = None

    @property
    def is_end(self) -> bool:
        """Whether it is about the end of something."""
        return self.what not in ABOUT_FIRING


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages may be sent in a minute; ``alone``: how many of a group one by one within ``interval_us``."""

    own: int
    overall: int
    alone: int
    interval_us: int


class Grouping:
    """The messages of one receiver.

    ``lately``: those to every receiver within the last minute and interval, and pending ones.
    """

    def __init__(self, receiver: str, caps: Caps, lately: Sequence[Sent], now_us: int) -> None:
        self._alone = caps.alone
        self._interval_us = caps.interval_us
        self._now_us = now_us
        minute = [one for one in lately if now_us - MINUTE_US < one.at_us <= now_us]
        # Those that a receiver has not accepted come when it is back. Its absence is no limit for others.
        waiting = [one for one in lately if one.is_pending and one not in minute]
        mine = [one for one in (*minute, *waiting) if one.receiver == receiver]
        self._left = min(caps.own - len(mine), caps.overall - len(minute))
        # Resolutions have a lower limit, so that some room is left for firing alerts.
        self._left_for_ends = min(
            _for_ends(caps.own) - sum(one.is_end for one in mine),
            _for_ends(caps.overall) - sum(one.is_end for one in minute),
        )
        within = [one for one in lately if one.receiver == receiver and now_us - caps.interval_us < one.at_us <= now_us]
        self._sent_alone = Counter((one.what, one.group) for one in within if one.group is not None)
        self._sent_digests = {one.what for one in within if one.group is None}

    def plan(self, waiting: Sequence[Waiting], ended: frozenset[int]) -> list[Planned]:
        """The messages to send now; what is in none of them keeps waiting. ``ended``: digests of resolved alerts."""
        groups: dict[tuple[str, str], list[Waiting]] = defaultdict(list)
        digests: dict[int, list[Waiting]] = defaultdict(list)
        answers: list[Planned] = []
        for one in waiting:
            if one.what in ABOUT_FIRING:
                groups[one.what, one.group].append(one)
            elif one.digest and one.answers is not None:
                if one.what == "resolved" and one.answers in ended:
                    digests[one.answers].append(one)
            else:
                answers.append(Planned(one.what, (one,)))
        answers += [Planned("resolved", tuple(own), digest) for digest, own in digests.items()]
        planned = [one for (what, group), own in groups.items() for one in self._of_group(what, group, own)]
        return self._within_caps(planned, answers)

    def _of_group(self, what: str, group: str, own: list[Waiting]) -> list[Planned]:
        if len(own) <= self._alone - self._sent_alone[what, group]:
            return [Planned(what, (one,)) for one in own]
        # The first message of a group is sent at once. More of it come with the next one.
        is_first = not self._sent_alone[what, group] and what not in self._sent_digests
        if not is_first and self._now_us < min(one.due_us for one in own) + self._interval_us:
            return []
        return [Planned(what, tuple(own))]

    def _within_caps(self, planned: list[Planned], answers: list[Planned]) -> list[Planned]:
        """What fires goes first; where it does not fit, as one digest. An end that does not fit waits."""
        if len(planned) > self._left:
            everything = tuple(one for each in planned for one in each.notifications)
            planned = [Planned("firing", everything)] if self._left > 0 and everything else []
        left = min(self._left_for_ends, self._left - len(planned))
        return planned + answers[: max(0, left)]


def _for_ends(most: int) -> int:
    return most - max(1, most // _KEPT_FOR_FIRING) if most > 1 else most
