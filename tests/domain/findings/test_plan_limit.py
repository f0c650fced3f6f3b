"""That the users of the plan are used up is a finding of its own: no login can help."""

from __future__ import annotations

import pytest

from sidecar.domain import findings
from sidecar.domain.events import API_ERROR, LOGIN_RESULT, TOKEN_RENEWED, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.plan_limit import PlanLimit
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

PHONE = Phone("alice")
DAY = 86_400


def refused(at: float, code: int, phone: Phone = PHONE) -> Event:
    return phone.event(LOGIN_RESULT, at, details={"code": code, "message": ""})


def found(at: float, *events: Event) -> Finding | None:
    return PlanLimit.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


@pytest.mark.parametrize(("code", "word", "lasts"), [(6_000_015, "day", DAY), (6_000_016, "month", 31 * DAY)])
def test_it_holds_until_there_is_a_new_allowance(code: int, word: str, lasts: int) -> None:
    finding = found(lasts - 1, event := refused(0, code))
    assert finding is not None
    assert (finding.kind, finding.severity, finding.events) == ("plan_limit", "critical", (event.id,))
    assert word in str(finding.summary)
    assert str(code) in str(finding.summary)
    assert "will not help" in str(finding.say)
    assert found(lasts, event) is None


def test_the_newest_refusal_names_the_plan() -> None:
    finding = found(60, refused(0, 6_000_015), refused(1, 6_000_016))
    assert finding is not None
    assert (len(finding.events), "6000016" in str(finding.summary)) == (2, True)


def test_another_call_is_evidence_too() -> None:
    call = PHONE.event(API_ERROR, 0, details={"method": "queryUsersInfo", "code": 6_000_015, "message": ""})
    online = [PHONE.says("CONNECTED", "SUCCESS", -9), call]
    assert found(1_799, *online) is not None
    assert found(1_800, *online) is None


def test_only_what_was_refused_is_evidence() -> None:
    assert found(1, PHONE.event("login", 0, details={"code": 6_000_015})) is None


@pytest.mark.parametrize("name", ["alice", "laptop"])
@pytest.mark.parametrize("then", ["online", "logged out", "no callback"])
def test_a_later_login_is_the_end_of_it(name: str, then: str) -> None:
    device = PHONE if name == "alice" else Phone("alice", name)
    first, later = refused(0, 6_000_016), [device.login(50)]
    later += [refused(60, 0, device)] if then == "no callback" else [device.says("CONNECTED", "SUCCESS", 60)]
    if then == "logged out":
        later += [device.event("logout", 90), device.says("DISCONNECTED", "SUCCESS", 90)]
    for at in (61, 600, 1_799):
        finding = found(at, first, *later)
        assert finding is not None
        assert (finding.severity, finding.events) == ("info", (first.id,))
        assert str(finding.summary).endswith("; a login has succeeded since")
        assert "will not help" not in str(finding.say)
        assert "cannot help" not in str(finding.advice)
        assert len(finding.advice) == 1
    assert found(1_800, first, *later) is None


@pytest.mark.parametrize("code", [6_000_101, 6_000_103, 6_000_104, 6_000_106, 12])
@pytest.mark.parametrize("days", [0.1, 20])
def test_the_newest_refusal_leads(code: int, days: float) -> None:
    old = refused(-days * DAY, 6_000_016)
    assert [one.kind for one in findings.find(Life.of(BEGIN_US, "alice", [old]))] == ["plan_limit"]
    life = Life.of(BEGIN_US + SECOND_US, "alice", [old, refused(0, code)])
    assert [one.kind for one in findings.find(life)] == ["login_refused"]
    life = Life.of(BEGIN_US + SECOND_US, "alice", [old, refused(-60, 6_000_016), refused(0, code)])
    first, second = findings.find(life)
    assert (first.kind, second.kind, second.severity) == ("login_refused", "plan_limit", "info")
    assert str(second.summary).endswith("; a later login failed for another reason")
    life = Life.of(BEGIN_US + 9 * SECOND_US, "alice", [old, refused(0, code), refused(1, 6_000_016)])
    assert [(one.kind, one.severity) for one in findings.find(life)] == [("plan_limit", "critical")]


@pytest.mark.parametrize(
    ("event_type", "method", "refuses"),
    [
        (API_ERROR, "sendMessage", "sendMessage"),
        (API_ERROR, "queryUsersInfo", "queryUsersInfo"),
        (API_ERROR, "", "a call"),
        (API_ERROR, "login", "logins"),
        (LOGIN_RESULT, None, "logins"),
        (TOKEN_RENEWED, None, "renewToken"),
    ],
)
def test_it_says_what_was_refused(event_type: str, method: str | None, refuses: str) -> None:
    online = PHONE.says("CONNECTED", "SUCCESS", -9)
    call = PHONE.event(event_type, 0, details={"method": method, "code": 6_000_016, "message": ""})
    finding = found(5, online, call)
    assert finding is not None
    assert str(finding.summary) == f"ZIM refuses {refuses}: 6000016: the plan's users of the month are used up"


def test_it_is_said_once_and_first() -> None:
    call = PHONE.event(API_ERROR, 2, details={"method": "sendMessage", "code": 6_000_104, "message": ""})
    own = PHONE.event(API_ERROR, 3, details={"method": "sendMessage", "code": 6_000_015, "message": ""})
    life = Life.of(BEGIN_US + 10 * SECOND_US, "alice", [PHONE.login(0), refused(1, 6_000_015), call, own])
    assert [one.kind for one in findings.find(life)] == ["plan_limit", "calls_failing"]


def test_other_codes_are_none() -> None:
    assert found(9, refused(0, 6_000_103), refused(1, 0), PHONE.event("logout", 2)) is None
