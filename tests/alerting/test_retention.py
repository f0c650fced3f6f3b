"""Old alerts go with all that belongs to them; what somebody may still have to act on stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.engine import Engine, Policy
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.settings import AlertSettings, RetentionSettings, Settings
from sidecar.store import Store, alert_log, notifications
from sidecar.store.alert_records import AlertFilter
from sidecar.store.retention import Retention
from tests.support.events import BEGIN_US, SECOND_US, Phone
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
DAY_US = 86_400 * SECOND_US


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Timeline]:
    made = Timeline(tmp_path, Policy(receivers={"ops": 1_000}, most_per_minute=1_000, thresholds=LIMITS))
    yield made
    made.close()


def count(story: Timeline, table: str) -> int:
    with story.database.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one())


def write(story: Timeline, sql: str, *values: Any) -> None:
    with story.database.begin() as connection:
        connection.exec_driver_sql(sql, values)


def users(story: Timeline) -> list[str | None]:
    """Of the alerts that are left, oldest first."""
    return [alert.subject.user_id for alert in reversed(story.alerts())]


def test_what_is_over_goes_with_its_story_and_its_messages_and_the_newest_stays(story: Timeline) -> None:
    for at, user_id in enumerate(("alice", "bob", "carol")):
        story.at(at).kicked(user_id).at(at + 5).kicked(user_id).at(at + 10).login(user_id)
    story.at(LONG_AFTER).pruned()
    story.live(until=30)
    tables = ("alerts", "alert_history", "alert_notifications", "alert_messages")
    assert [count(story, table) for table in tables] == [3, 6, 6, 6]
    story.live_on(until=LONG_AFTER)
    assert users(story) == ["carol"]
    assert [count(story, table) for table in tables] == [1, 2, 2, 2]


def test_it_goes_no_sooner_than_retention_says(story: Timeline) -> None:
    kept = Retention(alerts_us=100 * SECOND_US, rules_us=0)
    story.at(0).kicked("alice").at(10).login("alice").at(20).kicked("bob")
    story.at(109).pruned(kept).at(111).pruned(kept)
    story.live(until=109)
    assert users(story) == ["alice", "bob"]
    story.live_on(until=111)
    assert users(story) == ["bob"]


def test_what_fires_or_is_still_owed_stays_however_old_it_is(story: Timeline) -> None:
    for user_id in ("alice", "bob", "carol", "dave", "erin"):
        story.at(0).kicked(user_id)
    story.at(5).acknowledged(1)
    for user_id in ("bob", "carol", "dave", "erin"):
        story.at(10).login(user_id)
    story.live(until=20)
    ids = {alert.subject.user_id: alert.id for alert in story.alerts()}
    write(story, "UPDATE alerts SET due_us = NULL WHERE id = ?", ids["alice"])
    write(
        story, "UPDATE alert_notifications SET state = 'waiting' WHERE alert_id = ? AND what = 'resolved'", ids["bob"]
    )
    for user_id, state in (("carol", "dead"), ("dave", "pending")):
        write(story, "UPDATE alert_messages SET state = ? WHERE alert_id = ? AND what = 'firing'", state, ids[user_id])
    story.restart().at(21).kicked("mallory").at(LONG_AFTER).act(lambda _: None)
    pruned = story.at(LONG_AFTER).pruned()
    pruned.engine.policy = Policy(thresholds=LIMITS)  # nobody takes what is owed meanwhile
    pruned.policy = Policy(thresholds=LIMITS)
    pruned.live_on(until=LONG_AFTER)
    assert users(story) == ["alice", "bob", "carol", "dave", "mallory"]
    assert story.alerts(state="acknowledged")[0].subject.user_id == "alice"


def test_a_message_about_many_goes_with_the_last_of_them(story: Timeline) -> None:
    for number in range(8):
        story.at(0).kicked(f"user-{number}")
    for number in range(4):
        story.at(33).login(f"user-{number}")  # the others' alerts end at 40
    story.at(80).kicked("mallory").at(86).pruned().at(LONG_AFTER).pruned()
    story.live(until=32)
    (digest,) = [message for _, wanted, message in story.told if wanted.is_digest]
    story.live_on(until=86)
    assert users(story) == ["user-4", "user-5", "user-6", "user-7", "mallory"]
    with story.database.connect() as connection:
        told = notifications.of_alert(connection, story.alerts()[1].id)
    assert told[0].message is not None
    assert told[0].message.id == digest.id
    story.live_on(until=LONG_AFTER)
    assert users(story) == ["mallory"]
    assert count(story, "alert_messages") == count(story, "alert_notifications") > 0


def test_no_id_is_given_a_second_time(story: Timeline) -> None:
    story.at(0).kicked("alice").at(1).login("alice").silenced(5, user_id="alice")
    story.at(LONG_AFTER - 1).pruned().restart().at(LONG_AFTER).kicked("bob").silenced(5, user_id="bob")
    story.live(until=LONG_AFTER + 1)
    assert [(alert.id, alert.subject.user_id) for alert in story.alerts()] == [(2, "bob"), (1, "alice")]
    with story.database.connect() as connection:
        assert [one.id for one in alert_log.silences(connection)] == [2, 1]


def test_silences_that_ended_go_and_those_in_force_stay(story: Timeline) -> None:
    story.at(0).silenced(10, user_id="alice").silenced(LONG_AFTER * 2, user_id="bob").silenced(10, user_id="carol")
    story.at(1).silenced(10, user_id="dave").at(LONG_AFTER).pruned()
    story.live(until=LONG_AFTER)
    with story.database.connect() as connection:
        assert [one.matchers["user_id"] for one in alert_log.silences(connection)] == [("dave",), ("bob",)]


def test_those_that_have_to_stay_do_not_hold_up_the_others(story: Timeline) -> None:
    for number in range(900):
        story.at(0).kicked(f"user-{number:03}")
    for number in range(900):
        story.at(1).login(f"user-{number:03}")
    story.live(until=60)
    write(story, "UPDATE alert_notifications SET state = 'waiting' WHERE alert_id <= 600")
    story.engine.policy = story.policy = Policy(thresholds=LIMITS)
    story.at(LONG_AFTER).pruned().live_on(until=LONG_AFTER)
    assert users(story) == [f"user-{number:03}" for number in [*range(600), 899]]


def test_the_rules_are_left_all_that_they_look_back_to() -> None:
    alerts = AlertSettings(flap_window="2h", resolve_after="3d", offline_too_long="1h")
    kept = Retention.of(Settings(retention=RetentionSettings(alerts="1h"), alerts=alerts))
    assert (kept.alerts_us, kept.rules_us) == (DAY_US // 24, 3 * DAY_US + DAY_US // 24)


async def test_a_database_that_is_too_large_lets_alerts_go_that_are_older_than_every_event(tmp_path: Path) -> None:
    now_us = BEGIN_US
    store = Store.open(
        f"sqlite:///{tmp_path / 'zimwatch.db'}",
        clock=lambda: now_us,
        reactions=[Engine(Policy(thresholds=LIMITS))],
        retention=Retention(max_bytes=1_000_000, rules_us=LIMITS.looks_back_us),
    )
    for minute in range(60):
        now_us = us(60 * minute)
        alice = Phone(f"user {minute}")
        said = [alice.says("DISCONNECTED", "KICKED_OUT", 60 * minute), alice.says("CONNECTED", "SUCCESS", 60 * minute)]
        more = [alice.says("CONNECTED", "SUCCESS", 60 * minute, extended_data="x" * 500) for _ in range(100)]
        await store.append([*said, *more])
        await store.tend()
    kept = (await store.read(alert_log.page, AlertFilter(limit=1_000))).alerts[::-1]
    assert 0 < len(kept) < 60
    assert [alert.subject.user_id for alert in kept] == [f"user {one}" for one in range(60 - len(kept), 60)]
    await store.close()
