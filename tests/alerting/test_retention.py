"""Old alerts are deleted with their history and messages; those that may still need action are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.alert_reaction import AlertReaction, Policy
from sidecar.alerting.tables import alert_log, notifications, silence_rows
from sidecar.alerting.tables.alert_retention import AlertRetention
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.settings import AlertSettings, RetentionSettings, Settings
from sidecar.store import Store
from sidecar.store.care.retention import Retention
from tests.support.databases import url_of
from tests.support.events import BEGIN_US, Phone
from tests.support.timeline import Timeline, us

LIMITS = Thresholds(
    resolve_after_us=40 * SECOND_US,
    max_age_us=20 * SECOND_US,
    offline_too_long_us=10 * SECOND_US,
    ping_pong_window_us=20 * SECOND_US,
    storm_users=1_000,
    storm_window_us=20 * SECOND_US,
    flap_count=0,
    flap_window_us=20 * SECOND_US,
)
LONG_AFTER = 200


@pytest.fixture
def timeline(tmp_path: Path) -> Iterator[Timeline]:
    made = Timeline(tmp_path, Policy(receivers={"ops": 1_000}, most_per_minute=1_000, thresholds=LIMITS))
    yield made
    made.close()


def count(timeline: Timeline, table: str) -> int:
    with timeline.database.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one())


def write(timeline: Timeline, sql: str, *values: Any) -> None:
    with timeline.database.begin() as connection:
        connection.exec_driver_sql(sql, values)


def users(timeline: Timeline) -> list[str | None]:
    """The users of the remaining alerts, oldest first."""
    return [alert.subject.user_id for alert in reversed(timeline.alerts())]


def test_resolved_alerts_go_with_their_history_and_messages_and_the_newest_stays(timeline: Timeline) -> None:
    for at, user_id in enumerate(("alice", "bob", "carol")):
        timeline.at(at).kicked(user_id).at(at + 5).kicked(user_id).at(at + 10).login(user_id)
    timeline.at(LONG_AFTER).pruned()
    timeline.live(until=30)
    tables = ("alerts", "alert_history", "alert_notifications", "alert_messages")
    assert [count(timeline, table) for table in tables] == [3, 6, 6, 6]
    timeline.live_on(until=LONG_AFTER)
    assert users(timeline) == ["carol"]
    assert [count(timeline, table) for table in tables] == [1, 2, 2, 2]


def test_nothing_is_deleted_before_its_retention(timeline: Timeline) -> None:
    timeline.at(0).kicked("alice").at(10).login("alice").at(20).kicked("bob")
    timeline.at(109).pruned(100 * SECOND_US, 0).at(111).pruned(100 * SECOND_US, 0)
    timeline.live(until=109)
    assert users(timeline) == ["alice", "bob"]
    timeline.live_on(until=111)
    assert users(timeline) == ["bob"]


def test_firing_alerts_and_pending_messages_stay_however_old_they_are(timeline: Timeline) -> None:
    for user_id in ("alice", "bob", "carol", "dave", "erin"):
        timeline.at(0).kicked(user_id)
    timeline.at(5).acknowledged(1)
    for user_id in ("bob", "carol", "dave", "erin"):
        timeline.at(10).login(user_id)
    timeline.live(until=20)
    ids = {alert.subject.user_id: alert.id for alert in timeline.alerts()}
    write(timeline, "UPDATE alerts SET due_us = NULL WHERE id = ?", ids["alice"])
    write(
        timeline,
        "UPDATE alert_notifications SET state = 'waiting' WHERE alert_id = ? AND what = 'resolved'",
        ids["bob"],
    )
    for user_id, state in (("carol", "dead"), ("dave", "pending")):
        write(
            timeline, "UPDATE alert_messages SET state = ? WHERE alert_id = ? AND what = 'firing'", state, ids[user_id]
        )
    timeline.restart().at(21).kicked("mallory").at(LONG_AFTER).act(lambda _: None)
    pruned = timeline.at(LONG_AFTER).pruned()
    pruned.reaction.policy = Policy(thresholds=LIMITS)  # without receivers, so that nothing is sent meanwhile
    pruned.policy = Policy(thresholds=LIMITS)
    pruned.live_on(until=LONG_AFTER)
    assert users(timeline) == ["alice", "bob", "carol", "dave", "mallory"]
    assert timeline.alerts(state="acknowledged")[0].subject.user_id == "alice"


def test_a_digest_goes_with_the_last_of_its_alerts(timeline: Timeline) -> None:
    for number in range(8):
        timeline.at(0).kicked(f"user-{number}")
    for number in range(4):
        timeline.at(33).login(f"user-{number}")  # the others' alerts end at 40
    timeline.at(80).kicked("mallory").at(86).pruned().at(LONG_AFTER).pruned()
    timeline.live(until=32)
    (digest,) = [message for _, wanted, message in timeline.sent if wanted.is_digest]
    timeline.live_on(until=86)
    assert users(timeline) == ["user-4", "user-5", "user-6", "user-7", "mallory"]
    with timeline.database.connect() as connection:
        found = notifications.of_alert(connection, timeline.alerts()[1].id)
    assert found[0].message is not None
    assert found[0].message.id == digest.id
    timeline.live_on(until=LONG_AFTER)
    assert users(timeline) == ["mallory"]
    assert count(timeline, "alert_messages") == count(timeline, "alert_notifications") > 0


def test_no_id_is_reused(timeline: Timeline) -> None:
    timeline.at(0).kicked("alice").at(1).login("alice").silenced(5, user_id="alice")
    timeline.at(LONG_AFTER - 1).pruned().restart().at(LONG_AFTER).kicked("bob").silenced(5, user_id="bob")
    timeline.live(until=LONG_AFTER + 1)
    assert [(alert.id, alert.subject.user_id) for alert in timeline.alerts()] == [(2, "bob"), (1, "alice")]
    with timeline.database.connect() as connection:
        assert [one.id for one in silence_rows.listed(connection)] == [2, 1]


def test_ended_silences_go_and_active_ones_stay(timeline: Timeline) -> None:
    timeline.at(0).silenced(10, user_id="alice").silenced(LONG_AFTER * 2, user_id="bob").silenced(10, user_id="carol")
    timeline.at(1).silenced(10, user_id="dave").at(LONG_AFTER).pruned()
    timeline.live(until=LONG_AFTER)
    with timeline.database.connect() as connection:
        assert [one.matchers["user_id"] for one in silence_rows.listed(connection)] == [("dave",), ("bob",)]


def test_kept_alerts_do_not_delay_the_deletion_of_others(timeline: Timeline) -> None:
    for number in range(900):
        timeline.at(0).kicked(f"user-{number:03}")
    for number in range(900):
        timeline.at(1).login(f"user-{number:03}")
    timeline.live(until=60)
    write(timeline, "UPDATE alert_notifications SET state = 'waiting' WHERE alert_id <= 600")
    timeline.reaction.policy = timeline.policy = Policy(thresholds=LIMITS)
    timeline.at(LONG_AFTER).pruned().live_on(until=LONG_AFTER)
    assert users(timeline) == [f"user-{number:03}" for number in [*range(600), 899]]


def test_alerts_that_the_rules_read_back_are_kept() -> None:
    alerts = AlertSettings(flap_window="2h", resolve_after="3d", offline_too_long="1h")
    kept = AlertRetention.of(Settings(retention=RetentionSettings(alerts="1h"), alerts=alerts))
    assert (kept.kept_us, kept.rules_us) == (DAY_US // 24, 3 * DAY_US + DAY_US // 24)


async def test_a_database_that_is_too_large_loses_alerts_older_than_every_event(tmp_path: Path) -> None:
    now_us = BEGIN_US
    store = Store.open(
        url_of(tmp_path),
        clock=lambda: now_us,
        followers=[AlertReaction(Policy(thresholds=LIMITS))],
        retention=Retention(max_bytes=1_000_000),
        expiring=[AlertRetention(rules_us=LIMITS.looks_back_us)],
    )
    for minute in range(60):
        now_us = us(60 * minute)
        alice = Phone(f"user {minute}")
        events = [
            alice.says("DISCONNECTED", "KICKED_OUT", 60 * minute),
            alice.says("CONNECTED", "SUCCESS", 60 * minute),
        ]
        more = [alice.says("CONNECTED", "SUCCESS", 60 * minute, extended_data="x" * 500) for _ in range(100)]
        await store.append([*events, *more])
        await store.tend()
    kept = (await store.read(alert_log.page, AlertFilter(limit=1_000))).alerts[::-1]
    assert 0 < len(kept) < 60
    assert [alert.subject.user_id for alert in kept] == [f"user {one}" for one in range(60 - len(kept), 60)]
    await store.close()
