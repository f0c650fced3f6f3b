"""The cause of a kick-out: another device only if it just logged in and was live."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.events import Event
from sidecar.domain.kick import Cause, cause_of
from tests.support.events import Phone

DAY = 86_400
PHONE, LAPTOP = Phone("carol", "phone"), Phone("carol", "laptop")


def changed(phone: Phone, state: str, at: float, event: str = "SUCCESS") -> Event:
    return phone.says(state, event, at)


def kicked(at: float) -> Event:
    return PHONE.says("DISCONNECTED", "KICKED_OUT", at)


def test_a_recent_login_of_a_live_device_is_the_cause() -> None:
    login = LAPTOP.login(95)
    around = [changed(PHONE, "CONNECTED", 0), login, changed(LAPTOP, "CONNECTED", 96), kicked(100)]
    assert cause_of(around[-1], reversed(around)) == Cause(login)


def test_without_login_calls_a_device_logs_in_when_it_connects() -> None:
    login = changed(LAPTOP, "CONNECTED", 105)
    own = changed(PHONE, "CONNECTED", 0)
    kick = kicked(100)
    assert cause_of(kick, [own, login, kick]) == Cause(login)


def test_a_device_that_logged_out_is_no_cause_and_a_reconnected_one_may_have_kicked_itself() -> None:
    around = [
        LAPTOP.login(0),
        changed(LAPTOP, "CONNECTED", 1),
        changed(LAPTOP, "DISCONNECTED", 2),
        changed(PHONE, "CONNECTED", 10),
        changed(PHONE, "RECONNECTING", 3 * DAY, "LOGIN_INTERRUPTED"),
        changed(PHONE, "CONNECTED", 3 * DAY + 20),
        kicked(3 * DAY + 50),
    ]
    assert cause_of(around[-1], around) == Cause(may_be_itself=True)


@pytest.mark.parametrize(
    "around",
    [
        [LAPTOP.login(0), changed(LAPTOP, "CONNECTED", 1)],  # long before, and live still
        [LAPTOP.login(980), changed(LAPTOP, "CONNECTED", 981), changed(LAPTOP, "DISCONNECTED", 990)],  # gone by then
        [LAPTOP.login(980), LAPTOP.event("logout", 990)],
        [changed(LAPTOP, "CONNECTED", 0), changed(LAPTOP, "RECONNECTING", 900), changed(LAPTOP, "CONNECTED", 995)],
        [LAPTOP.login(1_020)],  # after it
        [],
    ],
)
def test_there_is_no_cause_without_a_recent_login_of_a_live_device(around: list[Event]) -> None:
    own = changed(PHONE, "CONNECTED", 0)
    kick = kicked(1_000)
    assert cause_of(kick, [own, *around, kick]) == Cause()


def test_a_reconnect_is_no_cause_while_another_device_is_live_or_long_after() -> None:
    own = [changed(PHONE, "CONNECTED", 0), changed(PHONE, "RECONNECTING", 100), changed(PHONE, "CONNECTED", 110)]
    live = [LAPTOP.login(0), changed(LAPTOP, "CONNECTED", 1)]
    late = kicked(500)
    assert cause_of(late, [*own, late]) == Cause()
    soon = msgspec.structs.replace(late, occurred_at_us=kicked(130).occurred_at_us, moment_us=kicked(130).moment_us)
    assert cause_of(soon, [*own, *live, soon]) == Cause()
    assert cause_of(soon, [*own, soon]) == Cause(may_be_itself=True)


def test_a_device_whose_login_ended_is_no_cause_in_whatever_order_its_events_are_given() -> None:
    around = [LAPTOP.login(80), changed(LAPTOP, "CONNECTED", 81), changed(LAPTOP, "DISCONNECTED", 90)]
    kick = kicked(100)
    assert cause_of(kick, [*around[::-1], kick]) == Cause()


@pytest.mark.parametrize("event", ["heartbeat", "token_renewed"])
def test_what_is_no_end_of_a_login_leaves_it(event: str) -> None:
    login = LAPTOP.login(90)
    kick = kicked(100)
    assert cause_of(kick, [login, LAPTOP.event(event, 95), kick]) == Cause(login)


def test_a_device_that_disconnects_at_the_moment_of_the_kick_was_live() -> None:
    login = LAPTOP.login(90)
    kick = kicked(100)
    assert cause_of(kick, [login, changed(LAPTOP, "DISCONNECTED", 100), kick]) == Cause(login)
    assert cause_of(kick, [login, LAPTOP.event("logout", 99.999999), kick]) == Cause()


def test_of_two_logins_the_closest_is_the_cause() -> None:
    tablet = Phone("carol", "tablet")
    before, after = LAPTOP.login(91), tablet.login(107)
    kick = kicked(100)
    assert cause_of(kick, [before, after, kick]) == Cause(after)
    assert cause_of(kick, [tablet.login(110), before, kick]) == Cause(before)


@pytest.mark.parametrize(
    ("at", "is_cause"), [(79.999999, False), (80, True), (200, True), (210, True), (210.000001, False)]
)
def test_the_login_is_within_two_minutes_before_and_ten_seconds_after(at: float, *, is_cause: bool) -> None:
    login = LAPTOP.login(at)
    kick = kicked(200)
    assert cause_of(kick, [login, kick]) == Cause(login if is_cause else None)


def test_a_login_after_a_first_one_that_lasts_is_no_other_login() -> None:
    around = [LAPTOP.login(0), changed(LAPTOP, "RECONNECTING", 124), changed(LAPTOP, "CONNECTED", 125)]
    kick = kicked(130)
    assert cause_of(kick, [*around, kick]) == Cause()


@pytest.mark.parametrize(("at", "may_be"), [(160, True), (160.000001, False)])
def test_a_device_kicks_itself_within_a_minute_of_its_return(at: float, *, may_be: bool) -> None:
    phone = Phone("carol", "phone")
    own = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 90), phone.says("CONNECTED", "SUCCESS", 100)]
    kick = phone.says("DISCONNECTED", "KICKED_OUT", at)
    assert cause_of(kick, [*own, kick]) == Cause(may_be_itself=may_be)


def test_a_device_may_kick_itself_while_it_reconnects_but_not_by_what_follows() -> None:
    phone = Phone("carol", "phone")
    lost = phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 90)
    kick = phone.says("DISCONNECTED", "KICKED_OUT", 100)
    later = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 101), phone.says("CONNECTED", "SUCCESS", 102)]
    assert cause_of(kick, [lost, kick]) == Cause(may_be_itself=True)
    assert cause_of(kick, [kick, *later]) == Cause()
    assert cause_of(kick, [phone.event("heartbeat", 95), lost, kick]) == Cause(may_be_itself=True)
