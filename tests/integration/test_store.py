"""The event log and what follows from it, in a real SQLite file."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domain.events import HEARTBEAT, Event
from sidecar.domain.login_state import fold
from sidecar.domain.presence import presence
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.store import Store, backups, engine, lookup, migrations, projections, rows, search, tables
from sidecar.store.records import Backlog, Rejected, UserFilter
from tests.support.events import APP_ID, BEGIN_US, SECOND_US, Phone, made_id

LATER_US = BEGIN_US + 20 * SECOND_US


def opened(folder: Path, **options: Any) -> Store:
    return Store.open(f"sqlite:///{folder / 'zimwatch.db'}", clock=lambda: LATER_US, **options)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = opened(tmp_path, export_spans=True)
    yield store
    await store.close()


GROUP = ", ".join(f"user_groups.{name}" for name in ("app_id", "status", "platform", "reason", "unconfirmed"))


def held_open(folder: Path) -> list[str]:
    """The files in ``folder`` that this process has open."""
    own = Path("/proc/self/fd").iterdir()
    return [target for one in own if (target := os.path.realpath(one)).startswith(f"{folder}/")]


def projected(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every projection as rows without the keys, which are the database's own affair."""
    with closing(sqlite3.connect(folder / "zimwatch.db")) as connection:
        who = "JOIN user_status USING (user_key)"
        group_of = "JOIN user_status USING (group_key)"
        columns = [c.name for c in tables.clients.columns if c.name not in {"client_key", "user_key"}]
        queries = {
            "users": "SELECT * FROM user_status ORDER BY app_id, user_id",
            "clients": f"SELECT app_id, user_id, c.{', c.'.join(columns)} FROM clients c {who} ORDER BY 3",
            "packed": "SELECT app_id, user_id, clients FROM user_status WHERE clients IS NOT NULL",
            "traces": "SELECT trace_id, root_position FROM traces ORDER BY trace_id",
            "groups": f"SELECT {GROUP}, users FROM user_groups WHERE users <> 0 ORDER BY 1, 2, 3, 4, 5",
            "members": f"SELECT user_id, {GROUP} FROM user_groups {group_of} ORDER BY user_status.app_id, user_id",
        }
        found = {name: connection.execute(sql).fetchall() for name, sql in queries.items()}
    found["users"] = [row[1:-4] for row in found["users"]]
    # Where a client stands, in its user's row or in its own, is the store's affair as well.
    for app_id, user_id, packed in found.pop("packed"):
        for client in rows.unpack(packed):
            told = dict(zip([c.name for c in tables.clients.columns], rows.client_row(client), strict=True))
            found["clients"].append((app_id, user_id, *(told[name] for name in columns)))
    found["clients"].sort(key=lambda row: row[:3])
    connection.close()
    return found


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["alice/phone", "bob/phone", "bob/laptop"]),
        st.sampled_from(
            [
                "login",
                "logout",
                ("CONNECTED", "SUCCESS"),
                ("CONNECTING", "ACTIVE_LOGIN"),
                ("RECONNECTING", "LOGIN_INTERRUPTED"),
                ("DISCONNECTED", "KICKED_OUT"),
                ("DISCONNECTED", "TOKEN_EXPIRED"),
                ("99", "77"),
            ]
        ),
    ),
    max_size=25,
)


def told(steps: list[tuple[str, Any]]) -> list[Event]:
    devices = (("alice", "phone"), ("bob", "phone"), ("bob", "laptop"))
    phones = {f"{user}/{device}": Phone(user, device) for user, device in devices}
    events = []
    for at, (name, what) in enumerate(steps):
        phone = phones[name]
        if what == "login":
            events.append(phone.login(at))
        elif what == "logout":
            events.append(phone.event("logout", at))
        else:
            events.append(phone.says(what[0], what[1], at=at))
    return events


@pytest.fixture(params=["as it is", "forgetful"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a memory for hardly anything, all goes through the tables, and every user with two clients is crowded."""
    if request.param == "forgetful":
        for name in ("USERS_HELD", "CLIENTS_KEPT", "CLIENTS_PACKED"):
            monkeypatch.setattr(projections, name, 1)
    return str(request.param)


@pytest.mark.usefixtures("memory")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_any_arrival_gives_the_status_of_the_ordered_sequence_and_a_rebuild_equals_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("any")
    events = told(steps)
    arrived = events + (chance.choices(events, k=4) if events else [])
    chance.shuffle(arrived)

    async def story() -> None:
        store = opened(folder)
        accepted = 0
        while arrived:
            batch = [arrived.pop() for _ in range(min(len(arrived), chance.randint(1, 5)))]
            accepted += (await store.append(batch)).accepted
        assert accepted == len(events)
        for user_id in ("alice", "bob"):
            own = [event for event in events if event.user_id == user_id]
            clients = [fold(e for e in own if e.client_id == one) for one in {e.client_id for e in own}]
            expected = presence(clients)
            found = await store.user(APP_ID, user_id)
            assert (found is None) == (not own)
            if found is not None:
                user = found.user
                assert (user.status, user.since_us, user.reason) == (
                    expected.status,
                    expected.since_us,
                    expected.reason,
                )
        live = projected(folder)
        await store.rebuild()
        assert projected(folder) == live
        await store.close()

    asyncio.run(story())


async def test_an_event_sent_twice_is_stored_once(store: Store) -> None:
    event = Phone("alice").says("CONNECTED", "SUCCESS", at=0)
    answers = [await store.append([event, event]), await store.append([event])]
    assert [(a.accepted, a.duplicates) for a in answers] == [(1, 1), (0, 1)]
    assert len(await store.timeline(APP_ID, "alice", before=None, limit=10)) == 1


async def test_a_timeline_is_newest_first_goes_on_where_it_stopped_and_holds_nobody_elses(store: Store) -> None:
    alice, bob = Phone("alice"), Phone("bob")
    for at in range(6):
        who = alice if at % 2 == 0 else bob
        await store.append([who.says("CONNECTED", "SUCCESS", at=at)])
    first = await store.timeline(APP_ID, "alice", before=None, limit=2)
    rest = await store.timeline(APP_ID, "alice", before=first[-1].position, limit=10)
    assert [one.position for one in [*first, *rest]] == [5, 3, 1]
    assert {one.event.user_id for one in [*first, *rest]} == {"alice"}
    assert await store.timeline(APP_ID, "alice", before=6, limit=10) == []


async def test_an_event_is_read_as_it_was_stored(store: Store) -> None:
    event = Phone("alice").event("api_error", 1, details={"method": "sendMessage", "code": 6000121, "message": "no"})
    await store.append([event])
    assert (await store.timeline(APP_ID, "alice", before=None, limit=1))[0].event == event


async def test_a_heartbeat_renews_the_lease_and_is_no_row(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=-3600), alice.event(HEARTBEAT, -100)])
    found = await store.user(APP_ID, "alice")
    assert found is not None and found.user.unconfirmed and found.user.status == "online"  # noqa: PT018
    assert (await store.summary()).unconfirmed == 1
    await store.append([alice.event(HEARTBEAT, 0)])
    found = await store.user(APP_ID, "alice")
    assert found is not None
    assert not found.user.unconfirmed
    assert await store.position() == 1


async def test_a_rebuild_keeps_what_heartbeats_told(store: Store, tmp_path: Path) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=-3600), alice.event(HEARTBEAT, 0)])
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live


async def test_users_are_found_by_each_filter_newest_change_first(store: Store) -> None:
    alice, bob, carol = Phone("alice"), Phone("bob"), Phone("ca%rol", app_id=7)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0)])
    await store.append([bob.says("RECONNECTING", "LOGIN_INTERRUPTED", at=1)])
    await store.append([carol.says("DISCONNECTED", "KICKED_OUT", at=2)])

    async def names(**wanted: Any) -> list[str]:
        return [user.user_id for user in (await store.users(UserFilter(**wanted))).users]

    assert await names() == ["ca%rol", "bob", "alice"]
    assert await names(status="offline") == ["bob"]
    assert await names(reason="KICKED_OUT") == ["ca%rol"]
    assert await names(app_id=APP_ID) == ["bob", "alice"]
    assert await names(q="%") == ["ca%rol"]
    assert await names(platform="Android") == []
    assert await names(q="ALI") == ["alice"]
    assert await names(q="ob") == ["bob"]
    assert await names(q="o") == ["ca%rol", "bob"]
    assert await names(q="olx") == []
    page = await store.users(UserFilter(limit=2))
    assert [user.user_id for user in page.users] == ["ca%rol", "bob"]
    assert await names(cursor=page.next_cursor) == ["alice"]
    summary = await store.summary()
    assert (summary.online, summary.offline, summary.not_logged_in) == (1, 1, 1)
    assert (await store.summary(7)).not_logged_in == 1
    assert [user.user_id for user in await store.users_changed_since(1, 10)] == ["bob", "ca%rol"]


@pytest.mark.parametrize(("at_first", "most"), [(0, 10_000), (2, 10_000), (2, 0), (0, 0)])
async def test_a_search_finds_the_same_by_the_newest_changes_and_by_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch, at_first: int, most: int
) -> None:
    monkeypatch.setattr(lookup, "GONE_THROUGH_FIRST", at_first)
    monkeypatch.setattr(lookup, "GONE_THROUGH_FIRST_IF_SHORT", at_first)
    monkeypatch.setattr(lookup, "NAMED_MOST", most)
    ids = [
        "ab",
        "a",
        "Abba",
        "b-a",
        "断线",
        "线",
        "x" * 300 + "ab",
        "🙂ab",
        "a%b",
        "\x00ab",
        "user-17",
        "USER-170",
        "é",
    ]
    for at, user_id in enumerate(ids):
        await store.append([Phone(user_id).says("CONNECTED", "SUCCESS", at=at)])
    for q in ["a", "ab", "B", "线", "断", "bba", "user-17", "7", "-", "🙂a", "%", "\x00", "xab", "zz", "É", "17"]:
        expected = [one for one in reversed(ids) if search.folded(q) in search.folded(one)]
        assert [user.user_id for user in (await store.users(UserFilter(q=q))).users] == expected, q
        first = await store.users(UserFilter(q=q, limit=1))
        assert [user.user_id for user in first.users] == expected[:1]
        if first.next_cursor is not None:
            rest = await store.users(UserFilter(q=q, cursor=first.next_cursor))
            assert [user.user_id for user in rest.users] == expected[1:]


async def test_the_index_of_ids_names_hardly_anybody_in_vain(store: Store) -> None:
    ids = [f"user-{number:05}" for number in range(3_000)]
    await store.append([Phone(user_id).says("CONNECTED", "SUCCESS", at=0) for user_id in ids])
    for q in ("user-0123", "er-012", "01234", "2345", "user-02"):
        have = sum(q in user_id for user_id in ids)
        named = await store.read(lambda connection, q: len(search.candidates(connection, q, 10_000)), q)
        assert have <= named <= 1.1 * have + 2, q


async def test_a_session_is_one_trace_whose_first_event_is_the_root(store: Store) -> None:
    alice = Phone("alice")
    alice.login(at=0)
    states = ("CONNECTING", "CONNECTED", "RECONNECTING")
    await store.append([alice.says(state, "SUCCESS", at=at) for at, state in enumerate(states)])
    spans = await store.claim_spans(0, 10)
    assert [span.starts_trace for span in spans] == [True, False, False]
    assert {span.trace_id for span in spans} == {alice.session_id}
    assert [(span.previous_state, span.user_status) for span in spans] == [
        (None, "not_logged_in"),
        ("CONNECTING", "online"),
        ("CONNECTED", "offline"),
    ]


async def test_a_span_is_owed_until_it_was_delivered(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), alice.says("RECONNECTING", "X", at=1)])
    assert [span.position for span in await store.claim_spans(0, 1)] == [1]
    assert [span.position for span in await store.claim_spans(1, 10)] == [2]
    assert (await store.span_backlog()) == Backlog(2, BEGIN_US)
    await store.spans_done(1, 1)
    assert [span.position for span in await store.claim_spans(0, 10)] == [2]
    assert (await store.span_backlog()) == Backlog(1, BEGIN_US + SECOND_US)


async def test_what_was_owed_before_a_start_without_an_exporter_is_owed_still_and_nothing_of_that_time(
    tmp_path: Path,
) -> None:
    alice = Phone("alice")
    for exporting in (True, False, True):
        store = opened(tmp_path, export_spans=exporting)
        await store.append([alice.says("CONNECTED", "SUCCESS", at=0), alice.event("logout", 1)])
        assert (await store.span_backlog()).spans == (2 if exporting and alice.seq == 6 else 1)
        await store.close()
    store = opened(tmp_path, export_spans=True)
    assert [span.position for span in await store.claim_spans(0, 10)] == [1]
    await store.spans_done(1, 1)
    assert [span.position for span in await store.claim_spans(0, 10)] == [5]
    await store.spans_done(5, 1)
    assert (await store.claim_spans(0, 10), await store.span_backlog()) == ([], Backlog(0, None))
    await store.close()


async def test_without_an_exporter_no_span_is_owed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    assert (await store.span_backlog()).spans == 0
    await store.close()


async def test_what_was_rejected_is_kept_for_inspection(store: Store) -> None:
    refused = Rejected(BEGIN_US, 3, "not-a-uuid", "id is not a UUID", '{"id": "not-a-uuid"}')
    await store.append([], [refused])
    assert await store.rejected(10) == [refused]


async def test_a_token_works_until_it_is_revoked_or_expires_and_its_secret_is_not_in_the_file(
    store: Store, tmp_path: Path
) -> None:
    assert not store.has_tokens
    token, secret = await store.create_token("ingest", APP_ID, None)
    _, expired = await store.create_token("read", None, LATER_US)
    assert await store.token_of(secret) == token
    assert await store.token_of(expired) is None
    assert await store.token_of("zw_guess") is None
    assert all(secret.encode() not in content for content in contents(tmp_path))
    assert await store.revoke_token(token.id)
    assert not await store.revoke_token(token.id)
    assert await store.token_of(secret) is None
    assert not store.has_tokens


async def test_a_token_made_by_another_process_works_at_once(store: Store, tmp_path: Path) -> None:
    assert not store.has_tokens
    command_line = opened(tmp_path, attach=True)
    token, secret = await command_line.create_token("write", None, None)
    await command_line.close()
    assert await store.token_of(secret) == token


async def test_a_second_process_is_refused_with_the_first_ones_pid(store: Store, tmp_path: Path) -> None:
    assert store.problem is None
    with pytest.raises(DatabaseRefusedError, match=r"already served by another Zimwatch \(process \d+\)"):
        opened(tmp_path)


def test_a_file_that_is_not_ours_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "zimwatch.db"
    for content in (b"a shopping list", b"SQLite format 3\0" + bytes(200)):
        file.write_bytes(content)
        with pytest.raises(DatabaseRefusedError, match="not a Zimwatch database"):
            opened(tmp_path)
        assert file.read_bytes() == content


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    await opened(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "zimwatch.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseRefusedError, match="newer Zimwatch"):
        opened(tmp_path)
    assert not held_open(tmp_path)


async def test_a_backup_holds_what_was_committed_and_never_overwrites(store: Store, tmp_path: Path) -> None:
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    copy = tmp_path / "copy" / "zimwatch.db"
    copy.parent.mkdir()
    await store.backup(copy)
    with pytest.raises(DatabaseRefusedError, match="never overwrites"):
        await store.backup(copy)
    restored = opened(copy.parent)
    assert await restored.user(APP_ID, "alice") is not None
    assert await restored.check() == []
    await restored.close()


async def test_a_damaged_file_is_refused_with_what_to_do_and_left_as_it_was(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for at in range(50):
        await store.append([Phone(f"user-{at}").says("CONNECTED", "SUCCESS", at=at, extended_data="x" * 500)])
    await store.close()
    file = tmp_path / "zimwatch.db"
    content = bytearray(file.read_bytes())
    content[20_000:60_000] = bytes(random.Random(3).randbytes(40_000))  # noqa: S311 - damage
    file.write_bytes(content)
    with pytest.raises(DatabaseRefusedError, match="zimwatch db restore"):
        opened(tmp_path)
    assert file.read_bytes() == content
    assert not held_open(tmp_path)


def test_a_file_with_our_mark_that_is_no_database_is_refused_and_let_go(tmp_path: Path) -> None:
    file = tmp_path / "zimwatch.db"
    content = b"SQLite format 3\0" + bytes(52) + tables.APPLICATION_ID.to_bytes(4, "big") + bytes(500)
    file.write_bytes(content)
    with pytest.raises(DatabaseRefusedError, match="zimwatch db restore"):
        opened(tmp_path)
    assert file.read_bytes() == content
    assert not held_open(tmp_path)


async def test_a_backup_made_while_events_come_is_put_back_and_nothing_is_overwritten(tmp_path: Path) -> None:
    file, copy = tmp_path / "zimwatch.db", tmp_path / "copy.db"
    store = opened(tmp_path)
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0)])
    writing = asyncio.gather(*(store.append([alice.says("CONNECTED", "SUCCESS", at=at)]) for at in range(1, 200)))
    await store.backup(copy)
    await writing
    with pytest.raises(DatabaseRefusedError, match="already served"):
        backups.restore(copy, file)
    await store.close()
    replaced = backups.restore(copy, file)
    assert replaced is not None
    restored = opened(tmp_path)
    assert 1 <= await restored.position() <= 200
    assert await restored.check() == []
    await restored.append([alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=999)])
    await restored.close()
    with closing(sqlite3.connect(replaced)) as before:
        assert before.execute("SELECT COUNT(*) FROM events").fetchone() == (200,)


def test_a_file_that_is_no_backup_is_not_put_in_the_place_of_the_database(tmp_path: Path) -> None:
    other = tmp_path / "list.txt"
    other.write_bytes(b"a shopping list")
    with pytest.raises(DatabaseRefusedError, match="not a Zimwatch database"):
        backups.restore(other, tmp_path / "zimwatch.db")
    other.write_bytes(b"")
    with pytest.raises(DatabaseRefusedError, match="empty"):
        backups.restore(other, tmp_path / "zimwatch.db")
    assert not (tmp_path / "zimwatch.db").exists()


async def test_after_close_nothing_is_taken_and_what_was_taken_is_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    waiting = [
        asyncio.ensure_future(store.append([Phone(f"user-{n}").says("CONNECTED", "SUCCESS", at=0)])) for n in range(50)
    ]
    await asyncio.sleep(0)
    await store.close()
    assert [answer.accepted for answer in await asyncio.gather(*waiting)] == [1] * 50
    with pytest.raises(StoreUnavailableError):
        await store.append([Phone("late").says("CONNECTED", "SUCCESS", at=0)])
    again = opened(tmp_path)
    assert await again.position() == 50
    await again.close()


async def test_a_commit_tells_which_users_it_touched(store: Store) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    unsubscribe = store.subscribe(heard.put_nowait)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0), Phone(None, "new").event("logout", 0)])
    commit = await asyncio.wait_for(heard.get(), 30)
    assert (commit.position, commit.users) == (2, ((APP_ID, "alice"),))
    unsubscribe()


async def test_events_before_any_login_belong_to_a_client_and_to_nobody(store: Store, tmp_path: Path) -> None:
    nobody = Phone(None, "fresh page")
    await store.append([nobody.says("DISCONNECTED", "SUCCESS", at=0)])
    assert (await store.users(UserFilter())).users == []
    span = (await store.claim_spans(0, 1))[0]
    assert (span.trace_id, span.user_status, span.user_id) == (made_id(nobody.name), None, None)
    assert projected(tmp_path)["users"] == []


async def test_the_migrations_lead_to_the_tables_as_they_are_declared(store: Store) -> None:
    reader = engine.connect(store.path, writes=False)
    with reader.connect() as connection:
        # SQLite keeps the index for searches in tables of its own.
        options = {"include_name": lambda name, kind, _parents: kind != "table" or not name.startswith(search.TABLE)}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []
    reader.dispose()


async def test_a_file_that_is_up_to_date_is_at_the_newest_migration(store: Store) -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    with store._write_engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == tables.REVISION
    assert script.get_current_head() == tables.REVISION, "tables.REVISION must name the newest migration"


async def test_a_file_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'zimwatch.db'}"
    await Store.open(url, clock=lambda: BEGIN_US).close()
    code = (
        "import asyncio, sys\nfrom sidecar.store import Store\n"
        "asyncio.run(Store.open(sys.argv[1], clock=lambda: 0).close())\nprint('alembic' in sys.modules)"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, url, stdout=asyncio.subprocess.PIPE)
    assert (await child.communicate())[0].split() == [b"False"]


@pytest.mark.usefixtures("memory")
async def test_when_what_came_late_takes_the_last_word_from_a_device_another_one_has_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(6):
        phone = Phone("bob", f"phone {number}")
        before = phone.says("CONNECTED", "SUCCESS", at=number)
        late = phone.says("DISCONNECTED", "SUCCESS", at=number + 1)
        await store.append([before, phone.says("DISCONNECTED", "KICKED_OUT", at=100 + number)])
    await store.append([late])
    detail = await store.user(APP_ID, "bob")
    assert detail is not None
    assert (detail.user.since_us, detail.user.reason) == (BEGIN_US + 104 * SECOND_US, "KICKED_OUT")
    await store.rebuild()
    assert await store.user(APP_ID, "bob") == detail
    await store.close()
