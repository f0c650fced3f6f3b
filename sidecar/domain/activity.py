"""When an app sends, minute by minute, and whether a silence is unusual: judged from the app's own past.

A silence is unusual if the app sent at the same time on the days before it: with gaps that are much shorter than the
silence, and from so many users at once. So an app that is quiet at night, on Sundays or most of the time is not missed
when it is. The past is looked at until an hour later than the present, because a day may end somewhat earlier, and the
clocks of a country may have been set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

HOUR_MINUTES: Final = 60
DAY_MINUTES: Final = 24 * HOUR_MINUTES
# The days before that are looked at; of these the last, a week ago, counts as the same day of the week.
DAYS: Final = 7
# A longer silence would be compared with itself.
LONGEST_MINUTES: Final = DAY_MINUTES
HOURS_KEPT: Final = DAYS * 24 + LONGEST_MINUTES // HOUR_MINUTES + 1
_LATER_MINUTES: Final = 60
# A silence is at least so many times as long as the longest gap of a day before.
_TIMES: Final = 3


class Hour(msgspec.Struct, frozen=True):
    """An hour of an app: bit 0 of ``minutes`` is set if something was received in its first minute.

    ``users``: the fewest users at once who were logged in with a sign of life.
    """

    minutes: int
    users: int


Hours = Mapping[int, Hour]
"""By the number of the hour since the Unix epoch; one in which nothing was received is missing."""


def newest_minute(hours: Hours) -> int | None:
    """The last minute in which something was received."""
    if not hours:
        return None
    last = max(hours)
    return last * HOUR_MINUTES + hours[last].minutes.bit_length() - 1


def is_unusual(hours: Hours, now: int, lasts: int, least_users: int) -> bool:
    """Whether a silence of ``lasts`` minutes up to the minute ``now`` is; ``least_users``: see :class:`Hour`.

    On most of the days before that are known, a week ago among them, the app sent throughout.
    """
    if lasts > LONGEST_MINUTES or not hours:
        return False
    known_from = min(hours) * HOUR_MINUTES
    usual = [
        _sent_throughout(hours, begin, now - ago + _LATER_MINUTES, lasts / _TIMES, least_users)
        for ago in range(DAY_MINUTES, DAYS * DAY_MINUTES + 1, DAY_MINUTES)
        if (begin := now - ago - lasts) >= known_from
    ]
    if len(usual) == DAYS and not usual[-1]:
        return False
    return 2 * sum(usual) > len(usual)


def _sent_throughout(hours: Hours, begin: int, end: int, longest_gap: float, least_users: int) -> bool:
    for hour in range(begin // HOUR_MINUTES, end // HOUR_MINUTES + 1):
        if hour not in hours or hours[hour].users < least_users:
            return False
    before = begin
    for minute in _minutes(hours, begin, end):
        if minute - before > longest_gap:
            return False
        before = minute
    return end - before <= longest_gap


def _minutes(hours: Hours, begin: int, end: int) -> Iterator[int]:
    for hour in range(begin // HOUR_MINUTES, end // HOUR_MINUTES + 1):
        bits = hours[hour].minutes
        for minute in range(HOUR_MINUTES):
            at = hour * HOUR_MINUTES + minute
            if bits >> minute & 1 and begin <= at <= end:
                yield at
