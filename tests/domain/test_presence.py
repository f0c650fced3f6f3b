"""The status of a user over all devices."""

from __future__ import annotations

import pytest

from sidecar.domain.login_state import LoginState, fold
from sidecar.domain.presence import presence
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone


def device(name: str, *changes: tuple[str, str, float]) -> LoginState:
    bob = Phone("bob", name)
    return fold(bob.says(state, event, at) for state, event, at in changes)


ONLINE = device("laptop", ("CONNECTED", "SUCCESS", 1))
OFFLINE = device("phone", ("CONNECTED", "SUCCESS", 2), ("RECONNECTING", "LOGIN_INTERRUPTED", 6))
ENDED = device("tablet", ("CONNECTED", "SUCCESS", 3), ("DISCONNECTED", "KICKED_OUT", 9))


@pytest.mark.parametrize(
    ("devices", "status", "reason", "since"),
    [
        ([], "not_logged_in", None, None),
        ([LoginState()], "not_logged_in", None, None),
        ([ONLINE, OFFLINE, ENDED], "online", "SUCCESS", 1),
        ([OFFLINE, ENDED], "offline", "LOGIN_INTERRUPTED", 9),  # online until the tablet was kicked out
        ([OFFLINE], "offline", "LOGIN_INTERRUPTED", 6),
        ([ENDED], "not_logged_in", "KICKED_OUT", 9),
    ],
)
def test_online_beats_offline_beats_not_logged_in(
    devices: list[LoginState], status: str, reason: str | None, since: int | None
) -> None:
    found = presence(devices)
    since_us = None if since is None else BEGIN_US + since * SECOND_US
    assert (found.status, found.reason, found.since_us) == (status, reason, since_us)
    assert presence(devices[::-1]) == found


@pytest.mark.parametrize("only", [LoginState(), ONLINE, OFFLINE, ENDED])
@pytest.mark.parametrize("left_s", [None, 0, 7, 99])
def test_one_device_decides_as_it_does_beside_one_that_never_reported(only: LoginState, left_s: int | None) -> None:
    left_us = None if left_s is None else BEGIN_US + left_s * SECOND_US
    assert presence([only], left_online_us=left_us) == presence([only, LoginState()], left_online_us=left_us)


def test_a_user_is_offline_since_the_last_device_left_online_also_one_that_is_not_given() -> None:
    assert presence([OFFLINE], left_online_us=BEGIN_US + 8 * SECOND_US).since_us == BEGIN_US + 8 * SECOND_US
    assert presence([OFFLINE], left_online_us=BEGIN_US).since_us == BEGIN_US + 6 * SECOND_US
    set_back = device("phone", ("CONNECTED", "SUCCESS", 0), ("DISCONNECTED", "SUCCESS", 50), ("RECONNECTING", "X", 20))
    assert presence([set_back]).since_us == BEGIN_US + 50 * SECOND_US


def test_devices_that_never_were_online_are_offline_since_the_first_and_the_last_decides() -> None:
    first, last = (device(name, ("RECONNECTING", name, at)) for name, at in (("phone", 3), ("desk", 5)))
    found = presence([last, first])
    assert (found.since_us, found.reason, found.decided_by) == (BEGIN_US + 3 * SECOND_US, "desk", last)


def test_the_first_online_and_the_last_ended_decide() -> None:
    early, late = device("desk", ("CONNECTED", "A", 1)), device("phone", ("CONNECTED", "B", 2))
    assert presence([late, early]).decided_by == early
    gone = device("tablet", ("CONNECTED", "SUCCESS", 3), ("DISCONNECTED", "LOGIN_TIMEOUT", 7))
    found = presence([ENDED, gone])
    assert (found.reason, found.since_us, found.decided_by) == ("KICKED_OUT", BEGIN_US + 9 * SECOND_US, ENDED)


def test_of_devices_that_came_at_one_moment_the_same_decides_in_any_order() -> None:
    both = [device(name, ("CONNECTED", name, 1)) for name in ("phone", "desk")]
    assert presence(both).decided_by == presence(both[::-1]).decided_by == min(both, key=lambda one: one.last_id)
