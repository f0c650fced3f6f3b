"""The last 24 hours as a picture: users by status as stacked areas, and what happened as bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store.rollups import MINUTE_US, NOTED, Bucket

HOURS: Final = 24
STEP_MINUTES: Final = 10
STEP_US: Final = STEP_MINUTES * MINUTE_US
SPAN_US: Final = HOURS * 60 * MINUTE_US
COLUMNS: Final = HOURS * 60 // STEP_MINUTES
HEIGHT: Final = 100
_STACK: Final = (ONLINE, OFFLINE, NOT_LOGGED_IN)
_HOUR_TICKS: Final = 4


class Area(msgspec.Struct, frozen=True):
    """One status; ``points`` are those of an SVG polygon."""

    status: str
    points: str


class Beat(msgspec.Struct, frozen=True):
    """How often something happened, one bar a column; ``most`` is the highest of them."""

    name: str
    bars: list[tuple[int, float, int, int]]  # column, height, count, begin_us
    total: int
    most: int


class Hour(msgspec.Struct, frozen=True):
    """A row of the same as a table: users at the hour's end, and what happened in it."""

    begin_us: int
    bucket: Bucket


class Day(msgspec.Struct, frozen=True):
    """The whole picture. ``ticks`` are evenly spaced moments from the first to the last."""

    areas: list[Area]
    beats: list[Beat]
    hours: list[Hour]
    ticks: list[int]
    most: int


def day(buckets: Sequence[Bucket], now_us: int) -> Day:
    """Of the buckets of the last day; none is a day without anything."""
    first = now_us // STEP_US - COLUMNS + 1
    by_column = {bucket.begin_us // STEP_US - first: bucket for bucket in buckets}
    most = max((bucket.online + bucket.offline + bucket.not_logged_in for bucket in buckets), default=0)
    begin_us, hour_us = first * STEP_US, 60 * MINUTE_US
    return Day(
        areas=_areas(by_column, most),
        beats=[_beat(name, by_column) for name in NOTED],
        hours=_hours(buckets),
        ticks=[begin_us + number * _HOUR_TICKS * hour_us for number in range(HOURS // _HOUR_TICKS + 1)],
        most=most,
    )


def _areas(by_column: dict[int, Bucket], most: int) -> list[Area]:
    if not most:
        return []
    columns = sorted(column for column in by_column if 0 <= column < COLUMNS)
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


def _beat(name: str, by_column: dict[int, Bucket]) -> Beat:
    counts = {column: getattr(bucket, name) for column, bucket in by_column.items() if 0 <= column < COLUMNS}
    most = max(counts.values(), default=0)
    bars = [
        (column, max(4.0, round(HEIGHT * count / most, 1)), count, by_column[column].begin_us)
        for column, count in sorted(counts.items())
        if count
    ]
    return Beat(name, bars, sum(counts.values()), most)


def _hours(buckets: Sequence[Bucket]) -> list[Hour]:
    """Newest first."""
    hour_us = 60 * MINUTE_US
    by_hour: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        by_hour.setdefault(bucket.begin_us // hour_us, []).append(bucket)
    rows = []
    for number, own in sorted(by_hour.items(), reverse=True):
        happened = {name: sum(getattr(bucket, name) for bucket in own) for name in NOTED}
        rows.append(Hour(number * hour_us, msgspec.structs.replace(own[-1], **happened)))
    return rows
