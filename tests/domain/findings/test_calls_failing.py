"""Refused calls are a finding while they are recent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.events import BEGIN_US
from tests.support.lives import Device, advice, found, ids, one

PHONE = Device()


def test_six_messages_failed_although_the_user_is_online() -> None:
    calls = [PHONE.fails(60 * minute, code=6_000_105) for minute in range(6)]
    finding = one(400, [PHONE.says("CONNECTED", "SUCCESS", -10), *calls], "calls_failing")
    assert (finding.severity, finding.since_us) == ("warning", BEGIN_US)
    assert str(finding.summary) == "6 calls failed within 5 min: sendMessage 6 times (6000105: no answer in time)"
    assert finding.events == ids(*calls)


@pytest.mark.parametrize(
    ("code", "message", "summary"),
    [
        (6_000_104, "net", "sendMessage failed with 6000104: no network"),
        ("6000104", "net", "sendMessage failed with 6000104: no network"),
        (999, "odd\nthing", "sendMessage failed with 999: odd\N{REPLACEMENT CHARACTER}thing"),
        (999, "", "sendMessage failed with 999"),
        (None, "", "sendMessage failed with no error code"),
        ([1], "", "sendMessage failed with [1]"),
    ],
)
def test_a_single_call_is_named_with_its_code(code: Any, message: str, summary: str) -> None:
    finding = one(10, [PHONE.fails(0, code, message=message)], "calls_failing")
    assert (finding.severity, str(finding.summary)) == ("info", summary)


def test_a_call_without_a_method_has_a_name_and_a_long_one_is_cut() -> None:
    (finding,) = found(1, [PHONE.fails(0, 6_000_105, method=None)])
    assert str(finding.summary) == "a call failed with 6000105: no answer in time"
    (finding,) = found(1, [PHONE.fails(0, 1, method="m" * 256, message="x" * 65_536)])
    assert len(str(finding.summary)) < 300


def test_the_most_frequent_are_named_in_the_same_order_whatever_came_first() -> None:
    calls = [PHONE.fails(at, code=at % 5) for at in range(10)]
    finding = one(100, calls, "calls_failing")
    assert str(finding.summary) == (
        "10 calls failed within 9 s: sendMessage 2 times (0), sendMessage 2 times (1), sendMessage 2 times (2)"
        " and 4 more"
    )
    assert one(100, calls[::-1], "calls_failing") == finding


@pytest.mark.parametrize(
    ("codes", "say", "advised"),
    [
        ([6_000_104, 6_000_104, 6_000_105], "had no connection", ["6000104 is", "6000105 is"]),
        ([6_000_105, 6_000_105, 1], "gets no answer", ["6000105 is", "Look the code up"]),
        ([6_000_121], "could not send", ["6000121 is"]),
        ([6_000_004, 6_000_006], "could not send", ["calls too often"]),
        ([None], "could not send", ["Look the code up"]),
    ],
)
def test_say_and_advice_go_by_the_codes(codes: list[int | None], say: str, advised: list[str]) -> None:
    finding = one(100, [PHONE.fails(at, code=code) for at, code in enumerate(codes)], "calls_failing")
    assert say in str(finding.say)
    assert all(part in advice(finding) for part in advised)
    assert len(finding.advice) == len(advised)


@pytest.mark.parametrize(("count", "severity"), [(1, "info"), (2, "info"), (3, "warning")])
def test_three_are_more_than_a_slip(count: int, severity: str) -> None:
    calls = [PHONE.fails(at, code=6_000_104 + at) for at in range(count)]
    finding = one(10, calls, "calls_failing")
    assert finding.severity == severity
    assert "had no connection" in str(finding.say)


def test_calls_that_another_finding_explains_are_not_counted() -> None:
    device = Device()
    explained = [device.fails(1, 6_000_103, "login"), device.fails(2, 6_000_015)]
    own = device.fails(3, 6_000_104)
    assert next(one for one in found(10, [*explained, own]) if one.kind == "calls_failing").events == ids(own)
    assert "calls_failing" not in [one.kind for one in found(10, explained)]


def test_it_holds_for_half_an_hour() -> None:
    assert found(1_799, [PHONE.fails(0, 1)])
    assert not found(1_800, [PHONE.fails(0, 1)])


def test_a_call_after_a_logout_or_an_unregistration_is_no_finding_of_another_kind() -> None:
    device = Device()
    events = [*device.logs_in(0), device.event("logout", 10), device.fails(20)]
    assert one(30, events, "calls_failing").severity == "info"
    device = Device()
    events = [*device.logs_in(0), device.says("DISCONNECTED", "UNREGISTERED", 10), device.fails(20)]
    assert one(30, events, "calls_failing").severity == "info"
