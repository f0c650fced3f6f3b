"""The login state of a client: the table of the page "Manage user login", and what runs of the real SDK added."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.events import Event
from sidecar.domain.login_state import MOMENTS, LoginState, apply, carried, fold, settled, transition
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone


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
def test_the_table_of_the_page(callback: str | None, user_status: str) -> None:
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


def test_repeated_reconnecting_changes_neither_since_nor_the_number_of_outages() -> None:
    alice = Phone("alice")
    state = after(
        alice.says("CONNECTED", "SUCCESS", at=0),
        *(alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=at) for at in (10, 12, 14, 18, 22, 30)),
    )
    assert (state.status, state.since_us, state.outages) == ("offline", BEGIN_US + 10 * SECOND_US, 1)


def test_two_outages_are_counted() -> None:
    alice = Phone("alice")
    changes = [("RECONNECTING", "LOGIN_INTERRUPTED"), ("CONNECTED", "SUCCESS")] * 2
    assert after(*(alice.says(what[0], what[1], at=at) for at, what in enumerate(changes))).outages == 2


@pytest.mark.parametrize("end", ["KICKED_OUT", "TOKEN_EXPIRED", "UNREGISTERED"])
def test_connected_after_the_end_of_a_login_is_ignored_until_another_login(end: str) -> None:
    dave = Phone("dave")
    ended = [dave.login(at=0), dave.says("DISCONNECTED", end, at=1), dave.says("CONNECTED", "SUCCESS", at=2)]
    state = after(*ended)
    assert (state.status, state.reason, state.since_us) == ("not_logged_in", end, BEGIN_US + SECOND_US)
    again = after(*ended, dave.login(at=3), dave.says("CONNECTED", "SUCCESS", at=4))
    assert (again.status, again.since_us) == ("online", BEGIN_US + 4 * SECOND_US)


def test_a_new_session_counts_although_the_report_of_its_login_was_lost() -> None:
    dave = Phone("dave")
    ended = [dave.login(at=0), dave.says("DISCONNECTED", "TOKEN_EXPIRED", at=1)]
    dave.login(at=2)  # never arrives
    assert after(*ended, dave.says("CONNECTED", "SUCCESS", at=3)).status == "online"


def test_for_a_client_that_never_reports_login_connected_always_counts() -> None:
    carol = Phone("carol")
    state = after(carol.says("DISCONNECTED", "KICKED_OUT", at=0), carol.says("CONNECTED", "SUCCESS", at=1))
    assert state.status == "online"


def test_the_token_is_the_newest_that_the_sdk_accepted() -> None:
    dave = Phone("dave")
    login = dave.login(at=0, token_expires_at_us=100)
    renewed = dave.event("token_renewed", 1, details={"token_expires_at_us": 200, "code": 0})
    refused = dave.event("token_renewed", 2, details={"token_expires_at_us": 300, "code": 6000103})
    assert after(login, renewed, refused).token_expires_at_us == 200


def test_the_duration_of_the_previous_state_counts_from_its_first_event() -> None:
    alice = Phone("alice")
    state = after(*(alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=at) for at in (0, 2, 4)))
    assert transition(state, alice.says("CONNECTED", "SUCCESS", at=7)) == ("RECONNECTING", 7 * SECOND_US)


def test_a_clock_set_back_gives_no_negative_duration() -> None:
    alice = Phone("alice")
    state = after(alice.says("CONNECTED", "SUCCESS", at=100))
    assert transition(state, alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=-50)) == ("CONNECTED", 0)


STATES = st.sampled_from(["DISCONNECTED", "CONNECTING", "CONNECTED", "RECONNECTING", "99"])
EVENTS = st.sampled_from(["SUCCESS", "LOGIN_INTERRUPTED", "KICKED_OUT", "TOKEN_EXPIRED", "LOGIN_TIMEOUT"])
STEPS = st.lists(st.one_of(st.just("login"), st.tuples(STATES, EVENTS)), max_size=12)


def events_from(phone: Phone, steps: list[str | tuple[str, str]]) -> list[Event]:
    return [phone.login(at) if isinstance(step, str) else phone.says(*step, at=at) for at, step in enumerate(steps)]


@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_any_order_of_arrival_with_repeats_gives_the_same_state(
    steps: list[str | tuple[str, str]], chance: random.Random
) -> None:
    events = events_from(Phone("alice"), steps)
    in_order = LoginState()
    for event in events:
        apply(in_order, event)
    arrived = events + chance.choices(events, k=3) if events else []
    chance.shuffle(arrived)
    assert fold(arrived) == in_order


SAID = st.lists(
    st.tuples(
        st.sampled_from(
            [
                ("CONNECTED", "SUCCESS"),
                ("RECONNECTING", "LOGIN_INTERRUPTED"),
                ("DISCONNECTED", "KICKED_OUT"),
                ("DISCONNECTED", "SUCCESS"),
                "login",
                "logout",
                "token_renewed",
            ]
        ),
        st.integers(0, 3),  # few moments, so that many are the same
        st.sampled_from([None, b"1" * 16, b"2" * 16]),
    ),
    max_size=12,
)


def events_of(drawn: list[tuple[Any, int, bytes | None]]) -> list[Event]:
    alice = Phone("alice")
    events = []
    for what, at, session in drawn:
        details = {"token_expires_at_us": at or None, "code": 0}
        made = alice.event(what, at, details=details) if isinstance(what, str) else alice.says(what[0], what[1], at)
        events.append(msgspec.structs.replace(made, session_id=session))
    return events


@given(before=SAID, others=SAID, between=SAID)
def test_carrying_a_change_over_events_equals_applying_them_again(
    before: list[Any], others: list[Any], between: list[Any]
) -> None:
    old, new = after(*events_of(before)), after(*events_of(others))
    starts = [settled(old), settled(new)]
    ends = []
    touched = 0
    for number, start in enumerate(starts):
        state = settled(start)
        for event in events_of(between):
            apply(state, event)
        touched = touched if number else state.touched
        ends.append(settled(state))
    made = carried(starts[0], ends[0], touched, starts[1])
    assert made in (None, ends[1])
    if starts[0] == starts[1]:
        assert made == ends[1]


def test_a_client_that_reported_nothing_is_settled() -> None:
    assert settled(LoginState()) == LoginState()
    assert (LoginState().ended, LoginState().logged_out, LoginState().outages) == (False, False, 0)


@pytest.mark.parametrize(
    ("events", "moments"),
    [
        ([Phone("alice").login(0)], {"login_at_us", "token_expires_at_us"}),
        ([Phone("alice").event("token_renewed", 0, details={"token_expires_at_us": 7})], {"token_expires_at_us"}),
        ([Phone("alice").event("heartbeat", 0)], set()),
        ([Phone("alice").says("CONNECTED", "SUCCESS", 0)], {"since_us", "connection_state_since_us"}),
        (
            [Phone("alice").says("CONNECTED", "SUCCESS", 0), Phone("alice").event("logout", 1, seq=2)],
            {"since_us", "connection_state_since_us", "left_online_us"},
        ),
    ],
)
def test_an_event_notes_which_moments_it_sets(events: list[Event], moments: set[str]) -> None:
    state = after(*events)
    assert {name for name, bit in MOMENTS.items() if state.touched & bit} == moments
    assert state.touched == sum(MOMENTS[name] for name in moments)


def test_each_moment_has_a_bit_of_its_own() -> None:
    assert sorted(MOMENTS.values()) == [1, 2, 4, 8, 16]


def test_a_reported_logout_ends_a_login_without_a_callback() -> None:
    alice = Phone("alice")
    events = [alice.login(0), alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 1), alice.event("logout", 2)]
    state = after(*events)
    assert (state.status, state.reason, state.since_us) == ("not_logged_in", "LOGOUT", BEGIN_US + 2 * SECOND_US)
    late = alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 3)
    assert after(*events, late).status == "not_logged_in"
    assert after(*events, late, alice.says("CONNECTED", "SUCCESS", 4)).status == "online"


def test_a_callback_after_a_reported_logout_gives_its_reason() -> None:
    alice = Phone("alice")
    events = [alice.says("CONNECTED", "SUCCESS", 0), alice.event("logout", 1), alice.says("DISCONNECTED", "SUCCESS", 2)]
    state = after(*events)
    assert (state.status, state.reason, state.since_us) == ("not_logged_in", "SUCCESS", BEGIN_US + 2 * SECOND_US)
    assert state.left_online_us == BEGIN_US + SECOND_US


def test_a_logout_of_a_client_that_is_not_logged_in_changes_no_moment() -> None:
    alice = Phone("alice")
    state = after(alice.says("DISCONNECTED", "LOGIN_TIMEOUT", 0), alice.event("logout", 1))
    assert (state.reason, state.since_us, state.logged_out) == ("LOGIN_TIMEOUT", BEGIN_US, True)


@pytest.mark.parametrize("session", [None, b"1" * 16, b"2" * 16])
def test_an_outage_counts_after_a_logout_only_in_another_session(session: bytes | None) -> None:
    alice = Phone("alice")
    online = alice.says("CONNECTED", "SUCCESS", 0, session_id=b"1" * 16)
    logout = alice.event("logout", 1, session_id=b"1" * 16)
    lost = alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 2, session_id=session)
    assert after(online, logout, lost).status == ("offline" if session == b"2" * 16 else "not_logged_in")
    assert after(online, logout, lost).session_id == (session or b"1" * 16)


def test_after_a_login_or_a_connection_an_outage_counts_again() -> None:
    alice = Phone("alice")
    lost = ("RECONNECTING", "LOGIN_INTERRUPTED")
    ended = [alice.says("CONNECTED", "SUCCESS", 0), alice.event("logout", 1)]
    assert after(*ended, alice.says("CONNECTED", "SUCCESS", 2), alice.says(*lost, 3)).status == "offline"
    assert after(*ended, alice.event("login", 2), alice.says(*lost, 3)).status == "offline"


def test_a_login_that_ended_by_itself_may_connect_again() -> None:
    dave = Phone("dave")
    events = [dave.login(0), dave.says("CONNECTED", "SUCCESS", 1)]
    for state, event in (("DISCONNECTED", "SUCCESS"), ("RECONNECTING", "KICKED_OUT")):
        assert after(*events, dave.says(state, event, 2), dave.says("CONNECTED", "SUCCESS", 3)).status == "online"


def test_an_ended_login_stays_ended_for_events_without_a_session_until_another_connects() -> None:
    dave = Phone("dave")
    events = [dave.login(0), dave.says("DISCONNECTED", "TOKEN_EXPIRED", 1)]
    assert after(*events, dave.says("CONNECTED", "SUCCESS", 2, session_id=None)).status == "not_logged_in"
    dave.login(3)  # never arrives
    another = dave.says("CONNECTED", "SUCCESS", 4)
    state = after(*events, another, dave.says("RECONNECTING", "LOGIN_INTERRUPTED", 5, session_id=None))
    assert (state.status, state.outages, state.ended) == ("offline", 1, False)


def test_a_renewed_token_without_a_code_was_accepted() -> None:
    dave = Phone("dave")
    login = dave.login(0, token_expires_at_us=100)
    assert after(login, dave.event("token_renewed", 1, details={"token_expires_at_us": 200})).token_expires_at_us == 200
    assert after(login, dave.event("token_renewed", 1, details={"code": 0})).token_expires_at_us == 100


def test_a_change_is_carried_over_events_that_set_other_moments() -> None:
    dave = Phone("dave")
    starts = [settled(after(dave.login(at, token_expires_at_us=7))) for at in (1, 2)]
    starts[1].session_id = starts[0].session_id
    end = settled(starts[0])
    beat = dave.event("heartbeat", 3)
    apply(end, beat)
    assert end.order == beat.order
    made = carried(starts[0], end, 0, starts[1])
    assert made is not None
    assert (made.login_at_us, made.token_expires_at_us, made.order) == (BEGIN_US + 2 * SECOND_US, 7, beat.order)
