"""That the users of the plan are used up is a finding of its own: no login can help."""

from __future__ import annotations

import pytest

from sidecar.domain import findings
from sidecar.domain.events import API_ERROR, LOGIN_RESULT, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.plan_limit import PlanLimit
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

PHONE = Phone("alice")
DAY = 86_400


def refused(at: float, code: int) -> Event:
    return PHONE.event(LOGIN_RESULT, at, details={"code": code, "message": ""})


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


def test_after_a_login_it_holds_for_half_an_hour() -> None:
    later = [refused(0, 6_000_016), PHONE.says("CONNECTED", "SUCCESS", 60), PHONE.says("DISCONNECTED", "SUCCESS", 90)]
    assert found(1_799, *later) is not None
    assert found(1_800, *later) is None


def test_it_is_said_once_and_first() -> None:
    call = PHONE.event(API_ERROR, 2, details={"method": "sendMessage", "code": 6_000_104, "message": ""})
    own = PHONE.event(API_ERROR, 3, details={"method": "sendMessage", "code": 6_000_015, "message": ""})
    life = Life.of(BEGIN_US + 10 * SECOND_US, "alice", [PHONE.login(0), refused(1, 6_000_015), call, own])
    assert [one.kind for one in findings.find(life)] == ["plan_limit", "calls_failing"]


def test_other_codes_are_none() -> None:
    assert found(9, refused(0, 6_000_103), refused(1, 0), PHONE.event("logout", 2)) is None
