"""A user's life: the same in any order, up to now, and the logins in it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings.life import Life
from sidecar.domain.session import Session
from sidecar.domain.status import Status
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone
from tests.support.lives import Device

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


def test_a_device_is_found_by_its_client_and_its_status_taken_from_what_is_known() -> None:
    known = [session(b"other", "online"), session(PHONE.client_id, "offline")]
    found = Life.of(BEGIN_US + 20 * SECOND_US, "alice", EVENTS, devices=known)
    assert found.device(PHONE.client_id) is known[1]
    assert found.device(LAPTOP.client_id) is None
    assert [found.status_of(one) for one in (PHONE.client_id, b"other", b"?")] == ["offline", "online", "not_logged_in"]


def test_the_newest_login_is_the_first() -> None:
    assert life(20, EVENTS).logged_in == [EVENTS[4], EVENTS[1]]


def test_refused_calls_are_told_apart_by_what_ended_their_login() -> None:
    device = Device()
    events = [*device.logs_in(0), device.kicked(1), device.fails(2), *device.logs_in(3), device.expires(4)]
    events += [device.fails(5), *device.logs_in(6), device.warned(7, second=1), device.fails(20), device.fails(21, 1)]
    found = life(1_000, events)
    calls = [event for event in events if event.type == "api_error"]
    assert [one.call for one in found.refused] == calls
    ends = ("KICKED_OUT", "TOKEN_EXPIRED", "token_will_expire", "UNREGISTERED")
    assert [found.refused_after(end) for end in ends] == [calls[:1], calls[1:2], calls[2:3], []]
    assert life(1_802, events).refused_after("KICKED_OUT") == []


def session(client_id: bytes, status: Status) -> Session:
    nothing: dict[str, Any] = dict.fromkeys(Session.__struct_fields__)
    return Session(**nothing | {"client_id": client_id, "status": status})
