"""Moments as they are written on a page and read from an address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.text.times import ago, at_most, clock_text, from_text, iso, lasted, time_of_day

AT_US = 1_795_464_200_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T20:03:20Z",
        "2026-11-23T20:03:20.000Z",
        "2026-11-23 20:03:20 UTC",
        "2026-11-23 20:03:20 utc",
        "2026-11-23 20:03:20",
        "2026-11-24 04:03:20 +08:00",
        "2026-11-24 04:03:20+08:00",
        "2026-11-24T04:03:20 08:00",
        "2026-11-24T04:03:20+0800",
        "2026-11-23 16:33:20 -03:30",
        "  2026-11-23T20:03:20Z ",
    ],
)
def test_a_moment_is_understood_as_pages_and_programs_write_it(text: str) -> None:
    assert from_text(text) == AT_US


@pytest.mark.parametrize(
    "text",
    [
        "now",
        "2026-11-23 20:03:20 CET",
        "08:00",
        "2026-13-01",
        "2026-11-23 25:00",
        "UTC",
        " +08:00",
        "2026-11-24 -03:30",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - datetime has many sentences for it
        from_text(text)


@given(st.integers(min_value=-62_135_596_800, max_value=253_402_300_799))
def test_what_is_written_is_read_as_the_same_moment(second: int) -> None:
    at_us = second * 1_000_000
    assert from_text(clock_text(at_us)) == from_text(iso(at_us)) == at_us


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-172_800, "in 2 days"), (-86_400, "in 1 day"), (-86_399, "in 23 hours"), (-3_600, "in 1 hour"),
        (-3_599, "in 59 minutes"), (-60, "in 1 minute"), (-59, "in 59 seconds"), (-2, "in 2 seconds"), (-1, "now"),
        (-0.000001, "now"), (0, "now"), (0.999999, "now"), (1, "1 second ago"), (59, "59 seconds ago"),
        (60, "1 minute ago"), (119, "1 minute ago"), (3_599, "59 minutes ago"), (3_600, "1 hour ago"),
        (86_399, "23 hours ago"), (86_400, "1 day ago"), (864_000, "10 days ago"),
    ],
)  # fmt: skip
def test_how_long_ago_is_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert ago(AT_US - round(seconds * 1_000_000), AT_US) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59.999999, "59 s"), (60, "1 min"), (3_599, "59 min"), (3_600, "1 h"), (172_799, "47 h"),
     (172_800, "2 d"), (863_999, "9 d")],
)  # fmt: skip
def test_how_long_something_lasted_is_in_hours_up_to_two_days(seconds: float, text: str) -> None:
    assert lasted(round(seconds * 1_000_000)) == text


def test_a_time_of_day_after_a_date_is_no_offset() -> None:
    assert from_text("2026-11-23 20:03") == from_text("2026-11-23T20:03:00Z") == AT_US - 20_000_000
    assert (time_of_day(AT_US), clock_text(AT_US)) == ("20:03", "2026-11-23 20:03:20 UTC")


def test_a_moment_that_a_calendar_has_not_is_its_first_or_last() -> None:
    assert (iso(-(10**18)), iso(10**18)) == ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z")


def test_a_bound_is_rounded_up() -> None:
    found = [at_most(round(seconds * 1_000_000)) for seconds in (0.5, 45, 60, 735, 3_599, 3_601, 86_400, 200_000)]
    assert found == ["1 s", "45 s", "1 min", "13 min", "1 h", "2 h", "24 h", "3 d"]
