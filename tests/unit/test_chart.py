"""The day as a picture."""

from __future__ import annotations

from dashboard import chart
from sidecar.store.rollups import MINUTE_US, Bucket
from tests.support.events import BEGIN_US


def bucket(back: int, *, online: int = 1, kicked_out: int = 0) -> Bucket:
    """The bucket ``back`` columns before the present one."""
    begin_us = (BEGIN_US // chart.STEP_US - back) * chart.STEP_US
    return Bucket(begin_us=begin_us, online=online, offline=1, not_logged_in=2, kicked_out=kicked_out)


def test_nothing_is_an_empty_picture() -> None:
    day = chart.day([], BEGIN_US)
    assert (day.areas, day.hours, day.most) == ([], [], 0)
    assert len(day.ticks) == 7


def test_areas_stand_on_each_other_and_the_highest_fills_the_height() -> None:
    day = chart.day([bucket(1, online=7), bucket(0, online=1)], BEGIN_US)
    assert day.most == 10
    assert [area.status for area in day.areas] == ["online", "offline", "not_logged_in"]
    assert day.areas[0].points.startswith("142,30.0 143,30.0 143,90.0 144,90.0")
    assert day.areas[2].points.startswith("142,0.0")


def test_what_happened_is_counted_over_the_day_and_seen_even_when_rare() -> None:
    day = chart.day([bucket(1, kicked_out=100), bucket(0, kicked_out=1)], BEGIN_US)
    (kicks,) = [beat for beat in day.beats if beat.name == "kicked_out"]
    assert (kicks.total, kicks.most) == (101, 100)
    assert all(height >= 4 for _, height, _, _ in kicks.bars)


def test_the_table_has_an_hour_a_row_with_its_last_counts_and_its_sum() -> None:
    six = [bucket(number, online=number + 1, kicked_out=1) for number in reversed(range(12))]
    hours = chart.day(six, BEGIN_US).hours
    assert sum(hour.bucket.kicked_out for hour in hours) == 12
    assert hours[0].bucket.online == 1
    assert all(hour.begin_us % (60 * MINUTE_US) == 0 for hour in hours)
