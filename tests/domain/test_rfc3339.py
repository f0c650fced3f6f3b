"""RFC 3339 times, also in years that Python's datetime does not support."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import rfc3339
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US

EPOCH = date(1970, 1, 1)


def test_times_are_in_utc_to_the_millisecond() -> None:
    assert rfc3339.text(1_795_482_123_004_999) == "2026-11-24T01:02:03.004Z"


@given(at_ms=st.integers(-(2**63) // 1_000 + 1, 2**63 // 1_000 - 1))
def test_a_formatted_time_is_parsed_back(at_ms: int) -> None:
    assert rfc3339.microseconds(rfc3339.text(at_ms * 1_000)) == at_ms * 1_000


@given(at=st.datetimes())
def test_datetime_agrees(at: datetime) -> None:
    us = (at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert datetime.fromisoformat(rfc3339.text(us)) == at.replace(
        microsecond=at.microsecond // 1_000 * 1_000, tzinfo=UTC
    )


def test_each_turn_of_a_month_in_a_cycle_of_400_years_is_that_of_the_calendar() -> None:
    months = [date(year, month, 1) for year in (*range(1900, 1910), *range(1990, 2301)) for month in range(1, 13)]
    for day in [one for month in months for one in (month, month - timedelta(days=1))]:
        us = (day - EPOCH).days * DAY_US
        assert rfc3339.text(us) == f"{day}T00:00:00.000Z"
        assert rfc3339.microseconds(f"{day}T00:00:00Z") == us


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t23:59:59z", 86_399),
        ("1970-01-01 01:02:03.5+00:00", 3_723.5),
        ("1970-01-01T00:00:00.0000019Z", 0.000_001),
        ("1970-01-01T00:00:60Z", 59.999_999),
        ("1970-01-01T00:00:59.9999999Z", 59.999_999),
        ("1970-01-02T00:00:00+23:59", 60),
        ("1970-01-01T00:00:00-01:30", 5_400),
        ("1970-01-01T02:00:00+0130", 1_800),
        ("+001970-01-01T00:00:00Z", 0),
        ("-0001-12-31T00:00:00Z", -719_529 * 86_400),
        ("0000-01-01T00:00:00Z", -719_528 * 86_400),
    ],
)
def test_a_time_is_read_to_the_microsecond(text: str, seconds: float) -> None:
    assert rfc3339.microseconds(text) == round(seconds * SECOND_US)


@pytest.mark.parametrize(
    "text",
    [
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        *(f"2024-{month:02}-32T00:00:00Z" for month in (1, 3, 5, 7, 8, 10, 12)),
        *(f"2024-{month:02}-31T00:00:00Z" for month in (4, 6, 9, 11)),
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+00:60",
    ],
)
def test_a_date_or_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^no such date or time: "):
        rfc3339.microseconds(text)


@pytest.mark.parametrize("text", ["", "now", "2026-11-24", "2026-11-24T10:00:00", "2026-11-24T10:00Z"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not an RFC 3339 time"):
        rfc3339.microseconds(text)


@pytest.mark.parametrize("text", ["2000-02-29T00:00:00Z", "2024-02-29T23:59:59Z", "2026-12-31T23:59:59Z"])
def test_a_leap_day_and_the_last_second_of_a_year_exist(text: str) -> None:
    assert rfc3339.text(rfc3339.microseconds(text)) == text.replace("Z", ".000Z")


def test_what_64_bits_cannot_hold_is_their_least_or_largest() -> None:
    assert rfc3339.microseconds("+999999-01-01T00:00:00Z") == 9_223_372_036_854_775_807
    assert rfc3339.microseconds("-999999-01-01T00:00:00Z") == -9_223_372_036_854_775_808
    assert rfc3339.microseconds("+294247-01-10T04:00:54.775806Z") == 9_223_372_036_854_775_806
    assert rfc3339.microseconds("-290308-12-21T19:59:05.224193Z") == -9_223_372_036_854_775_807


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("+010000-01-01T00:00:00.000Z", "9999-12-31T23:59:00.000Z"),
        ("0000-01-01T00:00:00.000Z", "-000001-12-31T23:59:00.000Z"),
    ],
)
def test_a_year_has_four_digits_or_a_sign_and_six(text: str, earlier: str) -> None:
    us = rfc3339.microseconds(text)
    assert (rfc3339.text(us), rfc3339.text(us - MINUTE_US)) == (text, earlier)
