"""A database of the first version becomes one of this version, by the command that does it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import uuid
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from sidecar.domain import rfc3339
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.errors import DatabaseRefusedError
from sidecar.store import Store, schema
from sidecar.store import store as opening
from sidecar.store.log import span_outbox
from sidecar.store.sqlite import connections, database_file
from sidecar.store.users import per_minute, user_list
from sidecar.store.users.user_query import UserQuery
from tests.support.events import APP_ID, BEGIN_US, Phone, made_id
from tests.support.process import DATABASE
from tests.support.running import zimwatch
from tests.support.stores import projected
from tests.support.tokens import new_token

FIRST: Final = "0001"
MINUTE: Final = BEGIN_US // MINUTE_US
EARLIER: Final = MINUTE - 2 * 24 * 60
ENDS_US: Final = BEGIN_US + 86_400 * SECOND_US


def at_us(position: int) -> int:
    return BEGIN_US + position * SECOND_US


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
# By how much the device's clock was wrong at an event: carol's showed another century, and a client once 1970.
OFF_US: Final = {6: 100 * 366 * 86_400 * SECOND_US, 1: -at_us(1)}
STATES: Final = {"alice": "CONNECTED", "bob": "RECONNECTING", "carol": "DISCONNECTED"}


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def migrate(path: Path, revision: str) -> None:
    """By the migrations alone, as far as ``revision``."""
    database_file.claim(path)
    made = connections.connect(path, writes=True)
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
                occurred_at_us=at_us(position) + OFF_US.get(position, 0),
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
    refused = {"received_at_us": BEGIN_US, "batch_index": 3, "event_id": "7", "error": "no UUID", "body": "{}"}
    with closing(sqlite3.connect(path)) as connection, connection:
        insert(connection, "rejected_events", **refused)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "db", "upgrade", "--database-url", f"sqlite:///{path}"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert (process.returncode, b"is up to date now" in output) == (0, True), errors.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.REVISION,)]
        assert connection.execute("SELECT position, id FROM events ORDER BY position").fetchall() == [
            (position, made_id(f"event {position}")) for position, *_ in EVENTS
        ]
        kept = connection.execute("SELECT batch_index, event_id, error, body, app_id FROM rejected_events").fetchall()
        assert kept == [(3, "7", "no UUID", "{}", None)]
        # Pending spans are still pending, with the same contents.
        pending = (
            "SELECT user_id, previous_state, previous_state_duration_us, user_status FROM span_outbox"
            " JOIN events ON position BETWEEN first_position AND last_position ORDER BY position"
        )
        assert connection.execute(pending).fetchall() == [
            ("bob", "CONNECTED", 2 * SECOND_US, "offline"),
            ("carol", "CONNECTED", 2 * SECOND_US, "not_logged_in"),
        ]
    async with zimwatch(tmp_path) as running:
        _, shown = await running.get("/v1/users")
        assert [(user["user_id"], user["status"], user["reason"]) for user in shown["users"]] == [
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
            _, shown = await running.get(f"/v1/users/{APP_ID}/{user_id}/events")
            expected = [(kind, event) for _, who, kind, _, event in reversed(EVENTS) if who == user_id]
            assert [(one["type"], one.get("connection_event")) for one in shown["events"]] == expected
            for one in shown["events"]:
                assert one["moment"] == one["received_at" if one["position"] in OFF_US else "occurred_at"]
        # The key of idempotency is of the app: what was stored before is known, another app's is not.
        alices = {"type": "logout", "seq": 9, "user_id": "alice", "occurred_at": "2026-11-23T14:00:09Z"}
        alices |= {"id": str(uuid.UUID(bytes=made_id("event 2"))), "client_id": str(uuid.UUID(bytes=made_id("alice")))}
        _, answer = await running.send([alices | {"app_id": APP_ID}, alices | {"app_id": 7}])
        assert (answer["accepted"], answer["duplicates"]) == (1, 1)
        _, carol = await running.get(f"/v1/users/{APP_ID}/carol")
        assert carol["since"] == rfc3339.text(at_us(6) + 1_000)
        _, secret = await new_token(running.store, "read")
        async with running.http.post("/sign-in", data={"password": secret}, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
        by_token = await running.store.read(
            user_list.list_users_with_clients, UserQuery(order="token"), running.store.now()
        )
        assert [one.user.user_id for one in by_token.users] == ["alice", "bob", "carol", "alice"]


@pytest.mark.parametrize("attach", [True, False])
async def test_users_are_rebuilt_although_the_migrating_process_did_not_get_that_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, attach: bool
) -> None:
    path = tmp_path / DATABASE
    a_database_of_the_first_version(path)

    def killed(*_: Any) -> None:
        raise OSError

    with monkeypatch.context() as patch, contextlib.suppress(DatabaseRefusedError):
        patch.setattr(opening, "rebuild", killed)
        store = Store.open(f"sqlite:///{path}", clock=lambda: ENDS_US, attach=attach)
        await store.close()
    for _ in range(2):  # once, and then it is done
        store = Store.open(f"sqlite:///{path}", clock=lambda: ENDS_US)
        found = await store.read(user_list.list_users, UserQuery(), store.now())
        assert {user.user_id: user.status for user in found.users} == {name: one[0] for name, one in USERS.items()}
        await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert not connection.execute("SELECT 1 FROM followers WHERE name = ?", (schema.OUTDATED,)).fetchall()


async def test_a_migration_that_only_adds_an_index_does_not_go_through_all_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / DATABASE
    every = ScriptDirectory.iterate_revisions

    def iterate(*passed: Any, **how: Any) -> list[Any]:
        """The migrations of a file, as if they had only added an index."""
        return [one for one in every(*passed, **how) if how or one.revision in {"0007_token_ends", "0008_ids_by_group"}]

    monkeypatch.setattr(ScriptDirectory, "iterate_revisions", iterate)
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
        # A rebuild of users from the events would have removed this one.
        _, user = await running.get(f"/v1/users/{APP_ID}/of no event")
        assert user["status"] == "not_logged_in"


async def test_texts_of_alerts_from_before_sentences_are_shown_unchanged(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    migrate(path, "0009_event_ids_by_app")
    with closing(sqlite3.connect(path)) as connection, connection:
        insert(
            connection,
            "alerts",
            id=1,
            kind="kicked_out",
            fingerprint="f" * 32,
            severity="critical",
            app_id=APP_ID,
            user_id="carol",
            other="",
            state="resolved",
            started_at_us=BEGIN_US,
            opened_at_us=BEGIN_US,
            ended_at_us=BEGIN_US,
            changed_at_us=BEGIN_US,
            end_reason='the "user" is online again',
            count=1,
            summary="100% of carol was kicked out",
            labels="{}",
            facts="{}",
            owed=False,
            told=False,
        )
        insert(connection, "alert_history", id=1, alert_id=1, at_us=BEGIN_US, what="cause", text="carol, again")
    async with zimwatch(tmp_path) as running:
        _, alert = await running.get("/v1/alerts/1")
        assert (alert["summary"], alert["end_reason"]) == ("100% of carol was kicked out", 'the "user" is online again')
        assert [line["text"] for line in alert["history"]] == ["carol, again"]


def a_database_at_0017(path: Path) -> None:
    """With rows as Zimwatch wrote them then: those of its users, of an open run of spans, and of minutes."""
    migrate(path, "0017_pruning_hold")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("database_0017.sql").read_text())


async def test_spans_and_minutes_of_before_their_flags_had_columns_are_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    a_database_at_0017(path)
    store = Store.open(f"sqlite:///{path}", clock=lambda: BEGIN_US + 20 * SECOND_US, export_spans=True)
    with closing(sqlite3.connect(path)) as connection:
        runs = connection.execute("SELECT first_position, last_position, is_open, spans FROM span_outbox").fetchall()
        assert runs == [(1, 15, 0, 11), (17, 18, 1, 2)]
        minutes = "SELECT app_id, minute, logins FROM rollups WHERE {} ORDER BY 1, 2"
        assert connection.execute(minutes.format("every_app")).fetchall() == [(0, EARLIER, 1), (0, MINUTE, 3)]
        shown = connection.execute(minutes.format("NOT every_app")).fetchall()
        assert shown == [(7, MINUTE, 1), (APP_ID, EARLIER, 1), (APP_ID, MINUTE, 2)]
    # The open run continues, and the closed one ends.
    await store.append([Phone("erin").says("CONNECTED", "SUCCESS", at=19)])
    spans = await store.read(span_outbox.claim, 0, 100)
    assert (len(spans), spans[-1].position) == (11, 15)
    await store.write(span_outbox.acknowledge, 15, 11)
    assert [span.position for span in await store.read(span_outbox.claim, 15, 100)] == [17, 18, 19]
    day = await store.read(per_minute.buckets, None, begin_us=BEGIN_US, end_us=BEGIN_US, step_minutes=1)
    assert [(minute.logins, minute.kicked_out) for minute in day] == [(3, 1)]
    await store.close()


async def test_users_of_before_their_clients_were_json_are_as_they_were_and_as_a_rebuild_makes_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / DATABASE
    a_database_at_0017(path)
    store = Store.open(f"sqlite:///{path}", clock=lambda: BEGIN_US + 20 * SECOND_US, export_spans=True)
    flags = "SELECT user_id, lease_check_us, lease_lapsed, crowded, json_array_length(clients) FROM user_status"
    with closing(sqlite3.connect(path)) as connection:
        lapsed_us = BEGIN_US + (1 - 86_400) * SECOND_US
        assert connection.execute(f"{flags} ORDER BY user_id").fetchall() == [
            ("alice", at_us(5) + 86_400 * SECOND_US, 0, 0, 2),
            ("bob", at_us(8) + 86_400 * SECOND_US, 0, 1, 0),
            ("carol", lapsed_us, 1, 0, 1),
            ("dave", None, 0, 0, 1),
        ]
        live = "SELECT user_id FROM user_status, json_each(clients) WHERE value ->> '$[3][0]' = 'online'"
        assert connection.execute(f"{live} AND value ->> 9 = '2.20.0'").fetchall() == [("alice",)]
    before = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == before
    for wanted, found in (
        (UserQuery(app_version='1.0 "beta"'), {"alice"}),
        (UserQuery(sdk_version="2.20.0"), {"alice", "bob"}),
        (UserQuery(sdk_version="2.20"), set()),
        (UserQuery(unconfirmed=True), {"carol"}),
    ):
        assert {
            one.user.user_id for one in (await store.read(user_list.list_users_with_clients, wanted, store.now())).users
        } == found
    await store.close()
