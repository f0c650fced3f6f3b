"""Calls of login while a login is pending."""

from __future__ import annotations

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from tests.support.lives import Device, advice, found, ids, one


def again(at: float, events: list[Event]) -> Finding:
    return one(at, events, "duplicate_login_calls")


@pytest.mark.parametrize(
    ("times", "severity", "summary"),
    [
        (1, "info", "login was called again while a login was pending"),
        (2, "info", "login was called 2 times while a login was pending"),
        (3, "warning", "login was called 3 times while a login was pending"),
    ],
)
def test_it_counts_the_calls_that_joined_a_pending_login(times: int, severity: str, summary: str) -> None:
    device = Device()
    calls = [device.login(at) for at in range(times + 1)]
    finding = again(20, [*calls, device.says("CONNECTED", "SUCCESS", 15)])
    assert (finding.severity, str(finding.summary), finding.events) == (severity, summary, ids(*calls))
    assert "Call login once" in advice(finding)


@pytest.mark.parametrize("settled", ["CONNECTED", "DISCONNECTED", "result", "logout"])
def test_a_login_after_a_settled_one_is_a_login(settled: str) -> None:
    device = Device()
    first = device.login(0)
    end = {"result": device.result, "logout": lambda at: device.event("logout", at)}.get(settled)
    second = end(1) if end else device.says(settled, "SUCCESS", 1)
    assert not found(10, [first, second, device.login(2)])


def test_a_login_on_another_device_does_not_join() -> None:
    assert not found(10, [Device().login(0), Device(name="laptop").login(1)])


def test_the_calls_of_several_devices_are_in_the_order_of_their_moments() -> None:
    phone, laptop = Device(), Device(name="laptop")
    calls = [phone.login(0), laptop.login(1), phone.login(2), laptop.login(3)]
    assert again(10, calls).events == ids(*calls)


def test_it_holds_for_half_an_hour() -> None:
    device = Device()
    events = [device.login(0), device.login(100)]
    assert again(1_899, events).events == ids(*events)
    assert [finding.kind for finding in found(1_900, events)] == ["never_logged_in"]
