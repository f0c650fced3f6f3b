"""Followers of the log: in the transaction of the events or behind it, each event once and in order."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.events import CONNECTION_STATE_CHANGED, HEARTBEAT, LOGIN, Event
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.log import followers, settled_events, span_outbox
from sidecar.store.sqlite import care
from sidecar.store.users import per_minute, user_list, user_reads
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import Applied, Commit, Publishing
from tests.support.cursors import caught_up, cursor
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.process import DATABASE

pytestmark = pytest.mark.both_engines


class Notes:
    """Records each event that it follows, in the transaction. It fails at mallory, and while ``fails``."""

    name = "notes"

    def __init__(self) -> None:
        self.calls: list[list[Applied]] = []
        self.fails = False

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], _now_us: int, /) -> None:
        self.calls.append(list(applied))
        for one in applied:
            if self.fails or one.event.user_id == "mallory":
                raise RuntimeError("a bug")
            sql = "INSERT INTO span_losses (lost_at_us, kind, spans, position, problem) VALUES (0, 'note', 1, ?, '')"
            connection.exec_driver_sql(sql, (one.position,))


def opened(folder: Path, *notes: Notes, export_spans: bool = False) -> Store:
    url = url_of(folder)
    return Store.open(url, clock=lambda: BEGIN_US, followers=notes, export_spans=export_spans)


async def noted(store: Store) -> list[int]:
    """The positions that were followed, in that order."""
    return [loss.position or 0 for loss in reversed(await store.read(span_outbox.newest_losses, 1_000))]


def connected(*users: str, at: float = 0) -> list[Event]:
    return [Phone(user).says("CONNECTED", "SUCCESS", at=at) for user in users]


async def test_an_event_is_followed_with_its_effect_in_its_own_transaction_and_once(tmp_path: Path) -> None:
    notes = Notes()
    store = opened(tmp_path, notes)
    alice = Phone("alice")
    events = [alice.says("CONNECTED", "SUCCESS", at=0), alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2)]
    late = alice.says("CONNECTING", "ACTIVE_LOGIN", at=1, seq=1, id=bytes(15) + b"\1")
    await store.append([*events, events[0], alice.event(HEARTBEAT, 3)])
    assert await noted(store) == [1, 2]
    assert await store.read(cursor, "notes") == 2
    await store.append([late])
    (first, second), (third,) = notes.calls
    assert [one.position for one in (first, second, third)] == [1, 2, 3]
    assert [one.effect.status for one in (first, second, third)] == ["online", "offline", "offline"]
    assert (second.effect.previous_state, second.effect.previous_state_duration_us) == ("CONNECTED", 2 * SECOND_US)
    assert await noted(store) == [1, 2, 3]
    await store.close()


async def test_an_event_that_cannot_be_followed_is_accepted_and_skipped_and_all_others_are_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = Notes()
    store = opened(tmp_path, notes)
    await store.append(connected("alice"))
    answer = await store.append(connected("bob", "mallory", "carol", at=1))
    assert answer.accepted == 3
    assert await caught_up(store, "notes") == 4
    assert await noted(store) == [1, 2, 4]
    lines = [line for line in capsys.readouterr().out.splitlines() if "cannot be followed" in line]
    assert len(lines) == 1
    assert "follower=notes" in lines[0]
    assert "position=3" in lines[0]
    calls = len(notes.calls)
    await store.append(connected("dave", at=2))
    assert await noted(store) == [1, 2, 4, 5]
    assert len(notes.calls) == calls + 1, "once up to date it follows in the transaction of the events again"
    await store.close()


async def test_a_wrong_statement_of_a_follower_delays_no_event(tmp_path: Path) -> None:
    class Wrong(Notes):
        def follow(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int, /) -> None:
            super().follow(connection, applied, now_us)
            if any(one.event.user_id == "bob" for one in applied):
                connection.exec_driver_sql("SELECT 1 FROM no_such_table")

    store = opened(tmp_path, Wrong())
    assert (await store.append(connected("alice", "bob", "carol"))).accepted == 3
    assert await caught_up(store, "notes") == 3
    assert await noted(store) == [1, 3]
    assert store.problem is None
    await store.close()


async def test_a_follower_that_fails_for_a_while_delays_no_other_and_no_event(tmp_path: Path) -> None:
    notes = Notes()
    store = opened(tmp_path, notes, export_spans=True)
    notes.fails = True
    await store.append(connected("alice", "bob"))
    assert await caught_up(store, "spans") == 2
    assert (await store.read(span_outbox.backlog)).spans == 2
    assert await caught_up(store, "notes") == 2, "what fails with every event is left out, event by event"
    notes.fails = False
    await store.append(connected("carol", at=1))
    assert await noted(store) == [3]
    await store.close()


async def test_a_follower_that_was_off_follows_what_it_missed_and_a_new_one_only_new_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "SLICE", 2)
    store = opened(tmp_path)
    await store.append(connected("alice"))
    await store.close()
    store = opened(tmp_path, Notes())
    assert await store.read(cursor, "notes") == 1, "a new one begins at the newest position"
    await store.close()
    store = opened(tmp_path)
    for at in range(1, 6):
        await store.append(connected(f"user-{at}", at=at))
    await store.close()
    notes = Notes()
    store = opened(tmp_path, notes)
    assert await caught_up(store, "notes") == 6
    assert await noted(store) == [2, 3, 4, 5, 6]
    assert [len(call) for call in notes.calls] == [2, 2, 1], "in slices"
    await store.rebuild()
    assert await noted(store) == [2, 3, 4, 5, 6], "a rebuild moves no cursor"
    await store.close()


NEWER_TABLES = (
    *("alert_counts", "alert_members", "app_hours", "user_watches", "happenings", "old_reporters"),
    *("audit_log", "audit_marks", "audit_subjects", "erasures", "pruned_apps", "forwarding", "edges"),
    *("accounts", "account_links", "recovery_codes"),
)
NEWER_COLUMNS_OF_TOKENS = (
    *("name", "apps", "origins", "made_by", "made_by_token", "last_used_at_us", "replaced_by"),
    *("made_by_account", "made_by_identity", "ends_with"),
)


@pytest.mark.of_sqlite
async def test_an_older_database_is_followed_from_its_newest_event_on(tmp_path: Path) -> None:
    store = opened(tmp_path, export_spans=True)
    await store.append(connected("alice", "bob"))
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.execute("DROP TABLE followers")
        for table in NEWER_TABLES:
            connection.execute(f"DROP TABLE {table}")
        for index in (
            "alerts_by_kind",
            "alerts_firing_by_id",
            "alerts_acknowledged",
            "storm_members_held",
            "alert_messages_by_acceptance",
        ):
            connection.execute(f"DROP INDEX {index}")
        for now, then in (("suppressed_by", "held"), ("routed", "owed"), ("notified", "told")):
            connection.execute(f"ALTER TABLE alerts RENAME COLUMN {now} TO {then}")
        connection.execute("DROP INDEX clients_by_lease")
        for column in ("heartbeat_after_s", "reporter_name", "reporter_version"):
            connection.execute(f"ALTER TABLE clients DROP COLUMN {column}")
        for column in ("heartbeat_after_s", "heartbeat_clients", "holds_heartbeats"):
            connection.execute(f"ALTER TABLE lease_stretches DROP COLUMN {column}")
        for column in ("held", "code"):
            connection.execute(f"ALTER TABLE storm_members DROP COLUMN {column}")
        connection.execute("ALTER TABLE events DROP COLUMN proven")
        for column in NEWER_COLUMNS_OF_TOKENS:
            connection.execute(f"ALTER TABLE api_tokens DROP COLUMN {column}")
        connection.execute("ALTER TABLE api_tokens ADD COLUMN app_id BIGINT")
        connection.execute("DELETE FROM keys WHERE name IN ('accounts', 'audit', 'audit_subjects')")
        connection.execute("DROP INDEX browser_sessions_by_owner")
        for column in ("ended", "owner", "account_id", "issuer", "subject", "role", "apps", "refresh", "checked_at_us"):
            connection.execute(f"ALTER TABLE browser_sessions DROP COLUMN {column}")
        for column in ("address", "browser", "sid"):
            connection.execute(f"ALTER TABLE browser_sessions DROP COLUMN {column}")
        connection.execute("CREATE INDEX browser_sessions_by_token ON browser_sessions (token_id, seen_at_us)")
        connection.execute("UPDATE alembic_version SET version_num = '0020_rules_in_tables'")
    store = opened(tmp_path, Notes(), export_spans=True)
    assert [await store.read(cursor, name) for name in ("minutes", "spans", "notes")] == [2, 2, 2]
    await store.append(connected("carol", at=1))
    assert await noted(store) == [3]
    assert (await store.read(span_outbox.backlog)).spans == 3
    await store.close()


async def test_spans_are_pending_again_once_they_are_exported_again(tmp_path: Path) -> None:
    for user, exported, pending in (("alice", True, 1), ("bob", False, 1), ("carol", True, 2)):
        store = opened(tmp_path, export_spans=exported)
        await store.append(connected(user))
        assert (await store.read(span_outbox.backlog)).spans == pending
        await store.close()


async def test_reading_behind_a_cursor_gives_what_is_followed_in_the_transaction(tmp_path: Path) -> None:
    notes = Notes()
    store = opened(tmp_path, notes)
    alice, other, bob = Phone("alice"), Phone("alice", "another phone"), Phone("bob")
    await store.append([bob.event(LOGIN, 0), *connected("carol"), alice.event(LOGIN, 0)])
    await store.append([alice.says("CONNECTED", "SUCCESS", at=1), other.says("CONNECTED", "SUCCESS", at=2)])
    await store.append([alice.says("DISCONNECTED", "KICKED_OUT", at=3), other.says("DISCONNECTED", "KICKED_OUT", at=4)])
    await store.append([bob.says("CONNECTED", "SUCCESS", at=1, extended_data='{"a": 1}')])
    await store.append([Phone(None).event("x", 1)])
    live = [one for call in notes.calls for one in call]
    assert {one.effect.previous_status for one in live} == {None, "not_logged_in", "online"}
    assert await store.read(lambda connection: store._database.log_behind(connection, 0, 100)) == live
    await store.close()


@pytest.mark.of_sqlite
async def test_minutes_counted_late_have_their_events_and_not_the_users_of_today(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append([Phone("alice").event(LOGIN, 0), *connected("alice")])
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM rollups")
        connection.execute("UPDATE followers SET position = 0 WHERE name = 'minutes'")
    now_us = BEGIN_US + 3_600 * SECOND_US
    store = Store.open(url_of(tmp_path), clock=lambda: now_us)
    await caught_up(store, "minutes")
    wanted = {"begin_us": BEGIN_US, "end_us": BEGIN_US, "step_minutes": 1}
    (minute,) = await store.read(lambda connection: per_minute.buckets(connection, None, **wanted))
    assert (minute.logins, minute.online) == (1, 0)
    await store.close()


async def test_what_a_follower_has_not_followed_is_counted(tmp_path: Path) -> None:
    store = opened(tmp_path, Notes())
    await store.write(lambda connection: settled_events.begin(connection, "other", is_on=True))
    await store.append([Phone(user).event(LOGIN, 0) for user in ("alice", "bob", "carol")])
    assert store.followers == ("minutes", "notes")
    sql = "UPDATE followers SET position = 1 WHERE name IN ('minutes', 'other')"
    await store.write(lambda connection: connection.exec_driver_sql(sql))
    behind = partial(followers.behind, names=store.followers)
    assert await store.read(behind) == {"minutes": 2, "notes": 0}
    await store.close()
    store = opened(tmp_path, Notes())
    await caught_up(store, "minutes")
    assert await store.read(behind) == {"minutes": 0, "notes": 0}
    await store.close()


STEPS = st.lists(
    st.tuples(st.lists(st.sampled_from(["alice", "bob", "mallory"]), min_size=1, max_size=4), st.booleans()),
    min_size=1,
    max_size=4,
)
EFFECTS = {
    "notes": "SELECT COUNT(*), COUNT(DISTINCT position), MAX(position) FROM span_losses",
    "spans": "SELECT SUM(spans) FROM span_outbox",
    "minutes": "SELECT SUM(logins) FROM rollups WHERE every_app",
}


def agrees(file: Path) -> None:
    """Each follower's effect is that of the events up to its cursor."""
    with closing(sqlite3.connect(file)) as connection:
        at = dict(connection.execute("SELECT name, position FROM followers").fetchall())
        events = connection.execute("SELECT position, type, user_id FROM events").fetchall()
        found = {name: connection.execute(sql).fetchone() for name, sql in EFFECTS.items()}
    fit = [position for position, _, user in events if position <= at["notes"] and user != "mallory"]
    kinds = {name: [kind for position, kind, _ in events if position <= at[name]] for name in ("spans", "minutes")}
    assert found["notes"] == (len(fit), len(fit), max(fit, default=None))
    assert found["spans"] == (kinds["spans"].count(CONNECTION_STATE_CHANGED),)
    assert (found["minutes"][0] or 0) == kinds["minutes"].count(LOGIN)


async def killed(folder: Path, steps: list[tuple[list[str], bool]]) -> None:
    """Copies the files after each step, as a kill would leave them, while the writer may be at work."""
    store = opened(folder, Notes(), export_spans=True)
    for number, (users, waits) in enumerate(steps):
        await store.append([Phone(user, f"{number} {at}").event(LOGIN, number) for at, user in enumerate(users)])
        await store.append(connected(*users, at=number))
        if waits:
            await caught_up(store, "notes")
        copy = folder / f"killed {number}"
        copy.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(folder / f"{DATABASE}{suffix}", copy / f"{DATABASE}{suffix}")
        agrees(copy / DATABASE)
    await store.close()
    again = opened(copy, Notes(), export_spans=True)
    for name in EFFECTS:
        await caught_up(again, name)
    await again.close()
    agrees(copy / DATABASE)


@settings(max_examples=3)
@given(steps=STEPS)
@pytest.mark.of_sqlite
def test_after_a_kill_at_any_step_the_effect_of_each_follower_is_that_of_its_cursor(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[str], bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(followers, "SLICE", 2)
        # Else the file might change while it is copied, unlike at a kill.
        patch.setattr(care, "CHECKPOINT_LATEST_US", 3_600 * SECOND_US)
        asyncio.run(killed(tmp_path_factory.mktemp("killed"), steps))


async def test_users_become_unconfirmed_without_an_event_and_are_counted_and_listed_as_such(tmp_path: Path) -> None:
    now_us = BEGIN_US
    store = Store.open(url_of(tmp_path), clock=lambda: now_us)
    alice, bob = Phone("alice"), Phone("bob")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), bob.says("CONNECTED", "SUCCESS", at=0)])
    await store.append([alice.event(HEARTBEAT, 0)])

    async def unconfirmed() -> tuple[int, list[str]]:
        await store.tend()
        found = await store.read(user_list.list_users, UserQuery(unconfirmed=True), store.now())
        return (await store.read(user_reads.summary)).unconfirmed, [user.user_id for user in found.users]

    assert await unconfirmed() == (0, [])
    now_us += 46 * SECOND_US
    assert await unconfirmed() == (1, ["alice"])
    await store.append([alice.event(HEARTBEAT, 46)])
    assert await unconfirmed() == (0, [])
    now_us += 86_400 * SECOND_US
    assert await unconfirmed() == (2, ["bob", "alice"])
    await store.close()


async def test_changes_are_published_once_for_a_whole_commit_and_only_if_it_succeeds(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path, Notes())
    published: list[Commit] = []
    store.subscribe(published.append)

    def failing(_connection: sa.Connection) -> Publishing[int]:
        raise ZeroDivisionError

    first = store.write(lambda _: Publishing(1, Commit(alerts=(7,), alerted=((APP_ID, "bob"),))))
    second = store.write(lambda _: Publishing(2, Commit(alerts=(3,), alert_log=True)))
    quiet = store.write(lambda _: Publishing(3, None))
    event = store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    results = tuple(await asyncio.gather(first, second, quiet, event))
    assert results[:3] == (1, 2, 3)
    with pytest.raises(ZeroDivisionError):
        await store.write(failing)
    await store.write(lambda _: Publishing(None, Commit(alert_log=True)))
    await store.close()
    await asyncio.sleep(0)
    whole = Commit.of_all(published[:-1])
    assert whole == Commit(1, ((APP_ID, "alice"),), (3, 7), ((APP_ID, "bob"),), alert_log=True)
    assert published[-1] == Commit(alert_log=True)
