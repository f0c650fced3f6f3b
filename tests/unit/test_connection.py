"""The SDK's words, in every platform's spelling."""

from __future__ import annotations

import pytest

from sidecar.domain.connection import EVENTS, STATES, connection_event, connection_state


@pytest.mark.parametrize(
    "spelling",
    [
        "LOGIN_INTERRUPTED",
        "LoginInterrupted",
        "loginInterrupted",
        "login_interrupted",
        "interrupted",
        "3",
        3,
        "ZIMConnectionEvent.loginInterrupted",
        "ZIM_CONNECTION_EVENT_LOGIN_INTERRUPTED",
    ],
)
def test_every_platforms_spelling_of_an_event_is_one_name(spelling: str | int) -> None:
    assert connection_event(spelling) == "LOGIN_INTERRUPTED"


@pytest.mark.parametrize(
    "spelling",
    ["CONNECTED", "Connected", "connected", 2, "ZIMConnectionState.connected", "ZIMConnectionStateConnected"],
)
def test_every_platforms_spelling_of_a_state_is_one_name(spelling: str | int) -> None:
    assert connection_state(spelling) == "CONNECTED"


def test_the_integers_are_the_sdks() -> None:
    assert [connection_state(number) for number in range(4)] == list(STATES)
    assert [connection_event(number) for number in range(7)] == list(EVENTS)


@pytest.mark.parametrize("value", [4, -1, 99, "Hibernating", "", " ", "connected?", "断开"])
def test_an_unknown_state_is_kept_as_it_came(value: str | int) -> None:
    assert connection_state(value) == str(value)
