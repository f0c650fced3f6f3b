"""100,000 leases run out at once: one alert, one message, and little of a core for their minute."""

from __future__ import annotations

import pytest

from benchmarks import sweeps

pytestmark = pytest.mark.soak

USERS = 100_000


async def test_100000_leases_that_run_out_at_once_are_one_alert_and_one_message() -> None:
    found = await sweeps.measure(USERS)
    print(f"\n{found}")  # noqa: T201
    assert found["alerts that fire"] == "1 lost_storm"
    assert len(found["messages"]) == 1
    assert "users stopped giving signs of life" in found["messages"][0]
