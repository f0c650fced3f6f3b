"""The rate limit for sign-in attempts."""

from __future__ import annotations

import ipaddress

import pytest

from sidecar.access import TooManyAttemptsError, throttle
from sidecar.access.throttle import ANOTHER_EVERY_US, AT_ONCE, Address, Throttle
from tests.support.clocks import Machine

ALICE = ipaddress.ip_address("203.0.113.9")


def attempts(one: Throttle, client: Address | None, most: int = 100) -> int:
    """How many are allowed in a row."""
    for count in range(most):
        try:
            one.attempt(client)
        except TooManyAttemptsError:
            return count
    return most


def test_so_many_fail_at_once_and_then_one_at_a_time() -> None:
    machine = Machine()
    one = Throttle(machine.clock)
    assert attempts(one, ALICE) == AT_ONCE
    with pytest.raises(TooManyAttemptsError) as refused:
        one.attempt(ALICE)
    assert refused.value.headers == (("Retry-After", "6"),)
    machine.passes(ANOTHER_EVERY_US / 1_000_000)
    assert attempts(one, ALICE) == 1
    machine.passes(AT_ONCE * ANOTHER_EVERY_US / 1_000_000)
    assert attempts(one, ALICE) == AT_ONCE


def test_a_successful_attempt_does_not_count() -> None:
    one = Throttle(Machine().clock)
    for _ in range(3 * AT_ONCE):
        one.attempt(ALICE)
        one.succeeded(ALICE)
    assert attempts(one, ALICE) == AT_ONCE


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("203.0.113.9", "203.0.113.10", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_clients_count_by_address_and_by_the_network_of_one_host(first: str, second: str, *, shared: bool) -> None:
    one = Throttle(Machine().clock)
    attempts(one, ipaddress.ip_address(first))
    assert attempts(one, ipaddress.ip_address(second)) == (0 if shared else AT_ONCE)


def test_a_client_without_an_address_counts_too() -> None:
    one = Throttle(Machine().clock)
    assert (attempts(one, None), attempts(one, None)) == (AT_ONCE, 0)


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_full_count() -> None:
    machine = Machine()
    one = Throttle(machine.clock)
    attempts(one, ALICE)
    machine.is_set_by(-86_400)
    assert attempts(one, ALICE) == 0
    machine.passes(ANOTHER_EVERY_US / 1_000_000)
    assert attempts(one, ALICE) == 1


def test_the_number_of_tracked_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "CLIENTS_MOST", 100)
    one = Throttle(Machine().clock)
    for number in range(1_000):
        one.attempt(ipaddress.ip_address(number))
    assert len(one._settled_us) == 100
