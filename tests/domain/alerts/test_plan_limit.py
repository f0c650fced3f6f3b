"""``plan_limit``: the users of an app's plan are used up."""

from __future__ import annotations

import pytest

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.rules import advice
from sidecar.domain.events import Event
from tests.support.events import Phone
from tests.support.rules_in_memory import Rules, lines, us

APP = Subject(7)
HOUR_S = 3_600


def refused(code: int, at: float = 1, user_id: str = "alice", kind: str = "login_result", app_id: int = 7) -> Event:
    details = {"method": "queryMessages", "code": code, "message": ""}
    return Phone(user_id, app_id=app_id).event(kind, at, details=details)


@pytest.mark.parametrize("kind", ["login_result", "api_error"])
@pytest.mark.parametrize(("code", "of"), [(6000015, "day"), (6000016, "month")])
def test_a_refusal_for_the_plan_is_one_alert_of_its_app(kind: str, code: int, of: str) -> None:
    rules = Rules()
    told = lines(rules.takes(refused(code, kind=kind)))
    assert told == [("opened", "plan_limit", f"ZIM refuses logins: {code}: the plan's users of the {of} are used up")]
    assert [one.what for one in rules.takes(refused(code, 2, "bob", kind))] == ["cause"]
    alert = rules.about("plan_limit", APP)
    assert (alert.count, alert.severity, alert.subject) == (2, "critical", APP)
    assert [one.what for one in rules.takes(refused(code, 2, "bob", kind, app_id=8))] == ["opened"]


@pytest.mark.parametrize("code", [0, 6000013, 6000103, 6000106])
def test_any_other_refusal_is_none(code: int) -> None:
    rules = Rules()
    assert rules.takes(refused(code)) == []
    assert rules.takes(refused(code, kind="api_error")) == []


def test_it_is_over_when_nobody_was_refused_for_a_while() -> None:
    rules = Rules(plan_limit_window_us=HOUR_S * 1_000_000)
    rules.takes(refused(6000016, 1))
    rules.takes(refused(6000016, 100, "bob"))
    alert = rules.about("plan_limit", APP)
    assert alert.due_us == us(100 + HOUR_S)
    rules.set.resolve_due([alert], us(100 + HOUR_S))
    assert lines(rules.commit()) == [("resolved", "plan_limit", "nobody was refused for the plan for 1 h")]


def test_one_that_was_received_late_notifies_nobody() -> None:
    rules = Rules()
    late = Phone("alice", app_id=7).event(
        "login_result", 0, received_at_us=us(HOUR_S), moment_us=us(0), details={"code": 6000015}
    )
    rules.takes(late)
    assert rules.about("plan_limit", APP).suppressed_by == "late"


def test_the_advice_is_not_to_log_in_again() -> None:
    assert "Logging in again cannot help" in advice("plan_limit")
