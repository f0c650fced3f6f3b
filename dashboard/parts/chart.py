"""The chart of the last 24 hours: users by status as stacked areas, and events as bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sidecar.domain.happenings import Kind
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.store.users.per_minute import COUNTED, Bucket

STEP_MINUTES: Final = 10
STEP_US: Final = STEP_MINUTES * MINUTE_US
SPAN_US: Final = DAY_US
COLUMNS: Final = SPAN_US // STEP_US
HEIGHT: Final = 100
# A bar that is lower than this cannot be seen.
_LEAST_HEIGHT: Final = 4.0
_STACK: Final = (ONLINE, OFFLINE, NOT_LOGGED_IN)
_TICK_US: Final = 4 * HOUR_US


class Area(msgspec.Struct, frozen=True):
    """One status; ``points`` are those of an SVG polygon."""

    status: str
    points: str


class Beat(msgspec.Struct, frozen=True):
    """Counts of one ``kind`` of event, a bar per column; ``most`` is the highest. ``name`` is that of the count."""

    kind: Kind
    name: str
    bars: list[tuple[int, float, int, int]]  # column, height, count, begin_us
    total: int
    most: int

    @property
    def path(self) -> str:
        """All bars as one SVG path."""
        return "".join(f"M{column + 0.1:.1f} 100v-{height}h.8v{height}z" for column, height, _, _ in self.bars)


class Hour(msgspec.Struct, frozen=True):
    """A row of the table below the chart: users at the end of the hour, and the events in it."""

    begin_us: int
    bucket: Bucket

    @property
    def end_us(self) -> int:
        """When the hour ends."""
        return self.begin_us + HOUR_US


class Day(msgspec.Struct, frozen=True):
    """The whole chart, from ``begin_us`` to ``end_us``.

    ``ticks`` are evenly spaced moments from its first to its last. The column that ends at ``most_until_us`` has the
    ``most`` users. ``step_us`` is the length of a column.
    """

    begin_us: int
    end_us: int

    areas: list[Area]
    beats: list[Beat]
    hours: list[Hour]
    ticks: list[int]
    most: int
    most_until_us: int
    step_us: int = STEP_US


def day(buckets: Sequence[Bucket], now_us: int) -> Day:
    """The chart of the buckets of the last day."""
    first = now_us // STEP_US - COLUMNS + 1
    begin_us = first * STEP_US
    placed = [(bucket.begin_us // STEP_US - first, bucket) for bucket in buckets]
    by_column = {column: bucket for column, bucket in placed if 0 <= column < COLUMNS}
    users = {column: one.online + one.offline + one.not_logged_in for column, one in by_column.items()}
    most, largest = max(((count, column) for column, count in users.items()), default=(0, COLUMNS - 1))
    return Day(
        begin_us=begin_us,
        end_us=begin_us + SPAN_US,
        areas=_areas(by_column, most),
        beats=[_beat(kind, name, by_column) for kind, name in COUNTED.items()],
        hours=_hours(buckets),
        ticks=list(range(begin_us, begin_us + SPAN_US + _TICK_US, _TICK_US)),
        most=most,
        most_until_us=begin_us + (largest + 1) * STEP_US,
    )


def _areas(by_column: dict[int, Bucket], most: int) -> list[Area]:
    if not most:
        return []
    columns = sorted(by_column)
    below = dict.fromkeys(columns, 0)
    areas = []
    for status in _STACK:
        above = {column: below[column] + getattr(by_column[column], status) for column in columns}
        upper = _steps((column, HEIGHT * (1 - above[column] / most)) for column in columns)
        lower = _steps((column, HEIGHT * (1 - below[column] / most)) for column in columns)
        areas.append(Area(status, " ".join([*upper, *reversed(lower)])))
        below = above
    return areas


def _steps(tops: Iterable[tuple[int, float]]) -> list[str]:
    return [point for column, y in tops for point in (f"{column},{y:.1f}", f"{column + 1},{y:.1f}")]


def _beat(kind: Kind, name: str, by_column: dict[int, Bucket]) -> Beat:
    counts = [(column, getattr(by_column[column], name)) for column in sorted(by_column)]
    most = max((count for _, count in counts), default=0)
    bars = [
        (column, max(_LEAST_HEIGHT, round(HEIGHT * count / most, 1)), count, by_column[column].begin_us)
        for column, count in counts
        if count
    ]
    return Beat(kind, name, bars, sum(count for _, count in counts), most)


def _hours(buckets: Sequence[Bucket]) -> list[Hour]:
    """Newest first."""
    by_hour: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        by_hour.setdefault(bucket.begin_us // HOUR_US, []).append(bucket)
    rows = []
    for number, own in sorted(by_hour.items(), reverse=True):
        happened = {name: sum(getattr(bucket, name) for bucket in own) for name in COUNTED.values()}
        rows.append(Hour(number * HOUR_US, msgspec.structs.replace(own[-1], **happened)))
    return rows
