"""The rate limit for sign-in attempts."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest

from sidecar.access import TooManyAttemptsError, throttle
from sidecar.access.throttle import (
    ACCOUNT_AT_ONCE,
    ANOTHER_EVERY_US,
    AT_ONCE,
    CODES_AT_ONCE,
    DEVICE_AT_ONCE,
    Address,
    SignInThrottle,
    Throttle,
    network_of,
)
from tests.support.clocks import Machine

ALICE = ipaddress.ip_address("203.0.113.9")


def throttle_of(machine: Machine) -> Throttle:
    return Throttle(machine.clock, AT_ONCE, ANOTHER_EVERY_US)


def attempts(one: Throttle, client: Address | None, most: int = 100) -> int:
    """How many are allowed in a row."""
    return allowed(lambda: one.attempt(network_of(client)), most)


def allowed(attempt: Callable[[], object], most: int = 100) -> int:
    for count in range(most):
        try:
            attempt()
        except TooManyAttemptsError:
            return count
    return most


def test_so_many_fail_at_once_and_then_one_at_a_time() -> None:
    machine = Machine()
    one = throttle_of(machine)
    assert attempts(one, ALICE) == AT_ONCE
    with pytest.raises(TooManyAttemptsError) as refused:
        one.attempt(network_of(ALICE))
    assert refused.value.headers == (("Retry-After", "6"),)
    machine.passes(ANOTHER_EVERY_US / 1_000_000)
    assert attempts(one, ALICE) == 1
    machine.passes(AT_ONCE * ANOTHER_EVERY_US / 1_000_000)
    assert attempts(one, ALICE) == AT_ONCE


def test_a_successful_attempt_does_not_count() -> None:
    one = throttle_of(Machine())
    for _ in range(3 * AT_ONCE):
        one.attempt(network_of(ALICE))
        one.take_back(network_of(ALICE))
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
    one = throttle_of(Machine())
    attempts(one, ipaddress.ip_address(first))
    assert attempts(one, ipaddress.ip_address(second)) == (0 if shared else AT_ONCE)


def test_a_client_without_an_address_counts_too() -> None:
    one = throttle_of(Machine())
    assert (attempts(one, None), attempts(one, None)) == (AT_ONCE, 0)


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_full_count() -> None:
    machine = Machine()
    one = throttle_of(machine)
    attempts(one, ALICE)
    machine.is_set_by(-86_400)
    assert attempts(one, ALICE) == 0
    machine.passes(ANOTHER_EVERY_US / 1_000_000)
    assert attempts(one, ALICE) == 1


def test_the_number_of_tracked_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "TRACKED_MOST", 100)
    one = throttle_of(Machine())
    for number in range(1_000):
        one.attempt(network_of(ipaddress.ip_address(number)))
    assert len(one._counts) == 100


def of_number(number: int) -> Address:
    return ipaddress.ip_address(0x0B000000 + number)


def test_an_attack_from_many_addresses_has_few_attempts_and_never_locks_a_known_browser_out() -> None:
    machine = Machine()
    one = SignInThrottle(machine.clock)

    def attack(number: int) -> Callable[[], object]:
        return lambda: one.password(of_number(number), 7, "dana", None)

    tries = sum(allowed(attack(number)) for number in range(200))
    assert tries == ACCOUNT_AT_ONCE
    assert allowed(lambda: one.password(ALICE, 7, "dana", "a laptop")) == DEVICE_AT_ONCE
    for number in range(3_600):
        machine.passes(1)
        tries += allowed(attack(1_000 + number), 1)
    assert tries == ACCOUNT_AT_ONCE + 100
    # A person who comes with a new browser when the attack ends waits for a single place.
    machine.passes(36)
    assert allowed(lambda: one.password(ALICE, 7, "dana", None)) == 1


def test_somebody_at_the_same_address_never_locks_a_known_browser_out() -> None:
    one = SignInThrottle(Machine().clock)
    assert allowed(lambda: one.password(ALICE, None, "nobody", None)) == AT_ONCE
    assert allowed(lambda: one.password(ALICE, 7, "dana", None)) == 0
    assert allowed(lambda: one.code(ALICE, 7, None)) == 0
    assert allowed(lambda: one.password(ALICE, 7, "dana", "a laptop")) == DEVICE_AT_ONCE
    assert allowed(lambda: one.code(ALICE, 7, "a laptop")) == CODES_AT_ONCE


def test_an_attempt_that_one_limit_refuses_is_counted_by_none() -> None:
    machine = Machine()
    one = SignInThrottle(machine.clock)
    for number in range(ACCOUNT_AT_ONCE):
        one.password(of_number(number), 7, "dana", None)
    for _ in range(3 * AT_ONCE):
        with pytest.raises(TooManyAttemptsError):
            one.password(ALICE, 7, "dana", None)
    assert allowed(lambda: one.other(ALICE)) == AT_ONCE


def test_invented_names_never_make_room_for_more_attempts_at_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "TRACKED_MOST", 100)
    one = SignInThrottle(Machine().clock)
    for number in range(ACCOUNT_AT_ONCE):
        one.password(of_number(number), 7, "dana", None)
    for number in range(1_000):
        one.password(of_number(1_000 + number), None, f"name {number}", None)
    with pytest.raises(TooManyAttemptsError):
        one.password(of_number(9_999), 7, "dana", None)
