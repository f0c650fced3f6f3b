"""Storms of alerts that open by time: ``lost_storm`` and ``offline_storm``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.alert_reaction import Gathered, Policy
from sidecar.alerting.tables import alert_log, notifications, storm_rows
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.units import SECOND_US
from tests.support.counted import statements
from tests.support.timeline import OPS, Timeline, firing, resolved, us

Make = Callable[..., Timeline]
LEASE_S = 45


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Make]:
    """Makes a timeline; its arguments are thresholds by their names."""
    made: list[Timeline] = []

    def make(**thresholds: Any) -> Timeline:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        policy = Policy(receivers={OPS: 1_000}, most_per_minute=1_000, grace_us=0, thresholds=Thresholds(**thresholds))
        made.append(Timeline(folder, policy, Leases(heartbeat_us=LEASE_S * SECOND_US)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fleet(story: Timeline, users: int, *, begin: int = 0, beats: int = 1, name: str = "user") -> Timeline:
    """These log in now and send so many heartbeats, one each 40 seconds."""
    at = story._now
    for number in range(begin, begin + users):
        story.at(at).login(f"{name}-{number}")
        for beat in range(beats):
            story.at(at + 40 * beat).heartbeat(f"{name}-{number}")
    return story.at(at)


def beats(story: Timeline, begin: int, end: int) -> Timeline:
    for number in range(begin, end):
        story.heartbeat(f"user-{number}")
    return story


def record(story: Timeline, storm: Alert) -> list[str]:
    with story.database.connect() as connection:
        return [one.user_id for one in storm_rows.members(connection, storm, 1_000)]


def kinds(story: Timeline, state: str | None = None) -> dict[str, int]:
    found: dict[str, int] = {}
    for alert in story.alerts(state=state):
        found[alert.kind] = found.get(alert.kind, 0) + 1
    return found


# Many leases that run out at once.


def test_leases_that_run_out_at_once_are_one_alert_and_one_message(story: Make) -> None:
    fleet_ = fleet(story().at(0), 40)
    fleet_.want(firing("lost_storm")).between(46, 49)
    fleet_.run(until=80)
    (alert,) = fleet_.alerts()
    assert (alert.kind, alert.severity, alert.subject.user_id) == ("lost_storm", "critical", None)
    assert str(alert.summary) == (
        "40 users stopped giving signs of life within 1 min, 100% of those logged in; 100% on Web"
    )
    assert record(fleet_, alert) == sorted(f"user-{number}" for number in range(40))


def test_a_lost_storm_is_over_when_most_of_its_users_are_back(story: Make) -> None:
    fleet_ = fleet(story().at(0), 40)
    beats(fleet_.at(200), 0, 20)
    fleet_.at(300).logout("user-20")
    for at in (240, 280, 320):
        beats(fleet_.at(at), 0, 20)
    fleet_.want(firing("lost_storm")).between(46, 49)
    fleet_.want(resolved("lost_storm")).between(300, 302)
    fleet_.run(until=340)
    (alert,) = fleet_.alerts()
    assert str(alert.end_reason).startswith("it is calm again; 40 users stopped giving signs of life")
    assert len(record(fleet_, alert)) == 40  # also when it is over


def test_a_fleet_that_never_comes_back_keeps_no_storm_for_ever(story: Make) -> None:
    fleet_ = fleet(story(resolve_after_us=200 * SECOND_US).at(0), 40)
    fleet_.want(firing("lost_storm")).between(46, 49)
    fleet_.want(resolved("lost_storm")).between(246, 250)
    fleet_.run(until=300)


def test_the_record_of_a_storm_is_deleted_with_its_alert(story: Make) -> None:
    fleet_ = fleet(story(resolve_after_us=60 * SECOND_US).at(0), 20)
    fleet_.at(200).kicked("carol")  # the newest alert is kept, so that no id is used again
    fleet_.live(until=210)
    (alert,) = fleet_.alerts(kind="lost_storm")
    assert (alert.state, len(record(fleet_, alert))) == ("resolved", 20)
    fleet_.at(5_000).pruned(rules_us=0).leap(5_000)
    assert fleet_.alerts(kind="lost_storm") == []
    assert record(fleet_, alert) == []


def test_few_users_that_are_lost_have_an_alert_each(story: Make) -> None:
    fleet_ = fleet(story().at(0), 19)
    fleet_.live(until=60)
    assert kinds(fleet_) == {"client_lost": 19}
    assert {alert.opened_at_us for alert in fleet_.alerts()} == {us(47)}


def test_an_alert_that_fires_before_a_storm_stays_and_is_over_by_itself(story: Make) -> None:
    fleet_ = fleet(story().at(0).login("alice").heartbeat("alice"), 40, beats=3)
    fleet_.at(200).heartbeat("alice")
    fleet_.want(firing("client_lost", "alice")).between(46, 50)
    fleet_.want(firing("lost_storm")).between(126, 130)
    fleet_.want(resolved("client_lost", "alice")).between(200, 201)
    fleet_.run(until=210)


def test_who_is_lost_after_a_storm_has_an_alert_again(story: Make) -> None:
    fleet_ = fleet(story().at(0), 40)
    for at in range(100, 280, 40):
        beats(fleet_.at(at), 0 if at < 200 else 1, 40)
    fleet_.want(firing("lost_storm")).between(46, 49)
    fleet_.want(resolved("lost_storm")).between(100, 110)
    fleet_.want(firing("client_lost", "user-0")).between(226, 230)
    fleet_.run(until=270)


def test_who_is_lost_in_a_storm_joins_its_record(story: Make) -> None:
    fleet_ = fleet(story().at(0), 40)
    fleet(fleet_.at(30), 5, name="later", beats=2)
    fleet_.want(firing("lost_storm")).between(46, 49)
    fleet_.run(until=130)
    (alert,) = fleet_.alerts()
    assert (alert.count, len(record(fleet_, alert))) == (45, 45)
    assert str(alert.summary).startswith("45 users stopped")


def test_while_only_the_share_is_missing_alerts_are_held_for_a_window(story: Make) -> None:
    fleet_ = fleet(story(storm_users=3).at(0), 97, beats=5)
    fleet(fleet_.at(0), 4, begin=97)
    beats(fleet_.at(60), 97, 98)  # back before its alert opened
    for at in (100, 140):
        beats(fleet_.at(at), 97, 98)
    for number in range(98, 101):
        fleet_.want(firing("client_lost", f"user-{number}")).between(106, 110)
    fleet_.run(until=150)


def test_alerts_that_are_held_open_after_a_restart(story: Make) -> None:
    fleet_ = fleet(story().at(0), 3)
    fleet_.at(46.5).restart()
    fleet_.live(until=60)
    assert kinds(fleet_) == {"client_lost": 3}


def test_alerts_that_are_held_open_although_storms_are_switched_off_meanwhile(story: Make) -> None:
    fleet_ = fleet(story().at(0), 3)
    fleet_.live(until=46)
    assert kinds(fleet_) == {}
    off = Thresholds(off=frozenset({"lost_storm"}))
    fleet_.policy = Policy(receivers={OPS: 1_000}, most_per_minute=1_000, grace_us=0, thresholds=off)
    fleet_.at(46.5).restart()
    fleet_.live_on(until=60)
    assert kinds(fleet_) == {"client_lost": 3}


def test_without_lost_storms_each_has_its_alert_at_once(story: Make) -> None:
    fleet_ = fleet(story(off=frozenset({"lost_storm"})).at(0), 40)
    fleet_.live(until=46)
    assert kinds(fleet_) == {"client_lost": 40}


def test_without_single_alerts_a_storm_opens_all_the_same(story: Make) -> None:
    fleet_ = fleet(story(off=frozenset({"client_lost"})).at(0), 40)
    fleet(fleet_.at(60), 3, name="later")
    fleet_.live(until=200)
    assert kinds(fleet_) == {"lost_storm": 1}


def test_a_silence_hides_a_storm_and_nobody_is_called_singly(story: Make) -> None:
    fleet_ = fleet(story().at(0).silenced(100, kind="lost_storm"), 40)
    fleet_.want(firing("lost_storm")).between(100, 102)
    fleet_.run(until=110)
    assert kinds(fleet_) == {"lost_storm": 1}


# Many that have been offline for too long.


def offline_one_by_one(story: Timeline, users: int) -> Timeline:
    """One each 20 seconds, which is no storm."""
    fleet(story.at(0), users)
    for number in range(users):
        story.at(10 + 20 * number).loses_network(f"user-{number}")
    return story


def long_leases(story: Timeline) -> Timeline:
    story.leases = Leases(heartbeat_us=100_000 * SECOND_US)
    return story


def test_users_found_offline_too_long_after_a_stop_are_one_alert(story: Make) -> None:
    fleet_ = long_leases(story(offline_too_long_us=1_000 * SECOND_US))
    offline_one_by_one(fleet_, 30)
    fleet_.at(2_000).restart()
    fleet_.want(firing("offline_storm")).between(1_997, 2_005)
    fleet_.want(resolved("offline_storm")).between(2_100, 2_105)
    for number in range(16):
        fleet_.at(2_100).login(f"user-{number}")
    fleet_.live(until=700)
    fleet_.leap(2_000)
    fleet_.live_on(2_110)
    fleet_.run_on(2_110)
    (alert,) = fleet_.alerts()
    assert str(alert.summary) == (
        "30 users came to be offline for too long within 1 min, 100% of those online before; 100% on Web"
    )
    assert len(record(fleet_, alert)) == 30


def test_who_is_offline_too_long_one_by_one_has_an_alert_each(story: Make) -> None:
    fleet_ = long_leases(story())
    offline_one_by_one(fleet_, 30)
    fleet_.live(until=700)
    assert kinds(fleet_)["offline_too_long"] >= 19
    assert "offline_storm" not in kinds(fleet_)


def test_a_reconnect_storm_that_fires_is_not_doubled_by_an_offline_storm(story: Make) -> None:
    fleet_ = long_leases(story())
    fleet(fleet_.at(0), 40)
    for number in range(40):
        fleet_.at(10).loses_network(f"user-{number}")
    fleet_.want(firing("reconnect_storm")).between(10, 13)
    fleet_.run(until=400)
    assert kinds(fleet_) == {"reconnect_storm": 1, "offline_too_long": 40}
    assert {alert.suppressed_by for alert in fleet_.alerts(kind="offline_too_long")} == {"storm"}
    (storm,) = fleet_.alerts(kind="reconnect_storm")
    assert len(record(fleet_, storm)) == 40


def test_users_that_fall_silent_in_a_reconnect_storm_are_notified_when_it_is_over(story: Make) -> None:
    fleet_ = story()
    fleet(fleet_.at(0), 40)
    for number in range(40):
        fleet_.at(10).loses_network(f"user-{number}")
    fleet_.want(firing("reconnect_storm")).between(10, 13)
    fleet_.want(resolved("reconnect_storm")).between(70, 75)
    fleet_.want(firing("lost_storm")).between(70, 76)
    fleet_.live(until=60)
    assert kinds(fleet_) == {"reconnect_storm": 1, "lost_storm": 1}
    assert fleet_.alerts(kind="lost_storm")[0].suppressed_by == "storm"
    fleet_.live_on(100)
    fleet_.run_on(100)


# What it costs.


@pytest.mark.parametrize(("kind", "due"), [("lost_storm", 46), ("offline_storm", 12)])
def test_a_storm_costs_few_statements_and_one_row_however_many_users_it_has(story: Make, kind: str, due: int) -> None:
    executed = []
    for users in (100, 400):
        fleet_ = fleet(story(offline_too_long_us=10 * SECOND_US, off=frozenset({"reconnect_storm"})).at(0), users)
        if kind == "offline_storm":
            for number in range(users):
                fleet_.at(1).loses_network(f"user-{number}")
        fleet_.live(until=9)
        with fleet_.database.begin() as connection:
            fleet_._projected(connection).sweep(connection, LeaseTime.without_skips(us(due)), 1_000)
        with statements() as made:
            done = fleet_.in_transaction(lambda c: fleet_.reaction.tick(c, us(due), Gathered()))  # noqa: B023
        executed.append(len(made))
        assert not done.result
        with fleet_.database.connect() as connection:
            assert alert_log.counts(connection) == {kind: 1}
            assert notifications.count_to_send(connection) == 1
    assert executed[0] == executed[1] < 40
