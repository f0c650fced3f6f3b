"""Refused calls, and what explains each."""

from __future__ import annotations

from sidecar.domain.events import Event
from sidecar.domain.findings.refused_calls import RefusedCall, call_name, code_of, counted
from tests.support.lives import Device, life


def refused(at: float, events: list[Event]) -> list[RefusedCall]:
    return life(at, events).refused


def test_other_codes_are_not_explained() -> None:
    device = Device()
    events = [device.login(0), device.fails(1, 6_000_104), device.fails(2)]
    assert refused(3, events) == [RefusedCall(events[1]), RefusedCall(events[2], is_early=True)]
    assert refused(3, events[:2]) == [RefusedCall(events[1])]


def test_a_pending_login_ends_with_its_result() -> None:
    device = Device()
    events = [device.login(0), device.fails(1), device.result(2, 6_000_103), device.fails(3)]
    assert [one.is_early for one in refused(4, events)] == [True, False]


def test_what_ended_a_login_explains_the_calls_until_the_next() -> None:
    device = Device()
    events = [*device.logs_in(0), device.kicked(10), device.fails(11), *device.logs_in(20), device.expires(30)]
    calls = [events[4], device.fails(31)]
    assert refused(40, [*events, calls[1]]) == [RefusedCall(calls[0], events[3]), RefusedCall(calls[1], events[-1])]
    unregistered = device.says("DISCONNECTED", "UNREGISTERED", 40)
    call = device.fails(41)
    assert refused(42, [*events, calls[1], unregistered, call])[-1] == RefusedCall(call, unregistered)


def test_a_token_that_had_ended_explains_calls_from_two_seconds_before_its_end() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(100, second=30), device.fails(127.9), device.fails(128)]
    assert [one.ended_by for one in refused(200, events)] == [None, events[3]]
    renewed = [*events, device.renews(129), device.fails(140)]
    assert refused(200, renewed)[-1] == RefusedCall(renewed[-1])
    unnamed = [*events, device.event("token_renewed", 129), device.fails(140)]
    assert refused(200, unnamed)[-1] == RefusedCall(unnamed[-1])
    failed = [*events, device.renews(129, 6_000_103), device.fails(140)]
    assert refused(200, failed)[-1].ended_by == events[3]


def test_a_call_on_a_device_that_is_online_is_not_early() -> None:
    device = Device()
    events = [*device.logs_in(0), device.fails(5), device.login(6)]
    assert refused(10, events) == [RefusedCall(events[3])]


def test_a_login_or_its_callback_that_follows_within_a_minute_makes_a_call_early() -> None:
    for at, is_early in ((60, True), (60.1, False)):
        device = Device()
        assert refused(100, [device.fails(0), device.login(at)])[0].is_early == is_early
        device = Device()
        assert refused(100, [device.fails(0), device.says("CONNECTED", "SUCCESS", at)])[0].is_early == is_early
    device = Device()
    assert not refused(10, [device.fails(0), device.says("RECONNECTING", "LOGIN_INTERRUPTED", 1)])[0].is_early


def test_they_are_recent_and_in_the_order_of_their_moments() -> None:
    one, other = Device(), Device(name="laptop")
    early = [one.login(0), one.fails(1), one.fails(100)]
    late = [other.fails(50, 6_000_105)]
    assert [call.call for call in refused(1_801, [*early, *late])] == [late[0], early[2]]
    assert refused(1_850, late) == []
    assert [call.call for call in refused(1_800.9, [*early, *late])] == [early[1], late[0], early[2]]


def test_names_and_codes_are_cut() -> None:
    call = Device().fails(0, code="c" * 60, method="m" * 70)
    assert call_name(call) == "m" * 59 + "…"
    assert str(code_of(call)) == "c" * 39 + "…"
    assert str(call_name(Device().fails(0, method=None))) == "a call"


def test_the_three_most_frequent_kinds_are_counted_and_then_the_other_calls() -> None:
    device = Device()
    calls = [device.fails(at, code=code) for at, code in enumerate([1, 2, 2, 3, 3, 3, 4])]
    assert str(counted(calls[1::-1])) == "sendMessage once (1), sendMessage once (2)"
    named = "sendMessage 3 times (3), sendMessage 2 times (2), sendMessage once (1)"
    assert str(counted(calls[:6])) == named
    assert str(counted(calls)) == f"{named} and 1 more"
    others = [device.fails(7 + at, code=5 + at // 2) for at in range(4)]
    assert str(counted([*others, *calls])) == (
        "sendMessage 3 times (3), sendMessage 2 times (2), sendMessage 2 times (5) and 4 more"
    )
