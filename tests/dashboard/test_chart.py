"""The day as a picture."""

from __future__ import annotations

import pytest

from dashboard.parts import chart
from sidecar.domain.units import MINUTE_US
from sidecar.store.users.per_minute import Bucket
from tests.support.events import BEGIN_US


def bucket(back: int, *, online: int = 1, kicked_out: int = 0) -> Bucket:
    """The bucket ``back`` columns before the present one."""
    begin_us = (BEGIN_US // chart.STEP_US - back) * chart.STEP_US
    return Bucket(begin_us=begin_us, online=online, offline=1, not_logged_in=2, kicked_out=kicked_out)


def test_nothing_is_an_empty_picture() -> None:
    day = chart.day([], BEGIN_US)
    assert (day.areas, day.hours, day.most) == ([], [], 0)
    assert [(beat.name, beat.bars, beat.total, beat.most) for beat in day.beats] == [
        (name, [], 0, 0) for name in ("kicked_out", "token_expired", "logins")
    ]


def test_ticks_are_four_hours_apart_and_end_with_the_present_column() -> None:
    ticks = chart.day([], BEGIN_US + 7).ticks
    end_us = BEGIN_US + 10 * MINUTE_US
    assert ticks == [end_us - hours * 60 * MINUTE_US for hours in (24, 20, 16, 12, 8, 4, 0)]
    assert (chart.COLUMNS, chart.SPAN_US) == (144, 86_400_000_000)


def test_areas_stand_on_each_other_and_the_highest_fills_the_height() -> None:
    day = chart.day([bucket(1, online=7), bucket(0, online=1)], BEGIN_US)
    assert day.most == 10
    assert [area.status for area in day.areas] == ["online", "offline", "not_logged_in"]
    assert day.areas[0].points.startswith("142,30.0 143,30.0 143,90.0 144,90.0")
    assert day.areas[2].points.startswith("142,0.0")


def corners(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


def size(points: str) -> float:
    """Of a polygon, by Gauss: half the sum of the cross products of its corners."""
    around = corners(points)
    crossed = zip(around, [*around[1:], around[0]], strict=True)
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in crossed)) / 2


def test_the_size_of_an_area_is_its_share_of_all_user_minutes() -> None:
    counts = [7, 1, 0, 4, 12]
    day = chart.day([bucket(back, online=online) for back, online in enumerate(counts)], BEGIN_US)
    assert day.most == 15
    sizes = {area.status: size(area.points) for area in day.areas}
    assert sizes == pytest.approx(
        {
            "online": sum(counts) * chart.HEIGHT / 15,
            "offline": len(counts) * chart.HEIGHT / 15,
            "not_logged_in": 2 * len(counts) * chart.HEIGHT / 15,
        },
        abs=0.5,
    )
    for area in day.areas:
        assert all(0 <= y <= chart.HEIGHT and 0 <= x <= chart.COLUMNS for x, y in corners(area.points))
    # The lowest area begins at zero, and each of the others on top of the one below.
    online, offline, _ = (corners(area.points) for area in day.areas)
    upper = len(counts) * 2
    assert {y for _, y in online[upper:]} == {chart.HEIGHT}
    assert offline[upper:] == online[:upper][::-1]


def test_what_is_outside_of_the_day_is_in_no_area() -> None:
    buckets = [bucket(chart.COLUMNS), bucket(chart.COLUMNS - 1), bucket(0), bucket(-1)]
    (online, *_) = chart.day(buckets, BEGIN_US).areas
    assert {x for x, _ in corners(online.points)} == {0, 1, chart.COLUMNS - 1, chart.COLUMNS}


def test_what_happened_is_counted_over_the_day_and_seen_even_when_rare() -> None:
    day = chart.day([bucket(1, kicked_out=100), bucket(0, kicked_out=1)], BEGIN_US)
    (kicks,) = [beat for beat in day.beats if beat.name == "kicked_out"]
    assert (kicks.total, kicks.most) == (101, 100)
    assert kicks.bars == [
        (142, 100.0, 100, BEGIN_US - 10 * MINUTE_US),
        (143, 4.0, 1, BEGIN_US),
    ]


def test_a_bar_is_as_high_as_its_share_of_the_highest_to_a_tenth() -> None:
    buckets = [bucket(2, kicked_out=3), bucket(1), bucket(0, kicked_out=1)]
    (kicks, *_) = chart.day(buckets, BEGIN_US).beats
    assert [bar[:3] for bar in kicks.bars] == [(141, 100.0, 3), (143, 33.3, 1)]


def test_what_is_outside_of_the_day_counts_only_in_the_table() -> None:
    inside = [bucket(chart.COLUMNS - 1, kicked_out=1), bucket(0, kicked_out=1)]
    outside = [bucket(chart.COLUMNS, online=99, kicked_out=9), bucket(-1, online=99, kicked_out=9)]
    day = chart.day([outside[0], *inside, outside[1]], BEGIN_US)
    assert (day.areas, day.beats, day.most) == (chart.day(inside, BEGIN_US).areas, chart.day(inside, BEGIN_US).beats, 4)
    assert [bar[0] for bar in day.beats[0].bars] == [0, 143]
    assert sum(hour.bucket.kicked_out for hour in day.hours) == 20


def test_the_table_has_an_hour_a_row_with_its_last_counts_and_its_sum() -> None:
    six = [bucket(number, online=number + 1, kicked_out=1) for number in reversed(range(12))]
    hours = chart.day(six, BEGIN_US).hours
    assert sum(hour.bucket.kicked_out for hour in hours) == 12
    assert hours[0].bucket.online == 1
    assert all(hour.begin_us % (60 * MINUTE_US) == 0 for hour in hours)
    assert [hour.begin_us for hour in hours] == [BEGIN_US - number * 60 * MINUTE_US for number in range(len(hours))]
    assert [hour.bucket.online for hour in hours] == [1, 2, 8]
    assert [hour.bucket.kicked_out for hour in hours] == [1, 6, 5]
