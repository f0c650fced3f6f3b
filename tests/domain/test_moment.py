"""The moment of an event by the server's clock."""

from __future__ import annotations

import pytest

from sidecar.domain.moment import EARLIEST_US, clock_off_us, moment_us, wrong_by_us
from sidecar.domain.units import MINUTE_US, SECOND_US
from tests.support.events import BEGIN_US, Phone


def test_a_clock_that_is_right_is_believed() -> None:
    assert moment_us(BEGIN_US - 7, BEGIN_US) == BEGIN_US - 7
    assert moment_us(BEGIN_US, BEGIN_US) == BEGIN_US


@pytest.mark.parametrize("off_us", [2 * SECOND_US, -2 * SECOND_US])
def test_network_delay_is_no_error_of_a_clock(off_us: int) -> None:
    sent_us = BEGIN_US + off_us
    assert moment_us(BEGIN_US - 5 * SECOND_US, BEGIN_US, sent_us) == BEGIN_US - 5 * SECOND_US


@pytest.mark.parametrize("off_us", [2 * SECOND_US + 1, -2 * SECOND_US - 1, MINUTE_US])
def test_a_clock_that_is_off_is_corrected_by_what_it_showed_at_sending(off_us: int) -> None:
    sent_us = BEGIN_US + off_us
    assert moment_us(sent_us - 5 * SECOND_US, BEGIN_US, sent_us) == BEGIN_US - 5 * SECOND_US


def test_an_impossible_moment_is_that_of_the_receipt() -> None:
    assert moment_us(BEGIN_US + 1, BEGIN_US) == BEGIN_US
    assert moment_us(EARLIEST_US, BEGIN_US) == EARLIEST_US == 946_684_800_000_000
    assert moment_us(EARLIEST_US - 1, BEGIN_US) == BEGIN_US
    assert moment_us(BEGIN_US + 6, BEGIN_US, BEGIN_US + 5) == BEGIN_US


def test_a_clock_is_ahead_by_what_it_shows_more_than_ours() -> None:
    event = Phone("alice").event("heartbeat", 0, occurred_at_us=BEGIN_US + 9, received_at_us=BEGIN_US)
    assert clock_off_us(event) == 9


@pytest.mark.parametrize(("off_us", "shown_us"), [(0, 0), (MINUTE_US, 0), (-MINUTE_US, 0), (60_000_001, 60_000_001)])
def test_only_a_clock_that_is_wrong_by_more_than_a_minute_is_shown(off_us: int, shown_us: int) -> None:
    assert wrong_by_us(off_us) == shown_us
