"""Logins that failed are a finding, with what to change for each code."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain import findings
from sidecar.domain.events import API_ERROR, LOGIN_RESULT, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.login_refused import LoginRefused
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

PHONE = Phone("alice")


def refused(at: float, code: Any, phone: Phone = PHONE, message: str = "") -> Event:
    return phone.event(LOGIN_RESULT, at, details={"code": code, "message": message})


def found(at: float, *events: Event) -> Finding | None:
    return LoginRefused.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


@pytest.mark.parametrize(
    ("code", "summary", "severity", "said", "advised"),
    [
        (6_000_003, "The login was refused with 6000003: bad AppID", "critical", "not your fault", "create"),
        (6_000_101, "The login was refused with 6000101: bad token or AppID", "critical", "not your fault", "AppID"),
        (6_000_103, "The login was refused with 6000103: the token is not valid", "critical", "fault", "ServerSecret"),
        (6_000_104, "The login did not reach ZIM: 6000104: no network", "warning", "your connection", "the network"),
        (6_000_105, "The login did not reach ZIM: 6000105: no answer in time", "warning", "network", "not the token"),
        (6_000_106, "The login was refused with 6000106: the token has expired", "critical", "fault", "new token"),
        (6_000_107, "The login was refused with 6000107: the token's version is wrong", "critical", "fault", "04"),
        (
            6_000_108,
            "The login was refused with 6000108: the token is valid for less than 30 s",
            "critical",
            "",
            "30 s",
        ),
        (
            6_000_109,
            "The login was refused with 6000109: the token cannot be read, or is valid for too long",
            "critical",
            "fault",
            "24 days",
        ),
        (6_000_111, "The login was refused with 6000111: already logged in", "critical", "another account", "logout"),
        (
            6_000_124,
            "The login was refused with 6000124: offline login with another user",
            "critical",
            "internet",
            "isO",
        ),
        (12, "The login was refused with 12: odd\N{REPLACEMENT CHARACTER}text", "critical", "fault", "list of error"),
    ],
)
def test_each_code_is_in_words_and_says_what_to_change(
    code: int, summary: str, severity: str, said: str, advised: str
) -> None:
    finding = found(60, PHONE.login(0), event := refused(1, code, message="odd\ntext"))
    assert finding is not None
    assert (str(finding.summary), finding.severity, finding.events) == (summary, severity, (event.id,))
    assert said in str(finding.say)
    (advice,) = finding.advice
    assert advised in str(advice)


def test_a_loop_of_logins_is_one_finding_with_the_newest_code_first() -> None:
    codes = ((0, 6_000_101), (5, 6_000_103), (10, 6_000_104), (20, 6_000_106))
    attempts = [refused(at, code) for at, code in codes]
    finding = found(3 * 86_400, *attempts)
    assert finding is not None
    assert str(finding.summary) == "4 logins were refused, the last with 6000106: the token has expired"
    assert finding.events == tuple(one.id for one in attempts)
    assert [str(one)[:7] for one in finding.advice] == ["6000106", "6000104", "6000103"]
    assert finding.since_us == BEGIN_US


def test_it_holds_while_the_user_is_not_logged_in() -> None:
    assert found(86_400, refused(0, 6_000_103)) is not None


def test_after_a_login_it_is_worth_knowing_for_half_an_hour() -> None:
    events = [refused(0, 6_000_103), PHONE.says("CONNECTED", "SUCCESS", 5)]
    finding = found(1_799, *events)
    assert finding is not None
    assert (finding.severity, "since then" in str(finding.say)) == ("info", True)
    assert found(1_800, *events) is None
    # Also after a logout: the login that failed is over.
    assert found(1_800, *events, PHONE.says("DISCONNECTED", "SUCCESS", 1_000)) is None


def test_only_the_logins_since_the_last_connection_count() -> None:
    old, new = refused(0, 6_000_103), [PHONE.says("CONNECTED", "SUCCESS", 5), PHONE.says("DISCONNECTED", "SUCCESS", 9)]
    finding = found(9_000, old, *new, newest := refused(20, 6_000_106))
    assert finding is not None
    assert finding.events == (newest.id,)


def test_while_another_device_is_online_it_is_a_warning() -> None:
    laptop = Phone("alice", "laptop")
    events = [laptop.says("CONNECTED", "SUCCESS", -600), refused(0, 6_000_103)]
    finding = found(10, *events)
    assert finding is not None
    assert finding.severity == "warning"
    assert found(1_800, *events) is None


def test_an_error_of_the_call_counts_once_beside_its_result() -> None:
    error = PHONE.event(API_ERROR, 0, details={"method": "login", "code": 6_000_103, "message": ""})
    other = PHONE.event(API_ERROR, 0, details={"method": "sendMessage", "code": 6_000_103, "message": ""})
    finding = found(10, error, other)
    assert finding is not None
    assert finding.events == (error.id,)
    finding = found(10, error, result := refused(1, 6_000_103))
    assert finding is not None
    assert finding.events == (result.id,)


def test_a_refusal_without_a_code_counts_where_none_is_reported_with_it() -> None:
    callback = PHONE.says("DISCONNECTED", "LOGIN_INTERRUPTED", 0)
    finding = found(60, callback)
    assert finding is not None
    assert str(finding.summary) == "The login was refused or interrupted, and no code was reported"
    assert "login_result" in str(finding.advice[0])
    finding = found(60, callback, result := refused(1, 6_000_107))
    assert finding is not None
    assert finding.events == (result.id,)


def test_a_second_call_of_the_same_user_is_not_refused() -> None:
    connected = [PHONE.login(0), PHONE.says("CONNECTED", "SUCCESS", 1), PHONE.login(2), refused(3, 6_000_111)]
    assert found(10, *connected) is None


def test_a_healthy_login_and_one_that_the_plan_refused_are_none() -> None:
    phone = Phone("alice", "other")
    healthy = [phone.login(0), refused(1, 0, phone), phone.says("CONNECTED", "SUCCESS", 1)]
    assert found(60, *healthy) is None
    assert found(60, *healthy, phone.says("DISCONNECTED", "SUCCESS", 20)) is None
    plan = findings.find(Life.of(BEGIN_US + SECOND_US, "alice", [refused(0, 6_000_103), refused(1, 6_000_015)]))
    assert [one.kind for one in plan] == ["plan_limit"]


def test_a_login_with_an_expired_token_is_said_once() -> None:
    phone = Phone("alice", "dave")
    events = [phone.says("CONNECTED", "SUCCESS", -60), phone.says("DISCONNECTED", "TOKEN_EXPIRED", 0), phone.login(5)]
    life = Life.of(BEGIN_US + 60 * SECOND_US, "alice", [*events, refused(6, 6_000_106, phone)])
    assert [one.kind for one in findings.find(life)] == ["login_refused"]
    life = Life.of(BEGIN_US + 60 * SECOND_US, "alice", events)
    assert "token_expired" in {one.kind for one in findings.find(life)}


def test_an_error_of_login_is_no_call_that_fails() -> None:
    error = PHONE.event(API_ERROR, 0, details={"method": "login", "code": 6_000_103, "message": ""})
    life = Life.of(BEGIN_US + 60 * SECOND_US, "alice", [error])
    assert [one.kind for one in findings.find(life)] == ["login_refused"]


@pytest.mark.parametrize("name", ["phone", "laptop"])
@pytest.mark.parametrize("callback", [True, False])
def test_a_login_that_succeeded_since_is_the_end_of_it_also_without_its_callback(name: str, *, callback: bool) -> None:
    phone = Phone("alice", "phone")
    events = [phone.login(0), refused(1, 6_000_103, phone)]
    if callback:
        events.append(phone.says("DISCONNECTED", "LOGIN_INTERRUPTED", 1))
    other = phone if name == "phone" else Phone("alice", name)
    events += [other.login(20), refused(21, 0, other)]
    life = Life.of(BEGIN_US + 60 * SECOND_US, "alice", events)
    first, second = findings.find(life)
    assert (first.kind, first.severity) == ("never_logged_in", "warning")
    assert "no connection has ever been reported" in str(first.summary)
    assert (second.kind, second.severity) == ("login_refused", "info")
    again = Life.of(BEGIN_US + 60 * SECOND_US, "alice", [*events, refused(30, 6_000_106, other)])
    assert [(one.kind, one.severity) for one in findings.find(again)] == [("login_refused", "critical")]


def test_a_user_who_was_connected_before_has_not_never_logged_in() -> None:
    phone = Phone("alice", "phone")
    events = [phone.says("CONNECTED", "SUCCESS", 0), phone.says("DISCONNECTED", "SUCCESS", 5)]
    events += [
        refused(10, 6_000_103, phone),
        phone.says("DISCONNECTED", "LOGIN_INTERRUPTED", 10),
        refused(21, 0, phone),
    ]
    life = Life.of(BEGIN_US + 60 * SECOND_US, "alice", events)
    assert [(one.kind, one.severity) for one in findings.find(life)] == [("login_refused", "info")]


def test_the_plans_codes_are_not_counted() -> None:
    attempts = [refused(at, 6_000_103) for at in range(5)]
    finding = found(60, refused(-90, 6_000_015), *attempts, refused(-70, 6_000_016))
    assert finding is not None
    assert str(finding.summary) == "5 logins were refused, the last with 6000103: the token is not valid"
    assert finding.events == tuple(one.id for one in attempts)
    assert [str(one)[:7] for one in finding.advice] == ["6000103"]
