"""``calls_failing``: calls of many users are refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.rule_set import touches_alerts
from sidecar.domain.alerts.rules.calls_failing import CallsFailing
from sidecar.domain.alerts.rules.kick_storm import KickStorm
from sidecar.domain.alerts.rules.offline_storm import OfflineStorm
from sidecar.domain.alerts.rules.reconnect_storm import ReconnectStorm
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.watchlist import Crowd, Member
from sidecar.domain.events import Event
from sidecar.domain.texts import verbatim
from tests.support.events import Phone
from tests.support.rules_in_memory import Rules, lines, us

APP = Subject(7)


def refused(code: int, user_id: str | None = "alice", kind: str = "api_error") -> Event:
    details = {"method": "sendMessage", "code": code, "message": ""}
    return Phone(user_id, app_id=7).event(kind, 1, details=details)


def begun(
    users: int = 4, codes: dict[int, int] | None = None, traits: dict[Any, int] | None = None, **limits: Any
) -> Rules:
    rules = Rules(calls_failing_users=4, flap_count=0, **limits)
    rules.windows.moments = [us(0)] * users
    rules.windows.of_app = Crowd(online=90, offline=10)
    rules.windows.known_codes = codes or {}
    rules.windows.known = traits or {}
    rules.set.of(CallsFailing).consider(7, users, us(0))
    return rules


def test_a_refused_call_counts_its_user_with_the_code() -> None:
    rules = Rules()
    assert rules.takes(refused(6000104)) == []
    assert rules.watch.members == {("calls_failing", 7): {"alice": Member(us(1), ("Web", None, None), code=6000104)}}


@pytest.mark.parametrize(
    "event",
    [refused(6000104, None), refused(6000015), refused(6000016), refused(6000104, kind="login_result")],
    ids=["no user", "day", "month", "login"],
)
def test_what_is_no_call_of_a_user_or_a_matter_of_the_plan_counts_nobody(event: Event) -> None:
    rules = Rules()
    rules.takes(event)
    assert rules.watch.members == {}


def test_it_says_how_many_users_with_which_code() -> None:
    rules = begun(codes={6000104: 3, 6000105: 1}, traits={("Web", "2.28.0", None): 4})
    text = (
        "Calls of 4 users failed within 1 min, 4% of those logged in; 75% with 6000104: no network, 100% on SDK 2.28.0,"
        " 100% on Web"
    )
    assert lines(rules.commit()) == [("opened", "calls_failing", text)]
    assert rules.about("calls_failing", APP).severity == "critical"


def test_without_a_code_it_says_the_rest() -> None:
    assert lines(begun().commit()) == [
        ("opened", "calls_failing", "Calls of 4 users failed within 1 min, 4% of those logged in")
    ]


def test_the_share_is_of_those_logged_in_who_include_the_users() -> None:
    assert CallsFailing.share(1, Crowd(online=3, offline=1)) == 0.25
    assert CallsFailing.share(2, Crowd(online=1)) == 1


def test_it_has_thresholds_of_its_own() -> None:
    limits = Thresholds(storm_users=1_000, calls_failing_users=20, calls_failing_share=0.01)
    size = CallsFailing.size(limits)
    assert [size.begins(*one) for one in ((19, 1), (20, 0.01), (20, 0.009))] == [False, True, False]
    assert [size.is_calm(*one) for one in ((9, 1), (10, 0.004), (10, 0.0039))] == [True, False, True]
    assert begun(users=3).commit() == []
    assert begun(calls_failing_share=0.05).commit() == []
    assert begun(off=frozenset({"calls_failing"})).commit() == []


@pytest.mark.parametrize("storm", [ReconnectStorm, OfflineStorm, KickStorm])
def test_a_storm_whose_users_calls_fail_covers_it(storm: Any) -> None:
    rules = Rules(calls_failing_users=1)
    rules.firing.cause(storm.kind, "critical", APP, at_us=0, now_us=0, summary=verbatim(""))
    rules.commit()
    rules.windows.moments = [us(0)]
    rules.set.of(CallsFailing).consider(7, 1, us(0))
    assert rules.about("calls_failing", APP).suppressed_by == "storm"


def test_only_a_call_that_a_rule_follows_reads_alerts() -> None:
    found = [touches_alerts(refused(code), "online", "online") for code in (6000104, 6000015)]
    assert found == [True, True]
    logins = [touches_alerts(refused(code, kind="login_result"), None, None) for code in (0, 6000103, 6000016)]
    assert logins == [False, True, True]
    assert not touches_alerts(refused(6000104, None), None, None)


def test_it_suppresses_no_other_alerts() -> None:
    rules = begun()
    assert [read for read in rules.windows.reads if read[0] == "singles"] == []
