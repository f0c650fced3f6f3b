"""Connection states and events in every platform's spelling."""

from __future__ import annotations

import pytest

from sidecar.domain.sdk_words import (
    EVENTS,
    STATES,
    connection_event,
    connection_state,
)


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
        "zimConnectionEvent.zimConnectionEventLoginInterrupted",
        "zimConnectionEventLoginInterrupted",
        "ZegoSignalingPluginConnectionAction.loginInterrupted",
        "ZegoZIMConnectionEvent.interrupted",
        "kZIMConnectionEventLoginInterrupted",
        "zim::ZIMConnectionEvent::ZIM_CONNECTION_EVENT_LOGIN_INTERRUPTED",
        "im.zego.zim.enums.ZIMConnectionEvent.LOGIN_INTERRUPTED",
        "ZIMConnectionEvent(rawValue: 3)",
        " login interrupted ",
    ],
)
def test_every_spelling_of_an_event_maps_to_one_name(spelling: str | int) -> None:
    assert connection_event(spelling) == "LOGIN_INTERRUPTED"


@pytest.mark.parametrize(
    "spelling",
    [
        "CONNECTED",
        "Connected",
        "connected",
        2,
        " 2",
        "ZIMConnectionState.connected",
        "ZIMConnectionStateConnected",
        "zimConnectionState.zimConnectionStateConnected",
        "ZegoSignalingPluginConnectionState.connected",
        "ZegoZIMConnectionState.connected",
        "ZIMConnectionState::Connected",
        "ConnectionState_CONNECTED",
        "ZIMConnectionState(rawValue: 2)",
    ],
)
def test_every_spelling_of_a_state_maps_to_one_name(spelling: str | int) -> None:
    assert connection_state(spelling) == "CONNECTED"


def test_the_integers_are_the_sdks() -> None:
    assert [connection_state(number) for number in range(4)] == list(STATES)
    assert [connection_event(number) for number in range(7)] == list(EVENTS)


@pytest.mark.parametrize(
    "value",
    [
        4,
        -1,
        99,
        "Hibernating",
        "",
        " ",
        "connected?",
        "断开",
        "reconnected",
        "ZIMRoomState.connected",
        "ZIMConnectionState.-2",
        "ZIMConnectionState(rawValue: -2)",
        "-2",
        "2.5",
        "\N{FULLWIDTH DIGIT TWO}",
    ],
)
def test_an_unknown_state_is_kept_as_sent(value: str | int) -> None:
    assert connection_state(value) == str(value)


@pytest.mark.parametrize("spell", ["{}", "ZIMConnectionState.{}", "zimConnectionState.zimConnectionState_{}"])
def test_a_name_that_ends_with_another_is_not_mistaken_for_it(spell: str) -> None:
    assert [connection_state(spell.format(name)) for name in STATES] == list(STATES)
    assert [connection_event(spell.replace("State", "Event").format(name)) for name in EVENTS] == list(EVENTS)


def test_a_raw_value_without_its_bracket_is_kept_as_it_is() -> None:
    assert connection_state("ZIMConnectionState(rawValue: 1)") == "CONNECTING"
    assert connection_state("ZIMConnectionState(rawValue: 12") == "ZIMConnectionState(rawValue: 12"
    assert connection_event("1)") == "1)"
