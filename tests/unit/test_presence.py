"""From a user's devices to the user."""

from __future__ import annotations

import pytest

from sidecar.domain.lease import Leases
from sidecar.domain.login_state import LoginState, fold
from sidecar.domain.presence import presence
from tests.support.events import BEGIN_US, SECOND_US, Phone


def device(name: str, *said: tuple[str, str, float]) -> LoginState:
    bob = Phone("bob", name)
    return fold(bob.says(state, event, at) for state, event, at in said)


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


def test_silence_is_short_for_a_client_with_heartbeats_and_long_for_one_without() -> None:
    leases = Leases()
    assert leases.until_us(0, sends_heartbeats=True) == 45 * SECOND_US
    assert leases.until_us(0, sends_heartbeats=False) == 24 * 3600 * SECOND_US
