"""100,000 leases run out at once: one alert, few messages, and little of a core for their minute."""

from __future__ import annotations

import pytest

from benchmarks import sweeps

pytestmark = pytest.mark.soak

USERS = 100_000


async def test_100000_leases_that_run_out_at_once_are_one_alert_and_few_messages() -> None:
    found = await sweeps.measure(USERS)
    print(f"\n{found}")  # noqa: T201
    assert found["alerts that fire"] == "1 lost_storm"
    # The second repeats it with the final number.
    assert 1 <= len(found["messages"]) <= 2
    assert all("users stopped giving signs of life" in one for one in found["messages"])
