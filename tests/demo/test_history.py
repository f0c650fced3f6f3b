"""A made-up day in a database looks as if Zimwatch had run through it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.demo.day import Day
from sidecar.demo.devices import APP_ID
from sidecar.demo.operators import DEEDS
from sidecar.demo.personas import PERSONAS
from sidecar.domain.events import HEARTBEAT
from sidecar.domain.findings import KINDS
from sidecar.domain.units import HOUR_US, MINUTE_US, SECOND_US
from sidecar.settings import AlertSettings
from tests.support import made_day
from tests.support.made_day import END_US

# So many that what happens to some of them is a storm.
USERS = 180


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def made(folder: Path) -> Day:
    receiver = WebhookSettings(name="ops", url="http://127.0.0.1:9/hook")
    return asyncio.run(made_day.write(folder, USERS, AlertSettings(receivers=(receiver,))))


@pytest.fixture(scope="module")
def database(folder: Path, made: Day) -> Iterator[sqlite3.Connection]:
    assert made.past
    with closing(sqlite3.connect(folder / "zimwatch.db")) as connection:
        yield connection


def _rows(database: sqlite3.Connection, sql: str) -> list[Any]:
    return database.execute(sql).fetchall()


def test_every_event_is_on_record_as_received_when_it_happened(made: Day, database: sqlite3.Connection) -> None:
    reported = sum(one.event["type"] != HEARTBEAT for one in made.past)
    ((kept, late_us, newest_us),) = _rows(
        database,
        "SELECT COUNT(*), MAX(received_at_us - moment_us), MAX(received_at_us) FROM events"
        " WHERE type <> 'server_user_action'",
    )
    assert kept == reported
    assert late_us < SECOND_US
    assert newest_us <= END_US + SECOND_US
    assert _rows(database, "SELECT COUNT(*) FROM rejected_events") == [(0,)]


def test_a_wrong_clock_is_known_as_one(database: sqlite3.Connection) -> None:
    off = _rows(database, "SELECT DISTINCT user_id FROM events WHERE ABS(occurred_at_us - moment_us) > 60000000")
    assert off == [("judy",)]


def test_alerts_opened_and_ended_at_their_times(database: sqlite3.Connection) -> None:
    alerts = _rows(database, "SELECT kind, state, started_at_us, opened_at_us, ended_at_us FROM alerts")
    states = {(kind, state) for kind, state, *_ in alerts}
    assert states >= {
        ("reconnect_storm", "firing"),
        ("reconnect_storm", "resolved"),
        ("kick_storm", "resolved"),
        ("kick_ping_pong", "firing"),
        ("token_expired", "firing"),
        ("client_lost", "firing"),
        ("offline_too_long", "resolved"),
    }
    hours = {(END_US - started_us) // HOUR_US for _, _, started_us, _, _ in alerts}
    assert len(hours) > 5
    for kind, _, started_us, opened_us, ended_us in alerts:
        assert started_us <= opened_us <= END_US, kind
        assert opened_us - started_us < 16 * MINUTE_US, kind
        assert ended_us is None or started_us <= ended_us <= END_US, kind


def test_nobody_is_notified_and_nothing_is_exported(database: sqlite3.Connection) -> None:
    for table in ("alert_notifications", "alert_messages", "span_outbox"):
        assert _rows(database, f"SELECT COUNT(*) FROM {table}") == [(0,)], table


def test_only_the_phone_that_sleeps_has_lost_its_lease(database: sqlite3.Connection) -> None:
    assert _rows(database, "SELECT user_id FROM user_status WHERE lease_lapsed") == [("heidi",)]


def test_the_chart_has_a_night_and_a_morning(database: sqlite3.Connection) -> None:
    def online(hours_ago: float) -> int:
        minute = (END_US - round(hours_ago * HOUR_US)) // MINUTE_US
        sql = f"SELECT online FROM rollups WHERE every_app AND minute <= {minute} ORDER BY minute DESC LIMIT 1"
        ((users,),) = _rows(database, sql)
        return int(users)

    assert online(22) > 3 * online(13)
    assert online(4) > 3 * online(13)
    assert online(0) > online(13)


def test_what_operators_did_is_on_record(database: sqlite3.Connection) -> None:
    sql = f"SELECT author, created_at_us, ends_at_us > {END_US} FROM alert_silences ORDER BY id"
    silences = _rows(database, sql)
    assert {author for author, _, _ in silences} == {"noor", "sam"}
    assert {in_force for _, _, in_force in silences} == {0, 1}
    silenced = [END_US - round(one.minutes_ago * MINUTE_US) for one in DEEDS if one.work.__name__ == "silence"]
    assert len(silenced) == len(silences)
    for wanted_us, (_, created_us, _) in zip(silenced, silences, strict=True):
        assert 0 <= created_us - wanted_us < MINUTE_US
    acknowledged = _rows(database, "SELECT kind FROM alerts WHERE acknowledged_at_us IS NOT NULL")
    assert {kind for (kind,) in acknowledged} >= {"kick_storm", "kick_ping_pong"}


# The user that is found by name, and what is wrong first of all.
TROUBLES = {
    "alice": None,
    "bob": None,
    "carol": "kicked_by_other_device",
    "dave": "token_not_renewed",
    "erin": "calls_failing",
    "frank": "login_refused",
    "grace": "unstable_network",
    "heidi": "silent_device",
    "ivan": "never_logged_in",
    "judy": "clock_wrong",
    "niaj": "server_disagrees",
    "olivia": "plan_limit",
    "peggy": "old_sdk",
    "rupert": "duplicate_login_calls",
    "sybil": "called_before_connected",
    "trent": "kicked_by_other_device",
    "victor": "part_of_storm",
    "walter": None,
}


async def test_each_persona_has_one_of_the_troubles(folder: Path, made: Day, tmp_path: Path) -> None:
    assert made.people
    shutil.copy(folder / "zimwatch.db", tmp_path)
    found = {}
    async with made_day.served(tmp_path) as running:
        for user_id in TROUBLES:
            _, user = await running.get(f"/v1/users/{APP_ID}/{user_id}")
            found[user_id] = user["findings"][0]["kind"] if user["findings"] else None
    assert found == TROUBLES
    assert set(TROUBLES) == {make.__name__ for make in PERSONAS}
    assert set(KINDS) - {"token_expired"} <= set(TROUBLES.values())
