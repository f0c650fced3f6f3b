"""The simulated client changes state as the real SDK does, with any seed."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.demo.devices import device
from sidecar.domain import sdk_words
from sidecar.domain.units import HOUR_US, SECOND_US
from sidecar.sdk.recording.recorder import uuid7
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedClient, SimulatedUser
from sidecar.sdk.simulator.simulated_sdk import FIRST_RETRY_S, RETRY_GAPS_S, TRANSITIONS

START_US = 1_795_485_600_000_000
STEADY = Behaviour(outage_every=None, stays=None)
RESTLESS = Behaviour(
    outage_every=20.0, outage_lasts=(1.0, 200.0), stays=90.0, away=5.0, token_lives=50.0, refused=0.2, gives_up=100.0
)


def _client(behaviour: Behaviour, seed: int = 1, user_id: str = "alice", kind: int = 0) -> SimulatedClient:
    rng = Random(seed)  # noqa: S311 - a simulation's chance, not a secret
    return SimulatedClient(
        app_id=7, user_id=user_id, device=device(kind, rng), behaviour=behaviour, start_us=START_US, rng=rng
    )


def _lived(client: SimulatedClient | SimulatedUser, until_us: int = START_US + HOUR_US) -> list[dict[str, Any]]:
    return client.advance(until_us)


def _moves(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (sdk_words.connection_state(event["state"]), sdk_words.connection_event(event["event"]))
        for event in events
        if event["type"] == "connection_state_changed"
    ]


def _at_us(event: dict[str, Any]) -> int:
    return round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1_000) * 1_000


@settings(max_examples=30)  # each lives an hour of a restless client
@given(seed=st.integers(0, 10_000), kind=st.integers(0, 5), renews=st.booleans())
def test_only_transitions_of_the_sdk_occur(seed: int, kind: int, renews: bool) -> None:  # noqa: FBT001
    behaviour = Behaviour(**{name: getattr(RESTLESS, name) for name in RESTLESS.__struct_fields__} | {"renews": renews})
    state = sdk_words.DISCONNECTED
    for move in _moves(_lived(_client(behaviour, seed, kind=kind))):
        assert move in TRANSITIONS[state]
        state = move[0]


@settings(max_examples=30)  # each lives an hour of a restless client
@given(seed=st.integers(0, 10_000))
def test_seq_counts_up_by_one_and_time_never_goes_back(seed: int) -> None:
    events = _lived(_client(RESTLESS, seed))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    times = [_at_us(event) for event in events]
    assert times == sorted(times)
    assert len({event["id"] for event in events}) == len(events)


@settings(max_examples=30)  # each lives an hour of a restless client
@given(seed=st.integers(0, 10_000))
def test_a_session_lasts_from_the_call_of_login_to_the_next(seed: int) -> None:
    session: str | None = None
    seen: set[str] = set()
    for event in _lived(_client(RESTLESS, seed)):
        if event["type"] == "login":
            session = event["session_id"]
            assert session not in seen
            seen.add(str(session))
        assert event["session_id"] == session


@settings(max_examples=30)  # each lives an hour of a restless client
@given(seed=st.integers(0, 10_000), steps=st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_the_steps_of_the_clock_change_nothing(seed: int, steps: list[int]) -> None:
    often = _client(RESTLESS, seed)
    now_us, seen = START_US, []
    for step in steps:
        now_us += step * SECOND_US
        seen += often.advance(now_us)
    assert seen == _lived(_client(RESTLESS, seed), now_us)


def test_a_lost_network_repeats_reconnecting_at_the_sdks_intervals() -> None:
    client = _client(Behaviour(first_outage=1.0, outage_every=None, outage_lasts=(200.0, 200.0), stays=None))
    retries = [
        _at_us(event)
        for event in _lived(client)
        if event["type"] == "connection_state_changed" and _moves([event])[0][0] == sdk_words.RECONNECTING
    ]
    gaps = [round((b - a) / SECOND_US, 2) for a, b in pairwise(retries)]
    assert FIRST_RETRY_S[0] <= gaps[0] <= FIRST_RETRY_S[1]
    assert gaps[1 : 1 + len(RETRY_GAPS_S)] == list(RETRY_GAPS_S)
    assert set(gaps[1 + len(RETRY_GAPS_S) :]) == {32.0}
    assert client.state == sdk_words.CONNECTED


def test_an_old_sdk_gives_up_reconnecting_with_login_timeout() -> None:
    behaviour = Behaviour(
        first_outage=1.0, outage_every=None, outage_lasts=(900.0, 900.0), stays=None, gives_up=300.0, away=9e9
    )
    assert _moves(_lived(_client(behaviour)))[-1] == (sdk_words.DISCONNECTED, sdk_words.LOGIN_TIMEOUT)


def test_dave_is_warned_30_s_and_logged_out_2_s_before_his_token_expires() -> None:
    client = _client(Behaviour(outage_every=None, stays=None, token_lives=45.0, renews=False), user_id="dave")
    events = _lived(client, START_US + 44 * SECOND_US)
    (login,) = [event for event in events if event["type"] == "login"]
    expires = datetime.fromisoformat(login["token_expires_at"]).timestamp()
    (warning,) = [event for event in events if event["type"] == "token_will_expire"]
    assert warning["second"] == 30
    assert round(expires - _at_us(warning) / SECOND_US, 3) == 30
    end = [event for event in events if event["type"] == "connection_state_changed"][-1]
    assert _moves([end]) == [(sdk_words.DISCONNECTED, sdk_words.TOKEN_EXPIRED)]
    assert end["extended_data"] == "Token expired for timer 45"
    assert round(expires - _at_us(end) / SECOND_US, 3) == 2


def test_a_renewed_token_keeps_a_client_logged_in() -> None:
    client = _client(Behaviour(outage_every=None, stays=None, token_lives=45.0))
    renewals = [event for event in _lived(client) if event["type"] == "token_renewed"]
    assert {event["code"] for event in renewals} == {0}
    assert len(renewals) > 60
    assert client.state == sdk_words.CONNECTED


def test_a_renewal_without_a_network_fails_and_is_retried() -> None:
    behaviour = Behaviour(
        first_outage=5.0, outage_every=None, outage_lasts=(20.0, 20.0), stays=None, token_lives=45.0, away=9e9
    )
    codes = [event["code"] for event in _lived(_client(behaviour)) if event["type"] == "token_renewed"]
    assert codes[0] == 6_000_104
    assert 0 in codes


def test_carol_is_kicked_out_by_her_second_device() -> None:
    phone = _client(STEADY, 1, "carol", kind=2)
    browser = _client(Behaviour(first_login=10.0, outage_every=None, stays=None), 2, "carol")
    events = _lived(SimulatedUser([phone, browser], one_device=True), START_US + 11 * SECOND_US)
    kicked = [event for event in events if event.get("extended_data", "").startswith('{"reason"')]
    assert _moves(kicked) == [(sdk_words.DISCONNECTED, sdk_words.KICKED_OUT)]
    assert kicked[0]["platform"] == "IPhoneOS"
    assert (phone.state, browser.state) == (sdk_words.DISCONNECTED, sdk_words.CONNECTED)


def test_bob_stays_logged_in_on_two_devices_where_that_is_allowed() -> None:
    devices = [_client(STEADY, seed, "bob") for seed in (1, 2)]
    _lived(SimulatedUser(devices))
    assert [client.state for client in devices] == [sdk_words.CONNECTED] * 2


def test_calls_after_an_expiry_fail_as_not_logged_in() -> None:
    client = _client(Behaviour(outage_every=None, stays=None, token_lives=45.0, renews=False, away=9e9))
    errors = [event for event in _lived(client) if event["type"] == "api_error"]
    assert [event["code"] for event in errors] == [6_000_121]


def test_a_logout_ends_in_disconnected_with_success() -> None:
    client = _client(Behaviour(outage_every=None, stays=None, away=9e9))
    _lived(client, START_US + 5 * SECOND_US)
    client.log_out(START_US + 6 * SECOND_US)
    events = _lived(client, START_US + 7 * SECOND_US)
    assert [event["type"] for event in events] == ["logout", "connection_state_changed"]
    assert _moves(events) == [(sdk_words.DISCONNECTED, sdk_words.SUCCESS)]
    assert not client.logged_in


@given(at_ms=st.integers(946_684_800_000, 7_258_118_400_000), seed=st.integers(0, 1_000))
def test_ids_are_version_7_and_begin_with_the_time(at_ms: int, seed: int) -> None:
    made = uuid7(at_ms * 1_000 + 999, Random(seed))  # noqa: S311 - same
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == at_ms
    assert UUID(str(made)) == made


def test_a_silent_socket_fails_calls_after_six_seconds_without_a_callback() -> None:
    client = _client(msgspec.structs.replace(STEADY, unanswered=False))
    _lived(client, START_US + SECOND_US)
    client.behave(msgspec.structs.replace(STEADY, unanswered=True), START_US + SECOND_US)
    client.call(START_US + 10 * SECOND_US)
    (failed,) = [event for event in _lived(client, START_US + 16 * SECOND_US) if event["type"] != "heartbeat"]
    assert (failed["type"], failed["code"]) == ("api_error", 6_000_105)
    assert _at_us(failed) - START_US == 16 * SECOND_US
    assert client.state == sdk_words.CONNECTED


def test_a_login_over_a_silent_socket_is_pending_for_ever() -> None:
    client = _client(msgspec.structs.replace(STEADY, unanswered=True))
    assert [event["type"] for event in _lived(client)] == ["login", "connection_state_changed"]
    assert client.state == sdk_words.CONNECTING


def test_a_phone_that_sleeps_says_that_it_lives_and_then_nothing() -> None:
    client = _client(msgspec.structs.replace(RESTLESS, stays=None, token_lives=9e5, refused=0.0))
    _lived(client, START_US + 5 * SECOND_US)
    client.suspend(START_US + 6 * SECOND_US)
    assert [event["type"] for event in _lived(client, START_US + 6 * SECOND_US)][-1] == "heartbeat"
    assert _lived(client) == []


def test_a_network_is_lost_for_as_long_as_wanted() -> None:
    client = _client(STEADY)
    _lived(client, START_US + SECOND_US)
    client.lose_network(START_US + 10 * SECOND_US, 100.0)
    lost, *_, back = [event for event in _lived(client) if event["type"] == "connection_state_changed"]
    assert _at_us(lost) == START_US + 10 * SECOND_US
    # It is noticed at the next retry.
    assert 100 * SECOND_US <= _at_us(back) - _at_us(lost) <= 132 * SECOND_US


def test_a_client_behaves_otherwise_from_then_on() -> None:
    client = _client(STEADY)
    assert len(_lived(client, START_US + HOUR_US)) > 0
    client.behave(msgspec.structs.replace(RESTLESS, token_lives=9e5), START_US + HOUR_US)
    assert {"api_error", "logout"} & {event["type"] for event in _lived(client, START_US + 2 * HOUR_US)}
    client.behave(msgspec.structs.replace(STEADY, first_login=None), START_US + 2 * HOUR_US)
    _lived(client, START_US + 3 * HOUR_US)
    assert {event["type"] for event in _lived(client, START_US + 9 * HOUR_US)} <= {"heartbeat"}


def test_a_login_is_refused_with_the_code_that_is_given() -> None:
    refused = msgspec.structs.replace(STEADY, away=None, refused=1.0, refusal=(6_000_015, "used up"))
    events = _lived(_client(refused))
    assert [event["code"] for event in events if event["type"] == "login_result"] == [6_000_015]
    assert _moves(events)[-1] == (sdk_words.DISCONNECTED, sdk_words.LOGIN_INTERRUPTED)
