"""Refused calls are a finding while they are recent."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain import findings
from sidecar.domain.events import API_ERROR, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

PHONE = Phone("alice")


def failed(at: float, code: Any = 6_000_105, method: str | None = "sendMessage", message: str = "") -> Event:
    return PHONE.event(API_ERROR, at, details={"method": method, "code": code, "message": message})


def found(at: float, *events: Event) -> list[Finding]:
    return findings.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


def test_six_messages_failed_although_the_user_is_online() -> None:
    calls = [failed(60 * minute) for minute in range(6)]
    (finding,) = found(400, PHONE.says("CONNECTED", "SUCCESS", -10), *calls)
    assert (finding.kind, finding.severity, finding.since_us) == ("calls_failing", "warning", BEGIN_US)
    assert str(finding.summary) == "6 calls failed within 5 min: sendMessage 6 times (6000105: no answer in time)"
    assert finding.events == tuple(call.id for call in calls)


@pytest.mark.parametrize(
    ("code", "message", "summary"),
    [
        (6_000_104, "net", "sendMessage failed with 6000104: no network"),
        (999, "odd\nthing", "sendMessage failed with 999: odd\N{REPLACEMENT CHARACTER}thing"),
        (999, "", "sendMessage failed with 999"),
    ],
)
def test_a_single_call_is_named_with_its_code(code: int, message: str, summary: str) -> None:
    (finding,) = found(10, failed(0, code, message=message))
    assert (finding.severity, str(finding.summary)) == ("info", summary)


def test_a_call_without_a_method_has_a_name() -> None:
    assert str(found(1, failed(0, method=None))[0].summary) == "a call failed with 6000105: no answer in time"


def test_it_holds_for_half_an_hour() -> None:
    assert found(1_799, failed(0))
    assert not found(1_800, failed(0))
