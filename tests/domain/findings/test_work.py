"""The work for the findings of a user grows as its events do, whatever a sender makes many of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from sidecar.domain import findings
from sidecar.domain.events import Event
from tests.support.lives import Device, life

FEW, TIMES = 40, 10
# Sorting takes a little more than ten times the work for ten times the events.
MOST = 13


def calls(count: int) -> list[Event]:
    device = Device()
    return [device.fails(at) for at in range(count)]


def calls_of_clients(count: int) -> list[Event]:
    return [Device(name=f"client {at}").fails(at) for at in range(count)]


def kicks(count: int) -> list[Event]:
    both = (Device(), Device(name="laptop"))
    return [event for at in range(count // 4) for event in (*both[at % 2].logs_in(at), both[1 - at % 2].kicked(at))]


def kicked_clients(count: int) -> list[Event]:
    devices = [Device(name=f"device {at}") for at in range(count // 4)]
    return [event for at, device in enumerate(devices) for event in (*device.logs_in(at), device.kicked(at + 0.5))]


def logins(count: int) -> list[Event]:
    device = Device()
    return [device.login(at) for at in range(count)]


def refused(count: int) -> list[Event]:
    device = Device()
    return [
        event
        for at in range(count // 4)
        for event in (
            device.login(at),
            device.result(at, 6_000_103),
            device.says("DISCONNECTED", "LOGIN_INTERRUPTED", at),
            device.fails(at, 6_000_103, "login"),
        )
    ]


def refused_alone(count: int) -> list[Event]:
    device = Device()
    return [device.says("DISCONNECTED", "LOGIN_INTERRUPTED", at) for at in range(count)]


def outages(count: int) -> list[Event]:
    device = Device()
    changes = (("RECONNECTING", "LOGIN_INTERRUPTED"), ("CONNECTED", "SUCCESS"))
    return [device.says(*changes[at % 2], at) for at in range(count)]


def tokens(count: int) -> list[Event]:
    device = Device()
    acts = (device.warned, lambda at: device.renews(at, 6_000_103), device.expires)
    return [acts[at % 3](at) for at in range(count)]


def plan(count: int) -> list[Event]:
    device = Device()
    return [device.result(at, 6_000_015) for at in range(count)]


@pytest.mark.parametrize(
    "of", [calls, calls_of_clients, kicks, kicked_clients, logins, refused, refused_alone, outages, tokens, plan]
)
def test_ten_times_the_events_are_about_ten_times_the_work(of: Callable[[int], list[Event]]) -> None:
    few, many = work_of(of(FEW)), work_of(of(FEW * TIMES))
    assert few > FEW
    assert many < few * MOST


def work_of(events: list[Event]) -> int:
    """How many lines of code, and rounds of loops, the findings take."""
    lived = life(1_000, events)
    count = 0

    def trace(_frame: FrameType, what: str, _arg: Any) -> Callable[..., Any]:
        nonlocal count
        count += what == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        findings.find(lived)
    finally:
        sys.settrace(before)
    return count
