"""Units of time in microseconds."""

from __future__ import annotations

from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US, MS_US, SECOND_US


def test_each_unit_is_a_whole_number_of_microseconds() -> None:
    assert (MS_US, SECOND_US) == (1_000, 1_000_000)
    assert (MINUTE_US, HOUR_US, DAY_US) == (60_000_000, 3_600_000_000, 86_400_000_000)
