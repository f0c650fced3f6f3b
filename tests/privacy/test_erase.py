"""Erasing removes every byte of a user from the database, its log and new backups, and from nobody else."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting import HOLDINGS, AlertReaction, reaction_of
from sidecar.alerting.tables import alert_log
from sidecar.domain.events import Event
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.settings import Settings
from sidecar.store import Store, engines
from sidecar.store.access import share_links
from sidecar.store.access.share_links import ShareLink
from sidecar.store.care import erasures
from sidecar.store.log import span_outbox
from sidecar.store.users import user_list, user_reads
from sidecar.store.users.user_query import UserQuery
from tests.support import planted
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.planted import ALICE, MARKS
from tests.support.stores import projected

PLANTED_IN = {
    *("events", "clients", "user_status", "server_views", "rejected_events", "span_losses", "audit_subjects", "traces"),
    *("alerts", "alert_history", "alert_messages", "alert_members", "alert_silences", "user_watches"),
    *("kicks", "storm_members"),
}


def opened(folder: Path, rules: AlertReaction | None = None, **options: Any) -> Store:
    return Store.open(
        url_of(folder),
        clock=lambda: BEGIN_US + DAY_US,
        export_spans=True,
        followers=[rules or reaction_of(Settings())],
        holdings=HOLDINGS,
        **options,
    )


def marks_of(phones: list[Phone]) -> list[bytes]:
    """What must not be found: texts, and the ids of clients, sessions and events."""
    ids = [phone.client_id for phone in phones] + [phone.session_id for phone in phones if phone.session_id]
    texts = [mark.encode() for mark in MARKS]
    return [*texts, *ids, *(one.hex().encode() for one in ids)]


def terms_of(file: Path) -> set[str]:
    """The terms of the search index: they are compressed in the file, so that no bytes of them can be looked for."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, user_search, row)")
        return {row[0] for row in connection.execute("SELECT term FROM temp.terms")}


def terms(user_id: str) -> set[str]:
    return {"".join(f"{ord(one):06x}" for one in user_id[at : at + 3]) for at in range(len(user_id) - 2)}


def found_in(file: Path, marks: list[bytes]) -> list[bytes]:
    content = file.read_bytes() if file.exists() else b""
    return [mark for mark in marks if mark in content]


def others_live(count: int, seed: int = 1) -> list[Event]:
    chance = random.Random(seed)  # noqa: S311 - a test
    phones = [Phone(f"user-{number:05}") for number in range(count)]
    events = [phone.login(at=number) for number, phone in enumerate(phones)]
    for at in range(4 * count):
        phone = chance.choice(phones)
        events.append(phone.says(chance.choice(["CONNECTED", "RECONNECTING"]), "SUCCESS", at=count + at))
    return events


async def erased(store: Store, user_id: str = ALICE) -> erasures.Erasure:
    number = await store.write(erasures.ask, APP_ID, user_id, BEGIN_US)
    await store.erase()
    done = await store.read(erasures.one, number)
    assert done is not None
    return done


async def test_not_one_byte_of_an_erased_user_is_left_in_the_database_its_log_and_a_new_backup(tmp_path: Path) -> None:
    rules = planted.reaction()
    store = opened(tmp_path, rules)
    # So many others that rows move from page to page.
    for start in range(0, 2_000, 50):
        await store.append(others_live(400)[start : start + 50])
    phones = await planted.plant(store, rules)
    marks = marks_of(phones)
    file = tmp_path / "zimwatch.db"
    before = await store.read(planted.tables_with, marks)
    assert set(before) >= PLANTED_IN
    assert terms(ALICE) <= terms_of(file)
    done = await erased(store)
    assert done.finished_at_us is not None
    assert (done.user_id, done.user_key) == (None, None)
    assert await store.read(planted.tables_with, marks) == {}
    assert done.removed["rejected_events"] == 2
    engines.backup(f"sqlite:///{file}", tmp_path / "backup.db")
    for name in ("zimwatch.db", "zimwatch.db-wal", "backup.db"):
        assert found_in(tmp_path / name, marks) == [], name
    assert not terms(ALICE) & terms_of(tmp_path / "backup.db")
    listed = await store.read(user_list.list_users, UserQuery(q="alice"), store.now())
    assert listed.users == []
    counts = await store.read(alert_log.counts)
    await store.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        firing = connection.execute("SELECT kind, COUNT(*) FROM alerts WHERE state = 'firing' GROUP BY kind").fetchall()
    assert dict(firing) == counts


async def test_a_rebuild_afterwards_equals_what_is_live_and_brings_nothing_back(tmp_path: Path) -> None:
    store = opened(tmp_path)
    mine, _ = planted.lives()
    others = others_live(60)
    await store.append([*others[:100], *mine, *others[100:]])
    await erased(store)
    live = projected(tmp_path)
    await store.rebuild()
    rebuilt = projected(tmp_path)
    await store.close()
    assert rebuilt == live
    assert ALICE not in str(live)


async def test_what_arrives_afterwards_is_a_new_user_without_a_past(tmp_path: Path) -> None:
    store = opened(tmp_path)
    mine, phones = planted.lives()
    await store.append(mine)
    await erased(store)
    await store.append([phones[0].says("CONNECTED", "SUCCESS", at=500)])
    timeline = await store.read(user_reads.timeline, APP_ID, ALICE, before=None, limit=100)
    assert [one.event.seq for one in timeline] == [phones[0].seq]
    assert timeline[0].position > len(mine)
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()


async def test_a_link_that_was_shared_before_is_refused_also_once_the_user_is_back(tmp_path: Path) -> None:
    store = opened(tmp_path)
    mine, phones = planted.lives()
    await store.append(mine)
    now_us = BEGIN_US + DAY_US
    wanted = ShareLink(APP_ID, ALICE, now_us, now_us + DAY_US)
    link = await store.read(share_links.sign, wanted, now_us)
    assert link is not None
    assert await store.read(share_links.read, link, now_us) is not None
    await erased(store)
    assert await store.read(share_links.read, link, now_us) is None
    await store.append([phones[0].says("CONNECTED", "SUCCESS", at=500)])
    await store.rebuild()
    assert await store.read(share_links.read, link, now_us) is None
    again = await store.read(share_links.sign, wanted, now_us)
    assert again is not None
    assert await store.read(share_links.read, again, now_us) is not None
    await store.close()


async def test_spans_that_are_pending_are_not_sent_and_those_of_others_are(tmp_path: Path) -> None:
    store = opened(tmp_path)
    mine, _ = planted.lives()
    bob = Phone("bob")
    await store.append([bob.says("CONNECTED", "SUCCESS", at=0), *mine])
    claimed = await store.read(span_outbox.claim, 0, 10)  # as the relay does, which may acknowledge them later
    await store.append([bob.says("RECONNECTING", "LOGIN_INTERRUPTED", at=99)])
    await erased(store)
    assert (await store.read(span_outbox.backlog)).spans == 2
    await store.write(span_outbox.acknowledge, claimed[-1].position, len(claimed))
    (left,) = await store.read(span_outbox.claim, 0, 10)
    assert left.user_id == "bob"
    assert (await store.read(span_outbox.backlog)).spans == 1
    await store.write(span_outbox.acknowledge, left.position, 1)
    assert (await store.read(span_outbox.backlog)).spans == 0
    await store.append([bob.says("CONNECTED", "SUCCESS", at=100)])
    assert (await store.read(span_outbox.backlog)).spans == 1
    await store.close()


async def test_the_newest_position_and_alert_are_not_used_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    mine, _ = planted.lives()
    await store.append(mine)
    alerts = [row[0] for row in await store.read(lambda c: c.exec_driver_sql("SELECT MAX(id) FROM alerts").all())]
    await erased(store)
    await store.close()
    store = opened(tmp_path)
    carol = Phone("carol")
    await store.append([carol.says("CONNECTED", "SUCCESS", at=900), carol.says("DISCONNECTED", "KICKED_OUT", at=901)])
    first, alert = await store.read(
        lambda c: c.exec_driver_sql("SELECT (SELECT MIN(position) FROM events), (SELECT MIN(id) FROM alerts)").one()
    )
    assert first > len(mine)
    assert alert > alerts[0]
    await store.close()


@pytest.mark.parametrize("slices", [1, 2, 3, 5, 8, 13])
async def test_an_erasure_goes_on_where_it_ended_whatever_ended_it(tmp_path: Path, slices: int) -> None:
    store = opened(tmp_path)
    mine, phones = planted.lives()
    await store.append([*mine, *others_live(30)])
    await store.write(erasures.ask, APP_ID, ALICE, BEGIN_US)
    for _ in range(slices):
        await planted.erase_slice(store)
    await store.append([phones[0].says("CONNECTED", "SUCCESS", at=700)])  # a new user already
    await store.close()
    store = opened(tmp_path)
    await store.erase()
    timeline = await store.read(user_reads.timeline, APP_ID, ALICE, before=None, limit=100)
    assert len(timeline) == 1
    live = projected(tmp_path)
    await store.rebuild()
    assert projected(tmp_path) == live
    await store.close()


async def test_a_follower_that_is_behind_brings_nothing_back(tmp_path: Path) -> None:
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US, holdings=HOLDINGS)
    reaction = reaction_of(Settings())
    await store.close()
    store = opened(tmp_path)
    await store.close()  # the rules have a cursor from here on
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US, holdings=HOLDINGS)
    mine, phones = planted.lives()
    await store.append([*mine, Phone("bob").says("CONNECTED", "SUCCESS", at=80)])
    await erased(store)
    await store.close()
    store = Store.open(url_of(tmp_path), clock=lambda: BEGIN_US, holdings=HOLDINGS, followers=[reaction])
    await store.append([Phone("bob").says("CONNECTED", "SUCCESS", at=90)])
    await store.write(lambda _connection: None)
    await store.close()
    assert found_in(tmp_path / "zimwatch.db", marks_of(phones)) == []


async def test_a_heartbeat_in_memory_brings_nothing_back(tmp_path: Path) -> None:
    store = opened(tmp_path)
    mine, phones = planted.lives()
    await store.append(mine[:30])
    for at in (100, 101):
        await store.append([phones[0].event("heartbeat", at, connection_state="CONNECTED")])
    await erased(store)
    await store.append([phones[0].event("heartbeat", 102, connection_state="CONNECTED")])
    await store.close()
    assert found_in(tmp_path / "zimwatch.db", marks_of(phones)) == []


async def test_a_user_of_many_events_is_erased_in_slices_of_a_bounded_number_of_rows(tmp_path: Path) -> None:
    store = opened(tmp_path)
    phone = Phone(ALICE)
    for at in range(4):
        await store.append([phone.says("CONNECTED", "SUCCESS", at=at) for _ in range(1_000)])
    await store.write(erasures.ask, APP_ID, ALICE, BEGIN_US)
    changed = []

    def counting(connection: Any) -> Any:
        driver = connection.connection.driver_connection
        before = driver.total_changes
        step = store._eraser.work(connection, store._writing, lambda: BEGIN_US)
        changed.append(driver.total_changes - before)
        return step

    while await store._writing.do(counting):
        pass
    assert len(changed) > 4_000 / 300
    assert max(changed) < 1_500
    await store.erase()
    await store.close()
    assert found_in(tmp_path / "zimwatch.db", [ALICE.encode()]) == []


async def test_a_user_of_the_same_id_in_another_app_stays(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append([Phone(ALICE).says("CONNECTED", "SUCCESS", at=0)])
    await store.append([Phone(ALICE, "other", app_id=7).says("CONNECTED", "SUCCESS", at=SECOND_US // SECOND_US)])
    await erased(store)
    assert await store.read(user_reads.user, 7, ALICE, store.now()) is not None
    assert await store.read(user_reads.user, APP_ID, ALICE, store.now()) is None
    await store.close()
