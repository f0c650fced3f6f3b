"""A user's life: the same in any order, up to now, and the logins in it."""

from __future__ import annotations

import random

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.logins import Login, logins
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

PHONE, LAPTOP = Phone("alice"), Phone("alice", "laptop")
EVENTS = [
    PHONE.login(0),
    PHONE.says("CONNECTED", "SUCCESS", 1),
    LAPTOP.login(2),
    PHONE.says("DISCONNECTED", "KICKED_OUT", 3),
    LAPTOP.says("CONNECTED", "SUCCESS", 4),
    LAPTOP.says("RECONNECTING", "LOGIN_INTERRUPTED", 9),
]


def life(at: float, events: list[Event]) -> Life:
    return Life.of(BEGIN_US + int(at * SECOND_US), "alice", events)


def test_it_is_the_same_in_any_order_and_with_repeats() -> None:
    chance = random.Random(1)  # noqa: S311 - the same every time
    for _ in range(10):
        shuffled = chance.sample(EVENTS * 2, len(EVENTS) * 2)
        assert life(20, shuffled) == life(20, EVENTS)


def test_what_comes_after_now_does_not_count() -> None:
    assert life(5, EVENTS) == life(5, EVENTS[:5])


@pytest.mark.parametrize(
    ("at", "status", "reason"),
    [(-1, "not_logged_in", None), (5, "online", "SUCCESS"), (9, "offline", "LOGIN_INTERRUPTED")],
)
def test_its_status_follows_from_its_events(at: float, status: str, reason: str | None) -> None:
    found = life(at, EVENTS)
    assert (found.status, found.reason) == (status, reason)
    assert found.status_of(PHONE.client_id) == "not_logged_in"
    assert found.status_of(LAPTOP.client_id) == status


def test_a_login_is_pending_until_it_is_settled_and_further_calls_join_it() -> None:
    phone = Phone("alice", "other")
    first, again, connected = phone.login(0), phone.login(1), phone.says("CONNECTED", "SUCCESS", 2)
    result, second = phone.event("login_result", 2, details={"code": 0}), phone.login(9)
    refused = phone.event("login_result", 10, details={"code": 6_000_103})
    lost = phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 1)
    own = [phone.event("api_error", 0), first, again, lost, connected, result, second]
    assert logins(own) == [Login(first, connected, (again,)), Login(second)]
    assert logins([*own, refused])[-1] == Login(second, refused)
    assert logins([]) == []
