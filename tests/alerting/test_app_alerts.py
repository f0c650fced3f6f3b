"""Alerts about an app: ``calls_failing`` and ``plan_limit``, on a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.alert_reaction import Policy
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.units import SECOND_US
from tests.support.timeline import OPS, Timeline, firing, resolved


def story(folder: Path, **thresholds: Any) -> Timeline:
    return Timeline(folder, Policy(receivers={OPS: 1_000}, thresholds=Thresholds(**thresholds)))


def logged_in(made: Timeline, users: int) -> Timeline:
    for number in range(users):
        made.at(0).login(f"user-{number}")
    return made


def fails(made: Timeline, users: range, code: int, *, method: str = "sendMessage", kind: str = "api_error") -> Timeline:
    for number in users:
        details = {"method": method, "code": code, "message": "it failed"}
        made.event(made.phone(f"user-{number}").event(kind, made._now, details=details))
    return made


def test_calls_of_many_that_fail_are_one_alert_until_they_fail_no_more(tmp_path: Path) -> None:
    made = logged_in(story(tmp_path, calls_failing_users=10), 40)
    fails(made.at(20), range(7), 6000104)
    fails(made.at(30), range(5, 13), 6000105)
    made.want(firing("calls_failing")).between(30, 32)
    made.want(resolved("calls_failing")).between(90, 100)
    made.run(until=120)
    (alert,) = made.alerts()
    assert (alert.count, alert.subject.user_id, alert.facts["users"]) == (13, None, 13)
    assert str(alert.summary) == (
        "Calls of 13 users failed within 1 min, 32% of those logged in; 62% with 6000105: no answer in time,"
        " 100% on Web"
    )


def test_one_user_whose_calls_fail_again_and_again_pages_nobody(tmp_path: Path) -> None:
    made = logged_in(story(tmp_path, calls_failing_users=2), 3)
    for at in range(10, 40):
        fails(made.at(at), range(1), 6000104)
    made.run(until=60)
    assert made.alerts() == []


def test_calls_that_fail_in_an_outage_are_part_of_it(tmp_path: Path) -> None:
    made = logged_in(story(tmp_path, calls_failing_users=4, storm_users=4), 8)
    for number in range(8):
        made.at(10).loses_network(f"user-{number}")
    fails(made.at(12), range(8), 6000104)
    made.want(firing("reconnect_storm")).between(10, 13)
    made.run(until=40)
    assert {one.kind: one.suppressed_by for one in made.alerts()} == {"reconnect_storm": None, "calls_failing": "storm"}


@pytest.mark.parametrize("kind", ["login_result", "api_error"])
def test_users_refused_for_the_plan_are_one_alert_that_outlasts_a_restart(tmp_path: Path, kind: str) -> None:
    made = logged_in(story(tmp_path, calls_failing_users=2, plan_limit_window_us=60 * SECOND_US), 8)
    for at in range(10, 50, 5):
        fails(made.at(at), range(8), 6000016, kind=kind)
    made.at(30).restart()
    made.want(firing("plan_limit")).between(10, 12)
    made.want(resolved("plan_limit")).between(105, 107)
    made.run(until=120)
    (alert,) = made.alerts()
    assert (alert.count, alert.severity) == (64, "critical")
