"""Which logins failed, each once, and whether one has succeeded since."""

from __future__ import annotations

from sidecar.domain.events import Event
from sidecar.domain.findings import refused_logins
from tests.support.lives import Device, life

PHONE, LAPTOP = Device(), Device(name="laptop")


def failed(*events: Event) -> list[Event]:
    return refused_logins.failed_logins(life(100, events))


def test_results_with_a_code_and_those_without_any_are_failures() -> None:
    events = [PHONE.result(0), PHONE.result(1, 6_000_103), PHONE.result(2, 1), PHONE.event("login_result", 3)]
    assert failed(*events) == events[1:]
    assert failed(PHONE.renews(0, 6_000_103), PHONE.event("logout", 1)) == []


def test_an_error_of_the_call_counts_where_no_result_is_near() -> None:
    near, far = PHONE.fails(10, 6_000_103, "login"), PHONE.fails(10.1, 6_000_103, "login")
    result = PHONE.result(0, 6_000_103)
    assert failed(result, near) == [result]
    assert failed(result, far) == [result, far]
    assert failed(LAPTOP.result(9, 6_000_103), near)[1:] == [near]
    assert failed(PHONE.fails(0, 6_000_103, "logout")) == []


def test_the_callback_counts_where_no_code_is_near() -> None:
    refusal = PHONE.says("DISCONNECTED", "LOGIN_INTERRUPTED", 5)
    assert refused_logins.is_refusal(refusal)
    assert failed(refusal) == [refusal]
    coded = PHONE.result(5, 6_000_107)
    assert failed(refusal, coded) == [coded]
    for state, event in (("RECONNECTING", "LOGIN_INTERRUPTED"), ("DISCONNECTED", "SUCCESS")):
        assert failed(PHONE.says(state, event, 5)) == []


def test_a_second_call_of_a_user_who_is_logged_in_is_no_failure() -> None:
    again = PHONE.result(20, 6_000_111)
    assert failed(again) == [again]
    assert failed(*LAPTOP.logs_in(0), again) == [again]
    phone = Device(name="again")
    assert failed(*phone.logs_in(0), phone.result(20, 6_000_111)) == []


def test_logged_in_after_goes_by_seq_within_a_client_and_by_the_moment_between_clients() -> None:
    phone, laptop = Device(name="a"), Device(name="b")
    before, event, after = phone.says("CONNECTED", "X", 50), phone.result(40, 1), phone.says("CONNECTED", "X", 30)
    other = laptop.says("CONNECTED", "X", 60)
    assert not refused_logins.logged_in_after(life(100, [before, event]), event)
    assert refused_logins.logged_in_after(life(100, [event, after]), event)
    assert refused_logins.logged_in_after(life(100, [event, other]), event)
    assert not refused_logins.logged_in_after(life(100, [laptop.says("CONNECTED", "X", 40), event]), event)
    assert not refused_logins.logged_in_after(life(100, [event, phone.says("DISCONNECTED", "X", 90)]), event)
    assert not refused_logins.logged_in_after(life(100, [event, phone.event("heartbeat", 90)]), event)


def test_which_refusals_are_the_plans() -> None:
    codes = [6_000_015, "6000016", 6_000_014, 0, None]
    assert [refused_logins.is_of_plan(PHONE.fails(0, code)) for code in codes] == [True, True, False, False, False]


def test_refused_as_expired() -> None:
    phone = Device()
    old, new = phone.result(0, 6_000_106), phone.result(1, 6_000_103)
    assert refused_logins.refused_as_expired(life(9, [old]))
    assert not refused_logins.refused_as_expired(life(9, [old, new]))
    assert not refused_logins.refused_as_expired(life(9, [old, *phone.logs_in(2)]))
    assert not refused_logins.refused_as_expired(life(9, []))


def test_a_result_is_a_login_that_succeeded_also_without_the_callback() -> None:
    phone, laptop = Device(), Device(name="laptop")
    event, done = phone.result(9, 6_000_103), phone.result(10, 0)
    assert refused_logins.logged_in_after(life(100, [event, done]), event)
    assert refused_logins.logged_in_after(life(100, [event, laptop.result(10, 0)]), event)
    assert not refused_logins.logged_in_after(life(100, [event, laptop.result(8, 0)]), event)
    for other in (phone.result(11, 6_000_106), phone.login(12), phone.renews(13)):
        assert not refused_logins.logged_in_after(life(100, [event, other]), event)
