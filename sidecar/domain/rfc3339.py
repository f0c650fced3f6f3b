"""Converts RFC 3339 to microseconds since the Unix epoch, and back, for every year that 64 bits can hold.

Python's datetime is limited to the years 1 to 9999; a device's clock is not. Years beyond four digits are written as in
ECMAScript: ``+012345-06-07T…`` (https://tc39.es/ecma262/#sec-expanded-years).
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US

_LARGEST: Final = 2**63 - 1
_SHAPE: Final = re.compile(
    r"(?P<year>\d{4}|[+-]\d{4,10})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ]"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d+))?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hour>\d\d):?(?P<offset_minute>\d\d))",
    re.ASCII,
)
_FOUR_DIGITS: Final = 9_999
# A cycle of 400 years has a whole number of days.
_CYCLE_YEARS: Final = 400
_CYCLE_DAYS: Final = 146_097
# From 0000-03-01, where the cycles below begin, to 1970-01-01.
_TO_EPOCH_DAYS: Final = 719_468


def microseconds(text: str) -> int:
    """Parses ``text``; ValueError if it is no RFC 3339 time with an offset.

    A leap second (section 5.6) becomes the last moment of its minute. A value beyond 64 bits is clamped.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 time such as 2026-11-24T10:00:00.000Z")
    part = {name: int(value or 0) for name, value in found.groupdict().items() if name not in {"sign", "fraction"}}
    in_range = (
        1 <= part["month"] <= 12  # noqa: PLR2004 - as a calendar and a clock have it, here and below
        and 1 <= part["day"] <= _days_of(part["year"], part["month"])
        and part["hour"] < 24  # noqa: PLR2004
        and part["minute"] < 60  # noqa: PLR2004
        and part["second"] <= 60  # noqa: PLR2004
        and part["offset_hour"] < 24  # noqa: PLR2004
        and part["offset_minute"] < 60  # noqa: PLR2004
    )
    if not in_range:
        raise ValueError(f"no such date or time: {text:.64}")
    days = _days(part["year"], part["month"], part["day"])
    minutes = part["hour"] * 60 + part["minute"]
    offset = part["offset_hour"] * 60 + part["offset_minute"]
    minutes += offset if found["sign"] == "-" else -offset
    fraction_us = int(f"{found['fraction'] or ''}000000"[:6])
    seconds_us = min(part["second"] * SECOND_US + fraction_us, MINUTE_US - 1)
    us = days * DAY_US + minutes * MINUTE_US + seconds_us
    return max(-_LARGEST - 1, min(us, _LARGEST))


def text(us: int) -> str:
    """RFC 3339 in UTC with milliseconds; years without four digits as in ECMAScript."""
    days, rest_us = divmod(us, DAY_US)
    year, month, day = _civil(days)
    years = f"{year:04}" if 0 <= year <= _FOUR_DIGITS else f"{year:+07}"
    seconds, rest_us = divmod(rest_us, SECOND_US)
    clock = f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest_us // 1_000:03}"
    return f"{years}-{month:02}-{day:02}T{clock}Z"


def _days_of(year: int, month: int) -> int:
    if month == 2:  # noqa: PLR2004 - February
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in {4, 6, 9, 11} else 31


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01. Source: https://howardhinnant.github.io/date_algorithms.html#days_from_civil."""
    years = year - (month <= 2)  # noqa: PLR2004 - a year that begins in March ends with the leap day
    cycle, in_cycle = divmod(years, _CYCLE_YEARS)
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return cycle * _CYCLE_DAYS + in_cycle * 365 + in_cycle // 4 - in_cycle // 100 + in_year - _TO_EPOCH_DAYS


def _civil(days: int) -> tuple[int, int, int]:
    """The inverse of :func:`_days`."""
    cycle, day = divmod(days + _TO_EPOCH_DAYS, _CYCLE_DAYS)
    in_cycle = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    in_year = day - (365 * in_cycle + in_cycle // 4 - in_cycle // 100)
    month = (5 * in_year + 2) // 153
    day_of_month = in_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9  # noqa: PLR2004 - March is the first
    return cycle * _CYCLE_YEARS + in_cycle + (month <= 2), month, day_of_month  # noqa: PLR2004


def exact_text(us: int) -> str:
    """The same with microseconds."""
    return f"{text(us)[:-1]}{us % 1_000:03}Z"
