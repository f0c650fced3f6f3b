"""A user's life: the same in any order, up to now, and the logins in it."""

from __future__ import annotations

import random

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings.life import Life
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


def test_events_are_in_the_order_of_their_moments_and_those_of_a_client_in_that_of_seq() -> None:
    phone = Phone("alice", "clock")
    first, second = phone.says("CONNECTED", "SUCCESS", 5), phone.says("DISCONNECTED", "SUCCESS", 1)
    found = life(20, [second, first])
    assert found.events == [second, first]
    assert found.of_client == {phone.client_id: [first, second]}
    assert found.status == "not_logged_in"


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


def test_what_is_recent_is_less_than_half_an_hour_old() -> None:
    assert life(1_803.9, EVENTS).recent == EVENTS[4:]
    assert life(1_804, EVENTS).recent == EVENTS[5:]
    assert life(20, EVENTS).lately(11_000_001) == EVENTS[5:]


def test_a_device_is_found_by_its_client() -> None:
    assert life(20, EVENTS).device(PHONE.client_id) is None
