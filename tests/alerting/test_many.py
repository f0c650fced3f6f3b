"""Very many alerts: one that nothing touches costs little more than its row, and they delay no transaction."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.alerting import alert_reaction, pending
from sidecar.alerting.alert_reaction import (
    AT_ONCE,
    AlertReaction,
    Gathered,
    Policy,
)
from sidecar.alerting.tables import alert_log, rule_reads
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain import app_ids
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.units import SECOND_US
from sidecar.store.log import event_log
from sidecar.store.log.event_log import Batch
from sidecar.store.users.projections import Projections
from tests.support.events import APP_ID, Phone
from tests.support.memory import traced
from tests.support.timeline import OPS, Timeline, firing, repeated, resolved, us

USERS = 5_000
FEWER = 2_000
BYTES_EACH = 600
LONG_AFTER = 400
# So many that are due at once would be one storm.
NO_STORM = Policy(
    receivers={OPS: 1_000}, most_per_minute=1_000, thresholds=Thresholds(off=frozenset({"offline_storm"}))
)


def goes_offline(story: Timeline, users: int) -> None:
    """Appends to the database alone: rules that begin later find these users offline."""
    with story.database.begin() as connection:
        projections = Projections(connection, Leases())
        events = [
            msgspec.structs.replace(phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 0), received_at_us=us(0))
            for phone in (Phone(f"user-{number:05}") for number in range(users))
        ]
        event_log.append(connection, [Batch(events)], projections, time=LeaseTime.without_skips(us(0)))
        story.reaction.begin(connection, us(0))


def tick(story: Timeline, at: float) -> tuple[bool, list[int]]:
    """Whether there is more to do, and the ids of the alerts that changed."""
    done = story.in_transaction(lambda connection: story.reaction.tick(connection, us(at), Gathered()))
    return done.result, list(done.changes.alerts) if done.changes else []


@pytest.mark.parametrize("restarted", [False, True])
def test_many_alerts_open_some_at_a_time_and_each_once(tmp_path: Path, *, restarted: bool) -> None:
    story = Timeline(tmp_path, NO_STORM)
    goes_offline(story, FEWER)
    opened: list[int] = []
    goes_on = True
    while goes_on:
        if restarted and len(opened) > FEWER // 2:
            story.reaction, restarted = AlertReaction(story.policy), False
        goes_on, changed = tick(story, LONG_AFTER)
        assert len(changed) <= AT_ONCE
        opened += changed
    assert opened == list(range(1, FEWER + 1))
    assert tick(story, LONG_AFTER + 1) == (False, [])
    assert len({alert.subject for alert in story.alerts(state="firing")}) == FEWER
    story.close()


def test_a_firing_alert_that_nothing_touches_takes_little_memory_before_and_after_a_start(tmp_path: Path) -> None:
    story = Timeline(tmp_path, NO_STORM)
    goes_offline(story, USERS)
    with traced() as grown:
        while tick(story, LONG_AFTER)[0]:
            pass
        gc.collect()
        assert grown() / USERS < BYTES_EACH
        story.reaction = AlertReaction(story.policy)
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert tick(story, LONG_AFTER + 1) == (False, [])
        assert (tracemalloc.get_traced_memory()[1] - before) / USERS < BYTES_EACH
    story.close()


def test_what_was_let_go_is_read_again_for_whatever_touches_it(tmp_path: Path) -> None:
    limits = Thresholds(resolve_after_us=90 * SECOND_US)
    story = Timeline(
        tmp_path, Policy(receivers={"ops": 100}, most_per_minute=100, repeat_us=40 * SECOND_US, thresholds=limits)
    )
    story.at(0).kicked("alice").at(10).kicked("alice").at(20).login("alice")
    story.at(0).silenced(30, user_id="bob").at(1).kicked("bob").at(60).login("bob")
    story.at(2).kicked("carol").at(10).acknowledged(3)
    story.at(3).kicked("dave").at(70).login("dave")
    for name, at in (("alice", 0), ("bob", 30), ("carol", 2), ("dave", 3)):
        story.want(firing("kicked_out", name)).between(at, at + 2)
    story.want(repeated("kicked_out", "dave")).between(43, 46)
    for name, at in (("alice", 20), ("bob", 60), ("carol", 92), ("dave", 70)):
        story.want(resolved("kicked_out", name)).between(at, at + 1)
    story.run(until=120)
    assert [(alert.subject.user_id, alert.count, alert.acknowledged_by) for alert in reversed(story.alerts())] == [
        ("alice", 2, None),
        ("bob", 1, None),
        ("carol", 1, "dana"),
        ("dave", 1, None),
    ]
    story.close()


def test_lost_users_that_are_back_are_found_some_each_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_reads, "_LOOKED_UP", 2)
    policy = Policy(receivers={OPS: 1_000}, grace_us=0, thresholds=Thresholds())
    story = Timeline(tmp_path, policy, Leases(heartbeat_us=15 * SECOND_US))
    for number in range(7):
        story.at(0).login(f"user-{number}").heartbeat(f"user-{number}")
        if number != 3:
            story.at(30).heartbeat(f"user-{number}").at(40).heartbeat(f"user-{number}")
    story.live(until=29)
    assert len(story.alerts(kind="client_lost", state="firing")) == 7
    left = []
    for second in range(30, 36):
        story.live_on(second)
        left.append(len(story.alerts(kind="client_lost", state="firing")))
    assert left[-1] == 1
    assert all(0 <= before - after <= 2 for before, after in itertools.pairwise([7, *left]))
    story.close()


def test_however_few_a_transaction_takes_the_same_alerts_fire_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for at_once in (AT_ONCE, 3, 1):
        monkeypatch.setattr(alert_reaction, "AT_ONCE", at_once)
        folder = tmp_path / str(at_once)
        folder.mkdir()
        found.append(_lived_through(folder))
    assert {alert[0] for alert in found[0][0]} == {"client_lost", "kicked_out", "offline_too_long"}
    assert found[0] == found[1] == found[2]


def _lived_through(folder: Path) -> tuple[list[Any], list[Any]]:
    """Many users go offline, are lost, silenced, repeated and found: what the alert log has, and what was sent."""
    limits = Thresholds(
        resolve_after_us=60 * SECOND_US,
        offline_too_long_us=10 * SECOND_US,
        flap_window_us=100 * SECOND_US,
        storm_users=1_000,
    )
    policy = Policy(
        receivers={"ops": 1_000},
        most_per_minute=1_000,
        group_alone=1_000,
        repeat_us=20 * SECOND_US,
        grace_us=0,
        thresholds=limits,
    )
    story = Timeline(folder, policy, Leases(heartbeat_us=15 * SECOND_US))
    names = [f"user-{number}" for number in range(10)]
    for name in names:
        story.at(0).login(name).at(1).heartbeat(name).at(5).loses_network(name)
        story.at(0).login(f"quiet-{name}").heartbeat(f"quiet-{name}")
        story.at(50).heartbeat(f"quiet-{name}")
        story.at(90).login(name).at(95).kicked(name)
    story.at(10).silenced(25, user_id="user-*").at(40).restart()
    story.live(until=200)
    alerts = [
        (
            alert.kind,
            alert.subject.user_id,
            alert.started_at_us,
            alert.state,
            alert.ended_at_us,
            alert.count,
            alert.suppressed_by,
        )
        for alert in story.alerts()
    ]
    sent = [(at, wanted.what, wanted.kind, wanted.user_id) for at, wanted, _ in story.sent]
    story.close()
    return sorted(alerts, key=str), sorted(sent, key=str)


@pytest.mark.parametrize("most", [3, 5_000])
def test_pages_of_each_filter_have_each_alert_once_however_few_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(alert_log, "LOOKED_AT_MOST", most)
    story = Timeline(tmp_path)
    for number in range(12):
        story.at(number).login(f"user-{number}").kicked(f"user-{number}")
        story.at(number + 0.1).says(f"user-{number}", "DISCONNECTED", "TOKEN_EXPIRED", "tablet")
    story.at(20).acknowledged(3).acknowledged(11)
    for number in range(0, 12, 2):
        story.at(30).login(f"user-{number}")
    story.live(until=31)
    story.is_counted()
    with story.database.connect() as connection:
        every = alert_log.page(connection, AlertFilter(limit=1_000)).alerts
        for state, kind, user_id, severity, apps in itertools.product(
            (None, "firing", "resolved", "acknowledged"),
            (None, "kicked_out", "token_expired"),
            (None, "user-3", "user-4"),
            (None, "critical", "warning"),
            (None, frozenset({APP_ID, APP_ID + 1}), frozenset({APP_ID + 1})),
        ):
            wanted = AlertFilter(state=state, kind=kind, user_id=user_id, severity=severity, apps=apps, limit=2)
            found: list[Alert] = []
            while True:
                page = alert_log.page(connection, wanted)
                found += page.alerts
                if page.next_cursor is None:
                    break
                wanted = msgspec.structs.replace(wanted, cursor=page.next_cursor)
            assert found == [
                one
                for one in every
                if state in {None, one.state, one.acknowledged_at_us and "acknowledged"}
                and (state != "acknowledged" or one.state == "firing")
                and kind in {None, one.kind}
                and user_id in {None, one.subject.user_id}
                and severity in {None, one.severity}
                and app_ids.has(apps, one.subject.app_id)
            ]
    story.close()


def test_pages_of_an_app_have_each_pending_user_once_however_few_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_reads, "LOOKED_AT_MOST", 4)
    story = Timeline(tmp_path)
    for number in range(20):
        phone = Phone(f"user-{number:02}", app_id=1 + number % 3)
        story.at(0).event(phone.says("CONNECTED", "SUCCESS", 0))
        story.at(1).event(phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 1))
    story.live(until=2)
    for apps in ({1}, {3}, {4}, {1, 3}, {2, 3, 4}):
        wanted, names = AlertFilter(apps=frozenset(apps), limit=2), []
        with story.database.connect() as connection:
            while True:
                page = pending.page(connection, story.reaction, wanted, us(2))
                names += [one.subject.user_id for one in page.pending]
                if page.next_cursor is None:
                    break
                wanted = msgspec.structs.replace(wanted, cursor=page.next_cursor)
        numbers = sorted(((1 + number % 3, number) for number in range(20)), reverse=True)
        assert names == [f"user-{number:02}" for app_id, number in numbers if app_id in apps]
    story.close()
