"""The page "Manage user login", as tests that read like its table, and what runs of the real SDK added to it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState, apply, fold, transition
from tests.support.events import BEGIN_US, SECOND_US, Phone


def after(*events: Event) -> LoginState:
    return fold(events)


@pytest.mark.parametrize(
    ("callback", "user_status"),
    [
        (None, "not_logged_in"),  # never triggered: login has never been called
        ("CONNECTED", "online"),
        ("RECONNECTING", "offline"),
        ("DISCONNECTED", "not_logged_in"),
    ],
)
def test_the_pages_table(callback: str | None, user_status: str) -> None:
    alice = Phone("alice")
    state = after(alice.says(callback, "SUCCESS", at=0)) if callback else after()
    assert state.status == user_status


@pytest.mark.parametrize("before", ["CONNECTED", "RECONNECTING", "DISCONNECTED"])
@pytest.mark.parametrize("unknown", ["CONNECTING", "HIBERNATING", "99"])
def test_connecting_and_unknown_states_change_nothing(before: str, unknown: str) -> None:
    alice = Phone("alice")
    first = alice.says(before, "SUCCESS", at=0)
    then = after(first, alice.says(unknown, "ACTIVE_LOGIN", at=5))
    was = after(first)
    assert (then.status, then.since_us, then.reason) == (was.status, was.since_us, was.reason)
    assert then.connection_state == unknown


def test_repeated_reconnecting_moves_neither_since_nor_the_count_of_outages() -> None:
    alice = Phone("alice")
    state = after(
        alice.says("CONNECTED", "SUCCESS", at=0),
        *(alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=at) for at in (10, 12, 14, 18, 22, 30)),
    )
    assert (state.status, state.since_us, state.outages) == ("offline", BEGIN_US + 10 * SECOND_US, 1)


def test_two_outages_are_two() -> None:
    alice = Phone("alice")
    said = [("RECONNECTING", "LOGIN_INTERRUPTED"), ("CONNECTED", "SUCCESS")] * 2
    assert after(*(alice.says(*what, at=at) for at, what in enumerate(said))).outages == 2


@pytest.mark.parametrize("end", ["KICKED_OUT", "TOKEN_EXPIRED", "UNREGISTERED"])
def test_connected_after_the_end_of_a_login_is_not_believed_until_another_login(end: str) -> None:
    dave = Phone("dave")
    ended = [dave.login(at=0), dave.says("DISCONNECTED", end, at=1), dave.says("CONNECTED", "SUCCESS", at=2)]
    state = after(*ended)
    assert (state.status, state.reason, state.since_us) == ("not_logged_in", end, BEGIN_US + SECOND_US)
    again = after(*ended, dave.login(at=3), dave.says("CONNECTED", "SUCCESS", at=4))
    assert (again.status, again.since_us) == ("online", BEGIN_US + 4 * SECOND_US)


def test_a_new_session_is_believed_although_the_report_of_its_login_was_lost() -> None:
    dave = Phone("dave")
    ended = [dave.login(at=0), dave.says("DISCONNECTED", "TOKEN_EXPIRED", at=1)]
    dave.login(at=2)  # never arrives
    assert after(*ended, dave.says("CONNECTED", "SUCCESS", at=3)).status == "online"


def test_a_client_that_never_reports_login_is_taken_at_its_word() -> None:
    carol = Phone("carol")
    state = after(carol.says("DISCONNECTED", "KICKED_OUT", at=0), carol.says("CONNECTED", "SUCCESS", at=1))
    assert state.status == "online"


def test_the_token_is_the_newest_that_the_sdk_took() -> None:
    dave = Phone("dave")
    login = dave.login(at=0, token_expires_at_us=100)
    renewed = dave.event("token_renewed", 1, details={"token_expires_at_us": 200, "code": 0})
    refused = dave.event("token_renewed", 2, details={"token_expires_at_us": 300, "code": 6000103})
    assert after(login, renewed, refused).token_expires_at_us == 200


def test_how_long_the_previous_state_lasted_is_counted_from_its_first_event() -> None:
    alice = Phone("alice")
    state = after(*(alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=at) for at in (0, 2, 4)))
    assert transition(state, alice.says("CONNECTED", "SUCCESS", at=7)) == ("RECONNECTING", 7 * SECOND_US)


def test_a_clock_that_was_set_back_gives_no_negative_duration() -> None:
    alice = Phone("alice")
    state = after(alice.says("CONNECTED", "SUCCESS", at=100))
    assert transition(state, alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=-50)) == ("CONNECTED", 0)


STATES = st.sampled_from(["DISCONNECTED", "CONNECTING", "CONNECTED", "RECONNECTING", "99"])
EVENTS = st.sampled_from(["SUCCESS", "LOGIN_INTERRUPTED", "KICKED_OUT", "TOKEN_EXPIRED", "LOGIN_TIMEOUT"])
STEPS = st.lists(st.one_of(st.just("login"), st.tuples(STATES, EVENTS)), max_size=12)


def told(phone: Phone, steps: list[str | tuple[str, str]]) -> list[Event]:
    return [phone.login(at) if isinstance(step, str) else phone.says(*step, at=at) for at, step in enumerate(steps)]


@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_any_order_of_arrival_with_repeats_gives_the_state_of_the_ordered_sequence(
    steps: list[str | tuple[str, str]], chance: random.Random
) -> None:
    events = told(Phone("alice"), steps)
    in_order = LoginState()
    for event in events:
        apply(in_order, event)
    arrived = events + chance.choices(events, k=3) if events else []
    chance.shuffle(arrived)
    assert fold(arrived) == in_order
