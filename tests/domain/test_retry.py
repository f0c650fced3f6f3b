"""Pauses between attempts, and the header ``Retry-After``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.retry import Backoff, retry_after_us
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US

DELIVERY = Backoff(first_us=SECOND_US, longest_us=5 * MINUTE_US, longest_requested_us=DAY_US, request_replaces=True)
EXPORT = Backoff(first_us=SECOND_US, longest_us=30 * SECOND_US, longest_requested_us=5 * MINUTE_US)
TEN = "Fri, 27 Nov 2026 10:00:00 GMT"
TEN_US = 1_795_773_600 * SECOND_US


def seconds(backoff: Backoff, *failures: int, chance: float = 0.0, requested: float | None = None) -> list[float]:
    requested_us = None if requested is None else int(requested * SECOND_US)
    return [backoff.pause_us(one, chance, requested_us) / SECOND_US for one in failures]


def test_pauses_double_from_the_first_to_the_longest() -> None:
    assert seconds(EXPORT, 1, 2, 3, 4, 5, 6, 7, 10_000) == [1, 2, 4, 8, 16, 30, 30, 30]
    assert seconds(DELIVERY, 1, 2, 9, 10, 10_000) == [1, 2, 256, 300, 300]


def test_a_pause_before_any_failure_is_the_first() -> None:
    assert seconds(EXPORT, 0) == [1]


def test_jitter_shortens_a_pause_by_up_to_half() -> None:
    assert seconds(EXPORT, 1, 3, 9, chance=1.0) == [0.5, 2, 15]
    assert seconds(EXPORT, 1, 3, 9, chance=0.5) == [0.75, 3, 22.5]


def test_a_requested_pause_is_a_lower_bound() -> None:
    assert seconds(EXPORT, 1, 3, 9, requested=7) == [7, 7, 30]
    assert seconds(EXPORT, 1, requested=3_600) == [300]


def test_a_requested_pause_replaces_the_own_one_and_jitter_extends_it() -> None:
    assert seconds(DELIVERY, 1, 10_000, requested=7) == [7, 7]
    assert seconds(DELIVERY, 1, chance=1.0, requested=10) == [11]
    assert seconds(DELIVERY, 1, requested=86_400) == [86_400]
    assert seconds(DELIVERY, 1, requested=864_000) == [86_400]


@pytest.mark.parametrize("requested", [0, -5, 0.999])
def test_a_request_for_no_pause_makes_no_loop(requested: float) -> None:
    for backoff in (DELIVERY, EXPORT):
        assert seconds(backoff, 1, 2, 3, requested=requested) == [1, 2, 4]


def test_a_request_counts_only_where_it_is_allowed() -> None:
    assert seconds(Backoff(first_us=SECOND_US, longest_us=30 * SECOND_US), 1, requested=60) == [1]


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.integers(-5, 10**12))
def test_a_pause_is_within_its_bounds(failures: int, chance: float, requested_us: int | None) -> None:
    own = EXPORT.pause_us(failures, chance, requested_us)
    assert max(EXPORT.first_us // 2, min(requested_us or 0, 5 * MINUTE_US)) <= own <= 5 * MINUTE_US
    pause = DELIVERY.pause_us(failures, chance, requested_us)
    if requested_us is None or requested_us < SECOND_US:
        assert SECOND_US // 2 <= pause <= 5 * MINUTE_US
    else:
        assert min(requested_us, DAY_US) <= pause <= DAY_US * 1.1


@pytest.mark.parametrize(
    ("text", "date", "expected_s"),
    [
        ("86400", None, 86_400),
        (" 7 ", None, 7),
        ("0", TEN, 0),
        ("Fri, 27 Nov 2026 10:00:30 GMT", TEN, 30),
        ("Fri, 27 Nov 2026 09:00:00 GMT", TEN, 0),
        ("Fri, 27 Nov 2026 10:00:30 GMT", None, None),
        ("Fri, 27 Nov 2026 10:00:30 GMT", "today", None),
        ("Fri, 27 Nov 2026 10:00:30 -0000", TEN, None),
        ("Fri, 27 Nov 99999999999999999999 10:00:00 GMT", TEN, None),
        ("soon", TEN, None),
        ("-5", None, None),
        ("²", None, None),
        ("", None, None),
        (None, None, None),
        ("9" * 5_000, None, 999_999_999),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, date: str | None, expected_s: int | None) -> None:
    headers = {name: value for name, value in (("Retry-After", text), ("Date", date)) if value is not None}
    assert retry_after_us(headers) == (None if expected_s is None else expected_s * SECOND_US)


def test_a_date_counts_from_the_answers_own_date_and_else_from_the_clock() -> None:
    headers = {"Retry-After": "Fri, 27 Nov 2026 10:00:30 GMT"}
    assert retry_after_us(headers, TEN_US) == 30 * SECOND_US
    assert retry_after_us({**headers, "Date": TEN}, TEN_US + DAY_US) == 30 * SECOND_US


def test_without_jitter_or_a_request_a_pause_is_whole() -> None:
    assert EXPORT.pause_us(1) == DELIVERY.pause_us(1) == SECOND_US
    assert Backoff(first_us=1, longest_us=1).pause_us(1, 1.0, 9) == 0
    assert Backoff(first_us=1, longest_us=1, longest_requested_us=9).pause_us(1, 1.0) == 0


def test_a_request_as_long_as_the_first_pause_replaces_a_longer_one() -> None:
    assert seconds(DELIVERY, 3, requested=1) == [1]
