"""Storms of alerts that open by time: who joins, whose own alert is held, and what other storms have to do with it."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.alerts.alert import Subject
from sidecar.domain.alerts.rules import DUE, STORM_OF
from sidecar.domain.alerts.rules.due_storm import DueStorm
from sidecar.domain.alerts.rules.lost_storm import LostStorm
from sidecar.domain.alerts.rules.offline_storm import OfflineStorm
from sidecar.domain.alerts.rules.reconnect_storm import ReconnectStorm
from sidecar.domain.alerts.watchlist import Due, Member
from sidecar.domain.texts import verbatim
from tests.support.rules_in_memory import Rules, us

TRAITS = ("Web", "2.28.0", "1.2")
BOTH = pytest.mark.parametrize("storm", [LostStorm, OfflineStorm])


def due(user: str, app_id: int = 7, **more: Any) -> Due:
    return Due((app_id, user), us(1), TRAITS, **more)


def fires(rules: Rules, kind: str, app_id: int = 7) -> None:
    rules.firing.cause(kind, "critical", Subject(app_id), at_us=0, now_us=0, summary=verbatim(""))
    rules.commit()


def test_each_rule_whose_alerts_open_by_time_has_a_storm() -> None:
    assert set(DUE) == set(STORM_OF)


@BOTH
def test_who_is_due_joins_the_window_and_its_own_alert_is_held(storm: type[DueStorm]) -> None:
    rules = Rules()
    assert rules.set.of(storm).take([due("carol"), due("bob", 8)], us(2)) == []
    assert rules.watch.members == {
        (storm.kind, 7): {"carol": Member(us(2), TRAITS, held=True)},
        (storm.kind, 8): {"bob": Member(us(2), TRAITS, held=True)},
    }


@BOTH
def test_in_a_storm_of_its_app_nobody_has_an_alert_of_its_own(storm: type[DueStorm]) -> None:
    rules = Rules()
    fires(rules, storm.kind)
    assert rules.set.of(storm).take([due("carol"), due("bob", 8)], us(2)) == []
    held = {user: one.held for users in rules.watch.members.values() for user, one in users.items()}
    assert held == {"carol": False, "bob": True}


@BOTH
def test_no_alert_is_held_where_its_kind_or_that_of_the_storm_is_switched_off(storm: type[DueStorm]) -> None:
    rules = Rules(off=frozenset({storm.kind}))
    assert rules.set.of(storm).take([due("carol")], us(2)) == [due("carol")]
    assert rules.watch.members == {}
    rules = Rules(off=frozenset({storm.single}))
    assert rules.set.of(storm).take([due("carol")], us(2)) == []
    assert rules.watch.members[storm.kind, 7]["carol"].held is False


@BOTH
def test_what_was_received_late_joins_no_storm(storm: type[DueStorm]) -> None:
    rules = Rules()
    assert rules.set.of(storm).take([due("carol", late=True)], us(2)) == [due("carol", late=True)]
    assert rules.watch.members == {}


def test_users_of_a_reconnect_storm_are_not_counted_again_when_they_are_offline_too_long() -> None:
    rules = Rules()
    fires(rules, ReconnectStorm.kind)
    assert rules.set.of(OfflineStorm).take([due("carol"), due("bob", 8)], us(2)) == [due("carol")]
    assert rules.set.of(LostStorm).take([due("carol")], us(2)) == []
    assert set(rules.watch.members) == {(OfflineStorm.kind, 8), (LostStorm.kind, 7)}


@BOTH
def test_alerts_are_held_until_the_next_tick_or_for_a_window_with_enough_users(storm: type[DueStorm]) -> None:
    rule = Rules(storm_users=20).set.of(storm)
    assert [rule.held_before_us(at_most, us(100)) for at_most in (0, 19, 20)] == [us(100), us(100), us(40)]


def test_a_storm_that_another_covers_notifies_when_that_is_over() -> None:
    rules = Rules(storm_users=1)
    fires(rules, ReconnectStorm.kind)
    rules.windows.moments = [us(0)]
    rules.set.of(LostStorm).consider(7, 1, us(0))
    rules.commit()
    lost = rules.about(LostStorm.kind, Subject(7))
    assert lost.suppressed_by == "storm"
    rules.set.of(LostStorm).follow(lost, us(1))
    assert rules.about(LostStorm.kind, Subject(7)).suppressed_by == "storm"
    rules.commit()
    storm = rules.about(ReconnectStorm.kind, Subject(7))
    rules.firing.resolve(storm, at_us=us(2), now_us=us(2), reason=verbatim(""))
    lost = rules.about(LostStorm.kind, Subject(7))
    rules.set.of(LostStorm).follow(lost, us(2))
    assert lost.suppressed_by is None
    assert [(one.what, one.alert.kind) for one in rules.commit()] == [
        ("resolved", "reconnect_storm"), ("unheld", "lost_storm")
    ]  # fmt: skip
