"""Calls that the app makes before its login is finished."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from tests.support.lives import Device, advice, found, ids, one

KIND = "called_before_connected"


def early(at: float, events: list[Event]) -> Finding:
    return one(at, events, KIND)


def kinds(at: float, events: list[Event]) -> list[str]:
    return [finding.kind for finding in found(at, events)]


def test_calls_while_a_login_is_pending() -> None:
    device = Device()
    login, *calls = [device.login(0), *(device.fails(1 + at, method="queryConversationList") for at in range(3))]
    for ends in ([], [device.says("CONNECTED", "SUCCESS", 5)]):
        finding = early(10, [login, *calls, *ends])
        assert (finding.severity, finding.events) == ("warning", ids(*calls))
        assert str(finding.summary) == (
            "3 calls came before the login was finished: queryConversationList 3 times (6000121: not logged in)"
        )
        assert "reports CONNECTED before the first call" in advice(finding)


def test_two_calls_are_counted() -> None:
    device = Device()
    finding = early(10, [device.login(0), device.fails(1), device.fails(2), device.says("CONNECTED", "SUCCESS", 3)])
    assert (finding.severity, str(finding.summary)[:42]) == ("warning", "2 calls came before the login was finished")


def test_a_call_between_two_logins_of_a_client_is_too_early() -> None:
    device = Device()
    earlier = [*device.logs_in(-90), device.event("logout", -60), device.says("DISCONNECTED", "SUCCESS", -60)]
    events = [*earlier, device.fails(0, method="callAccept"), *device.logs_in(3)]
    finding = early(10, events)
    assert (finding.severity, str(finding.summary)) == (
        "info",
        "callAccept was called before the login was finished (6000121: not logged in)",
    )
    assert kinds(1_799, events) == [KIND]
    assert not found(1_800, events)


def test_a_client_without_calls_of_login_is_logging_in_while_connecting() -> None:
    device = Device()
    connecting = device.says("CONNECTING", "ACTIVE_LOGIN", 0)
    call = device.fails(1)
    assert early(2, [connecting, call]).severity == "warning"
    device = Device()
    assert kinds(2, [device.fails(0), device.says("CONNECTING", "ACTIVE_LOGIN", 1)]) == [KIND]


def test_a_login_that_follows_after_more_than_a_minute_is_another_matter() -> None:
    device = Device()
    assert kinds(100, [device.fails(0), *device.logs_in(60)]) == [KIND]
    assert kinds(100, [device.fails(0), *device.logs_in(61)]) == ["calls_failing"]


@pytest.mark.parametrize("more", [{"code": 6_000_104}, {"code": "6000105"}])
def test_other_codes_have_other_causes(more: dict[str, Any]) -> None:
    device = Device()
    events = [device.login(0), device.fails(1, **more), device.says("CONNECTED", "SUCCESS", 2)]
    assert kinds(3, events) == ["calls_failing"]


def test_calls_after_the_login_or_without_any_are_not_early() -> None:
    device = Device()
    assert kinds(10, [*device.logs_in(0), device.fails(5)]) == ["calls_failing"]
    assert kinds(10, [Device().fails(5)]) == ["calls_failing"]


def test_what_failed_before_a_login_and_after_it_is_told_apart() -> None:
    device = Device()
    events = [device.login(0), device.fails(1), device.says("CONNECTED", "SUCCESS", 2)]
    events += [device.fails(10 + at, code=6_000_105) for at in range(6)]
    first, second = found(20, events)
    assert (first.kind, second.kind) == ("calls_failing", "called_before_connected")
    assert (first.events, second.events) == (ids(*events[3:]), ids(events[1]))
