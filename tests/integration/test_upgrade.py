"""A database of the first version becomes one of this version, by the command that does it."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config

from sidecar.store import engine, tables
from sidecar.store.lookup import Search
from tests.support.events import APP_ID, BEGIN_US, SECOND_US, made_id
from tests.support.process import DATABASE
from tests.support.running import zimwatch

FIRST: Final = "0001"
ENDS_US: Final = BEGIN_US + 86_400 * SECOND_US
# Position, user, kind of event, state and connection event; each user has one client and one session.
EVENTS: Final = [
    (1, "alice", "login", None, None),
    (2, "alice", "connection_state_changed", "CONNECTED", "SUCCESS"),
    (3, "bob", "connection_state_changed", "CONNECTED", "SUCCESS"),
    (4, "carol", "connection_state_changed", "CONNECTED", "SUCCESS"),
    (5, "bob", "connection_state_changed", "RECONNECTING", "LOGIN_INTERRUPTED"),
    (6, "carol", "connection_state_changed", "DISCONNECTED", "KICKED_OUT"),
]
# As the first version left them: the status, since which event, and the newest event.
USERS: Final = {
    "alice": ("online", "SUCCESS", 2, 2),
    "bob": ("offline", "LOGIN_INTERRUPTED", 5, 5),
    "carol": ("not_logged_in", "KICKED_OUT", 6, 6),
}
STATES: Final = {"alice": "CONNECTED", "bob": "RECONNECTING", "carol": "DISCONNECTED"}


def at_us(position: int) -> int:
    return BEGIN_US + position * SECOND_US


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def migrate(path: Path, revision: str) -> None:
    """By the migrations alone, as far as ``revision``."""
    engine.claim(path)
    made = engine.connect(path, writes=True)
    config = Config()
    config.set_main_option("script_location", str(resources.files("sidecar.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    with made.begin() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, revision)
    made.dispose()


def a_database_of_the_first_version(path: Path) -> None:
    """Its tables by its migration, and rows as it wrote them."""
    migrate(path, FIRST)
    newest: dict[str, int] = {}
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(FIRST,)]
        for position, user_id, kind, state, event in EVENTS:
            seq = sum(one[1] == user_id for one in EVENTS[:position])
            insert(
                connection,
                "events",
                position=position,
                id=made_id(f"event {position}"),
                type=kind,
                occurred_at_us=at_us(position),
                received_at_us=at_us(position) + 1_000,
                client_id=made_id(user_id),
                seq=seq,
                app_id=APP_ID,
                session_id=made_id(f"session of {user_id}"),
                user_id=user_id,
                platform="Web",
                connection_state=state,
                connection_event=event,
                extended_data=None if state is None else "{}",
                details=f'{{"offline_login":false,"token_expires_at_us":{ENDS_US}}}' if kind == "login" else None,
                previous_user_position=newest.get(user_id),
                previous_session_position=newest.get(user_id),
                previous_client_position=newest.get(user_id),
            )
            newest[user_id] = position
        for key, (user_id, (status, reason, since, last)) in enumerate(USERS.items(), 1):
            token = ENDS_US if user_id == "alice" else None
            seen = {"last_seen_at_us": at_us(last) + 1_000, "last_position": last}
            known = {"status": status, "since_us": at_us(since), "reason": reason, "token_expires_at_us": token}
            ended = status == "not_logged_in"
            insert(
                connection,
                "clients",
                client_key=key,
                client_id=made_id(user_id),
                user_key=key,
                outages=int(user_id == "bob"),
                connection_state=STATES[user_id],
                connection_state_since_us=at_us(since),
                session_id=made_id(f"session of {user_id}"),
                reports_login=user_id == "alice",
                ended=ended,
                login_at_us=at_us(1) if user_id == "alice" else None,
                last_seq=2,
                last_id=made_id(f"event {last}"),
                platform="Web",
                sends_heartbeats=False,
                **known,
                **seen,
            )
            lease_us = None if ended else seen["last_seen_at_us"] + 86_400 * SECOND_US
            insert(
                connection,
                "user_status",
                user_key=key,
                app_id=APP_ID,
                user_id=user_id,
                platform="Web",
                lease_until_us=lease_us,
                changed_position=last,
                **known,
                **seen,
            )
            insert(connection, "user_counts", app_id=APP_ID, status=status, users=1)
        # What was exported by then is all but the last two.
        for key, user_id in enumerate(USERS, 1):
            first = next(one[0] for one in EVENTS if one[1] == user_id and one[3] is not None)
            session = made_id(f"session of {user_id}")
            insert(
                connection,
                "traces",
                trace_key=key,
                trace_id=session,
                last_position=newest[user_id],
                root_position=first,
            )
        for position, user_id in ((5, "bob"), (6, "carol")):
            insert(
                connection,
                "span_outbox",
                position=position,
                trace_id=made_id(f"session of {user_id}"),
                is_root=False,
                previous_state="CONNECTED",
                previous_state_duration_us=2 * SECOND_US,
                user_status=USERS[user_id][0],
                attempts=0,
                due_at_us=0,
            )


async def test_a_database_of_the_first_version_is_upgraded_and_all_in_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    a_database_of_the_first_version(path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "db", "upgrade", "--database-url", f"sqlite:///{path}"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert (process.returncode, b"is up to date" in said) == (0, True), complaints.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(tables.REVISION,)]
        # What was owed to the collector is owed still, with what its span says.
        owed = (
            "SELECT user_id, previous_state, previous_state_duration_us, user_status FROM span_outbox"
            " JOIN events ON position BETWEEN first_position AND COALESCE(last_position, position) ORDER BY position"
        )
        assert connection.execute(owed).fetchall() == [
            ("bob", "CONNECTED", 2 * SECOND_US, "offline"),
            ("carol", "CONNECTED", 2 * SECOND_US, "not_logged_in"),
        ]
    async with zimwatch(tmp_path) as running:
        _, told = await running.get("/v1/users")
        assert [(user["user_id"], user["status"], user["reason"]) for user in told["users"]] == [
            ("carol", "not_logged_in", "KICKED_OUT"),
            ("bob", "offline", "LOGIN_INTERRUPTED"),
            ("alice", "online", "SUCCESS"),
        ]
        _, counts = await running.get("/v1/summary")
        assert (counts["online"], counts["offline"], counts["not_logged_in"]) == (1, 1, 1)
        for part in ("aro", "c", "carol"):
            assert [user["user_id"] for user in (await running.get(f"/v1/users?q={part}"))[1]["users"]][:1] == ["carol"]
        _, alice = await running.get(f"/v1/users/{APP_ID}/alice")
        assert alice["token_expires_at"] is not None
        assert [session["status"] for session in alice["sessions"]] == ["online"]
        for user_id in USERS:
            _, told = await running.get(f"/v1/users/{APP_ID}/{user_id}/events")
            expected = [(kind, event) for _, who, kind, _, event in reversed(EVENTS) if who == user_id]
            assert [(one["type"], one.get("connection_event")) for one in told["events"]] == expected
        by_token = await running.store.search(Search(order="token"))
        assert [one.user.user_id for one in by_token.users] == ["alice", "bob", "carol"]


async def test_a_migration_that_only_adds_an_index_does_not_go_through_all_events(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    migrate(path, "0006_groups_and_runs")
    with closing(sqlite3.connect(path)) as connection, connection:
        insert(
            connection,
            "user_status",
            user_key=1,
            app_id=APP_ID,
            user_id="of no event",
            status="not_logged_in",
            last_seen_at_us=BEGIN_US,
            changed_position=1,
            group_key=1,
            clients=b"\x90",
        )
    async with zimwatch(tmp_path) as running:
        # Had users been made anew from the events, this one would be gone.
        _, user = await running.get(f"/v1/users/{APP_ID}/of no event")
        assert user["status"] == "not_logged_in"
