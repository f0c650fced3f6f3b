"""The interval between heartbeats: under the budget, and steady."""

from __future__ import annotations

import random

import pytest

from sidecar.domain.heartbeat_pace import MEAN_WAIT, allowed_us, interval_s
from sidecar.domain.lease import LONGEST_INTERVAL_S, Leases
from sidecar.domain.units import MINUTE_US, SECOND_US

LEASES = Leases()


@pytest.mark.parametrize("clients", [0, 1, 6_750])
def test_few_clients_keep_the_default(clients: int) -> None:
    assert interval_s(clients, 15, LEASES) == 15


@pytest.mark.parametrize("clients", [6_751, 10_000, 99_999, 100_000, 1_000_000])
def test_the_heartbeats_of_many_clients_stay_under_the_budget(clients: int) -> None:
    given_s = interval_s(clients, 15, LEASES)
    assert clients / (given_s * MEAN_WAIT) <= LEASES.heartbeats_per_second
    assert given_s <= clients / LEASES.heartbeats_per_second / MEAN_WAIT * 1.1 + 1, "no longer than it must be"


def test_the_longest_interval_is_one_that_clients_obey() -> None:
    assert interval_s(100_000_000, 15, LEASES) == LONGEST_INTERVAL_S


def test_the_default_is_a_third_of_the_lease_even_of_a_long_one() -> None:
    assert interval_s(10, 15, Leases(heartbeat_us=5 * MINUTE_US)) == 100
    assert Leases(heartbeat_us=SECOND_US).heartbeat_after_s == 1


def test_an_interval_changes_with_a_tenth_more_clients_or_a_quarter_fewer_and_never_back_and_forth() -> None:
    chance = random.Random(3)  # noqa: S311 - the same every time
    given_s = interval_s(50_000, 15, LEASES)
    for _ in range(1_000):
        assert interval_s(chance.randrange(40_000, 54_000), given_s, LEASES) == given_s
    longer_s = interval_s(56_000, given_s, LEASES)
    assert longer_s > given_s
    assert interval_s(50_000, longer_s, LEASES) == longer_s
    assert interval_s(30_000, longer_s, LEASES) < given_s
    assert interval_s(10, longer_s, LEASES) == 15


def test_a_heartbeat_may_be_late_by_what_a_network_takes() -> None:
    assert [allowed_us(after_s) / SECOND_US for after_s in (0, 1, 15, 200)] == [0, 1.125, 16, 201]
