"""The time that a token has left at a warning."""

from __future__ import annotations

import pytest

from sidecar.domain.findings.token_time import left_us
from sidecar.domain.units import DAY_US, SECOND_US
from tests.support.lives import Device


@pytest.mark.parametrize(
    ("second", "left"),
    [(30, 30 * SECOND_US), (1, SECOND_US), (0, 0), (-5, 0), (10**18, 24 * DAY_US), (None, 0), ("30", 0), (2.5, 0)],
)
def test_it_is_between_nothing_and_24_days(second: object, left: int) -> None:
    assert left_us(Device().event("token_will_expire", 0, details={"second": second})) == left


def test_it_is_nothing_where_the_warning_does_not_say() -> None:
    assert left_us(Device().event("token_will_expire", 0)) == 0
