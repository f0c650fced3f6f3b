"""Which silence of an app is unusual, judged from its past."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.domain.activity import DAY_MINUTES, HOUR_MINUTES, Hour, is_unusual, newest_minute

# A Thursday, 12:00 of the ninth day; minutes are counted from the first day on.
NOON = 8 * DAY_MINUTES + 12 * HOUR_MINUTES
Sends = Callable[[int, int], bool]


def hours(sends: Sends, *, until: int, begin: int = 0, users: int = 50) -> dict[int, Hour]:
    """An app that sends in the minutes (day, minute of the day) for which ``sends`` holds."""
    found: dict[int, int] = {}
    for minute in range(begin, until + 1):
        if sends(minute // DAY_MINUTES, minute % DAY_MINUTES):
            found[minute // HOUR_MINUTES] = found.get(minute // HOUR_MINUTES, 0) | 1 << minute % HOUR_MINUTES
    return {hour: Hour(minutes, users) for hour, minutes in found.items()}


def always(_day: int, _minute: int) -> bool:
    return True


def by_day(_day: int, minute: int) -> bool:
    return 9 * HOUR_MINUTES <= minute < 18 * HOUR_MINUTES


def on_weekdays(day: int, minute: int) -> bool:
    return by_day(day, minute) and day % 7 not in {5, 6}


def silent_from(sends: Sends, last: int, now: int, **more: int) -> bool:
    """Whether it is unusual that it sent in the minute ``last`` for the last time."""
    return is_unusual(hours(sends, until=last, **more), now, now - last, 10)


def test_the_newest_minute_is_the_last_bit_of_the_last_hour() -> None:
    assert newest_minute({}) is None
    assert newest_minute({7: Hour(0b1, 0)}) == 420
    assert newest_minute({7: Hour(0b1, 0), 8: Hour(0b1001, 0)}) == 483


def test_an_app_that_always_sends_is_missed() -> None:
    assert silent_from(always, NOON - 15, NOON)
    assert silent_from(always, NOON - 15, NOON, begin=NOON - DAY_MINUTES - 20)


def test_an_app_is_missed_after_its_first_day() -> None:
    assert not silent_from(always, NOON - 15, NOON, begin=NOON - DAY_MINUTES + 60)
    assert not is_unusual({}, NOON, 15, 10)


def test_a_quiet_night_is_not_missed_and_a_quiet_noon_is() -> None:
    night = 8 * DAY_MINUTES + 3 * HOUR_MINUTES
    closing = 7 * DAY_MINUTES + 18 * HOUR_MINUTES - 1
    assert not silent_from(by_day, closing, closing + 15)
    assert not silent_from(by_day, closing, night)
    assert silent_from(by_day, NOON - 15, NOON)
    opening = 8 * DAY_MINUTES + 9 * HOUR_MINUTES
    assert not silent_from(by_day, closing, opening + 15), "it may open later than on other days"


@pytest.mark.parametrize("early", [1, 30, 45])
def test_a_day_that_ends_an_hour_early_is_not_missed(early: int) -> None:
    last = 7 * DAY_MINUTES + 18 * HOUR_MINUTES - 1 - early
    assert not silent_from(by_day, last, last + 15)


def test_a_day_that_ends_two_hours_early_is() -> None:
    last = 7 * DAY_MINUTES + 16 * HOUR_MINUTES - 1
    assert silent_from(by_day, last, last + 15)


@pytest.mark.parametrize(("day", "missed"), [(7, True), (8, True), (11, True), (12, False), (13, False), (14, True)])
def test_a_weekend_is_not_missed_and_the_monday_after_it_is(day: int, *, missed: bool) -> None:
    noon = day * DAY_MINUTES + 12 * HOUR_MINUTES
    found = hours(on_weekdays, until=noon - 15)
    if not missed:
        friday = 11 * DAY_MINUTES + 18 * HOUR_MINUTES
        found = hours(on_weekdays, until=friday)
        assert not is_unusual(found, noon, min(noon - friday, DAY_MINUTES), 10)
        return
    assert is_unusual(found, noon, 15, 10)


def test_a_holiday_is_not_missed_the_next_week() -> None:
    def but_wednesday(day: int, minute: int) -> bool:
        return by_day(day, minute) and day != 7

    assert silent_from(but_wednesday, NOON - 15, NOON), "yesterday was a holiday"
    week = NOON + 6 * DAY_MINUTES
    assert not silent_from(but_wednesday, week - 15, week), "a week ago was one"


def test_an_app_with_few_users_is_not_missed() -> None:
    assert silent_from(always, NOON - 15, NOON, users=10)
    assert not silent_from(always, NOON - 15, NOON, users=9)


@pytest.mark.parametrize(("every", "lasts", "missed"), [(5, 15, True), (6, 15, False), (6, 18, True), (20, 45, False)])
def test_an_app_that_sends_now_and_then_is_missed_after_three_of_its_gaps(
    every: int, lasts: int, *, missed: bool
) -> None:
    def now_and_then(_day: int, minute: int) -> bool:
        return minute % every == 0

    last = NOON - NOON % every
    assert is_unusual(hours(now_and_then, until=last), last + lasts, lasts, 10) is missed


def test_a_silence_of_more_than_a_day_is_known_already() -> None:
    assert silent_from(always, NOON - DAY_MINUTES + 1, NOON)
    assert not silent_from(always, NOON - DAY_MINUTES - 1, NOON)
