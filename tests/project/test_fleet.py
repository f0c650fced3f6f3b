"""The arithmetic of ``make bench BENCH=fleet``, by made-up costs; what it measures is compared when it runs."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.fleet import STORM_S, Costs, Fleet, fewest_nodes, mean, simulate

COSTS = Costs(
    reconnect_us=((100.0, 1_000.0), (500.0, 600.0)),
    heartbeat_us=200.0,
    bytes_of_an_event=500.0,
    bytes_of_a_user=900.0,
    bytes_of_a_connection=10_000.0,
)


def test_what_a_second_costs_is_in_proportion_between_two_measured_rates_and_a_request_the_same_beyond() -> None:
    seconds = [COSTS.reconnect_s(rate) * rate for rate in (1, 100, 300, 500, 9_000)]
    assert seconds == pytest.approx([0.001, 0.1, 0.2, 0.3, 5.4])


def test_the_mean_of_two_measurements_is_that_of_each_cost() -> None:
    dearer = msgspec.structs.replace(
        COSTS, reconnect_us=((102.0, 3_000.0), (500.0, 800.0)), heartbeat_us=400.0, bytes_of_a_user=1_100.0
    )
    assert mean(COSTS, dearer) == msgspec.structs.replace(
        COSTS, reconnect_us=[(101.0, 2_000.0), (500.0, 700.0)], heartbeat_us=300.0, bytes_of_a_user=1_000.0
    )


def test_a_storm_within_the_capacity_costs_what_its_requests_and_heartbeats_do() -> None:
    found = simulate(Fleet(users=100_000, online=300 * STORM_S), COSTS)
    assert (found.refused, found.reconnected_s) == (0, STORM_S)
    assert found.cpu_s == pytest.approx(
        300 * STORM_S * COSTS.reconnect_s(300) + found.heartbeats_a_second * STORM_S * 200e-6
    )
    assert found.stored_bytes == 300 * STORM_S * 2 * 500


def test_a_storm_beyond_it_is_refused_in_part_and_costs_more() -> None:
    fleet = Fleet(users=10_000_000, online=2_000 * STORM_S)
    one, four = simulate(fleet, COSTS), simulate(fleet, COSTS, 4)
    assert one.refused > 0
    assert one.reconnected_s > STORM_S
    assert four.refused == 0
    assert four.cpu_s * 4 < one.cpu_s


def test_the_fewest_nodes_refuse_nobody_and_one_less_does() -> None:
    fleet = Fleet(users=10_000_000, online=5_000 * STORM_S)
    nodes = fewest_nodes(fleet, COSTS)
    assert simulate(fleet, COSTS, nodes).refused == 0
    assert simulate(fleet, COSTS, nodes - 1).refused > 0
    dearer = msgspec.structs.replace(COSTS, reconnect_us=((100.0, 2_000.0), (500.0, 1_200.0)))
    assert fewest_nodes(fleet, dearer) > nodes
