"""A scenario that executes every statement that Zimwatch has."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.alerting import HOLDINGS, AlertRetention
from sidecar.alerting.replay import replay
from sidecar.alerting.tables import message_rows, notifications, storm_rows
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.alerts.rules import KINDS
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.edges import Edge
from sidecar.domain.events import HEARTBEAT
from sidecar.domain.lease import Leases
from sidecar.domain.units import SECOND_US
from sidecar.store import Store, engines, schema
from sidecar.store.access import audit_check, audit_log, audit_reads, credentials, share_links
from sidecar.store.access.audit_reads import AuditFilter
from sidecar.store.access.audit_retention import AuditRetention
from sidecar.store.access.audit_values import AuditAction, Entry
from sidecar.store.access.share_links import ShareLink
from sidecar.store.care import app_retention, erasures, user_export
from sidecar.store.care.retention import Retention
from sidecar.store.copying import database_copy, table_rows
from sidecar.store.log import event_log, forwarding, log_reads, settled_events, span_outbox
from sidecar.store.log_positions import newest_position
from sidecar.store.users import (
    app_hours,
    client_history,
    client_rows,
    old_reporters,
    user_counts,
    user_list,
    user_reads,
)
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import Loss, Rejected
from tests.support import planted
from tests.support.accounts import every_statement_of_accounts
from tests.support.audited import record_many
from tests.support.clocks import DAY_S, Machine
from tests.support.cursors import caught_up
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.every_page import every_page
from tests.support.process import DATABASE
from tests.support.timeline import OPS, Timeline, us


def execute_everything(folder: Path) -> None:
    """Runs all of it, on databases in this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_history, "BLOCK_EVENTS", 4)  # so that a short history has many blocks
        patch.setattr(user_counts, "GROUPS_MOST", 3)  # so that some are dropped, and others shared
        for part in (every_page, _events, _accounts, _audit, _behind, _retention, _erased, _moved, _forwarded):
            (own := folder / part.__name__).mkdir()
            asyncio.run(part(own))
    _rules(folder)


def _opened(folder: Path, machine: Machine, *, export_spans: bool = True, retention: Retention | None = None) -> Store:
    return Store.open(
        url_of(folder, DATABASE),
        clock=machine.clock,
        steady=machine.steady,
        export_spans=export_spans,
        retention=retention,
        expiring=[AlertRetention()],
    )


async def _events(folder: Path) -> None:
    """Events of crowded users, without a user, late, in any order and sent twice; spans; a rebuild."""
    machine = Machine()
    store = _opened(folder, machine)
    phones = [Phone("alice", f"phone {number}") for number in range(80)]
    await store.append([phone.says("CONNECTED", "SUCCESS", at) for at, phone in enumerate(phones)])
    await store.append([phone.event(HEARTBEAT, 100) for phone in phones[:40]])
    await store.append([phones[7].says("DISCONNECTED", "KICKED_OUT", at=101)])
    await store.append([phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at=102) for phone in phones[3:70]])
    await store.append([Phone(None).says("CONNECTED", "SUCCESS", at=1)])
    bob = Phone("bob")
    late = [bob.login(at) if at % 7 == 0 else bob.says("CONNECTED", "SUCCESS", at) for at in range(60)]
    random.Random(7).shuffle(late)  # noqa: S311 - the same every time
    for start in range(0, 60, 12):
        await store.append(late[start : start + 13])
    await store.append([], [Rejected(BEGIN_US, 0, None, "no", "{}", APP_ID)])
    await store.read(event_log.would_append, late[:3], Leases())
    for wanted in (UserQuery(), UserQuery(ids=("alice",), sdk_version="1")):
        await store.read(user_list.list_users_with_clients, wanted, store.now())
    await store.read(client_rows.count_seen_since, 1, 0, 10)
    await store.read(lambda c: list(log_reads.events_since(c, BEGIN_US + SECOND_US)))
    await store.read(message_rows.sent_since, 0)
    await store.read(user_reads.newest_connection_event, APP_ID, "alice", "KICKED_OUT", before=147, within=99)
    await _handed_over(store)
    await _spans(store)
    machine.passes(300)
    await store.tend()
    await store.write(app_hours.sample, machine.now_us)
    await store.read(app_hours.activity, store.now(), 0, 1)
    old = Phone("erin").says("CONNECTED", "SUCCESS", 1, reporter_name="zim-tap", reporter_version="0.0.1")
    await store.append([old])
    for apps in (None, frozenset({APP_ID})):
        await store.read(old_reporters.since_yesterday, BEGIN_US, apps)
    await store.write(app_hours.clock_set, BEGIN_US - DAY_S * SECOND_US)
    await store.rebuild()
    await store.close()


async def _moved(folder: Path) -> None:
    """A copy while its source is served, and then; with rows that have others' unique values, and one that goes."""
    machine = Machine()
    store = _opened(folder, machine)
    phones = [Phone(f"user {number}\x1a") for number in range(3)]
    await store.append([phone.says("CONNECTED", "SUCCESS", 1, app_version="1\x1a") for phone in phones])
    await store.append([phones[0].says("DISCONNECTED", "KICKED_OUT", 2, app_version="1\x1a")])
    urls = url_of(folder, DATABASE), url_of(folder, "second.db")
    written = Entry(at_us=machine.now_us, actor="a command", action=AuditAction.DATABASE_COPIED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_rows, "CHUNK", 1)
        database_copy.run(*urls, written, lambda *_: None)
        await store.write(_changed)
        await store.close()
        assert database_copy.run(*urls, written, lambda *_: None).is_finished
    assert database_copy.reopen(urls[0])


def _changed(connection: sa.Connection) -> None:
    for user_id, key in (("x", 1), ("user 0\x1a", 3), ("user 2\x1a", 1)):
        connection.exec_driver_sql("UPDATE user_status SET user_id = ? WHERE user_key = ?", (user_id, key))
    connection.exec_driver_sql("DELETE FROM happenings")


async def _handed_over(store: Store, user_id: str = "alice") -> None:
    given = ShareLink(app_id=APP_ID, user_id=user_id, as_of_us=BEGIN_US, expires_at_us=BEGIN_US + 999 * SECOND_US)
    link = await store.read(share_links.sign, given, BEGIN_US)
    assert link is not None
    assert await store.read(share_links.read, link, BEGIN_US)


async def _spans(store: Store) -> None:
    """Some are delivered, one is refused, and the run ends."""
    first, *_, last = await store.read(span_outbox.claim, 0, 1_000)
    await store.read(span_outbox.backlog)
    lost = [Loss(BEGIN_US, "refused", 1, first.position, None, "no")]
    await store.write(span_outbox.acknowledge, first.position, 1, lost)
    await store.write(span_outbox.begin, export_spans=False)
    await store.write(span_outbox.acknowledge, last.position, 1_000)
    await store.write(lambda c: settled_events.begin(c, "settled", is_on=True))
    await store.write(_executed, "UPDATE followers SET position = ? WHERE name = 'settled'", 0)
    settled = {"now_us": store.now().time.machine_us + DAY_S * SECOND_US, "max_age_us": 1 << 60}
    await store.read(lambda c: settled_events.claim(c, "settled", 0, 100, **settled))
    await store.write(lambda c: settled_events.acknowledge(c, "settled", last.position))
    await store.write(lambda c: settled_events.begin(c, "settled", is_on=False))


async def _accounts(folder: Path) -> None:
    """An account and sessions of each kind, and all that is done to them."""
    store = _opened(folder, Machine())
    await every_statement_of_accounts(store)
    await store.close()


async def _audit(folder: Path) -> None:
    """Users are looked at and searched for, and one is forgotten."""
    store = _opened(folder, Machine())
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    await store.write(record_many, 8)
    head = await store.read(audit_log.head)
    await store.read(audit_check.verify, str(head))
    for wanted in ({}, {"actor": "dana", "action": "user.seen", "from_us": 1, "until_us": us(1)}, {"app_id": APP_ID}):
        await store.read(audit_reads.page, AuditFilter(**wanted))
    for app_id in (None, APP_ID):
        await store.read(audit_reads.page, AuditFilter(app_id=app_id, user_id="alice", before=7))
    await store.write(audit_log.forget, APP_ID, "alice")
    await store.write(AuditRetention(kept_us=SECOND_US).expire, BEGIN_US + 2 * DAY_S * SECOND_US, 100, None)
    await store.close()


async def _behind(folder: Path) -> None:
    """A follower of the log has to catch up."""
    machine = Machine()
    store = _opened(folder, machine)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    await store.write(_sent_back)
    bob = Phone("bob")
    await store.append([bob.says("CONNECTED", "SUCCESS", at=1)])
    # Groups that become empty, until there is no room.
    for reason in ("LOGIN_TIMEOUT", "KICKED_OUT", "TOKEN_EXPIRED", "UNREGISTERED"):
        await store.append([bob.says("CONNECTED", "SUCCESS", at=2)])
        await store.append([bob.says("DISCONNECTED", reason, at=2)])
    for name in ("spans", "minutes"):
        await caught_up(store, name)
    await store.close()


def _sent_back(connection: sa.Connection) -> None:
    connection.execute(sa.update(schema.followers).values(position=0))


async def _retention(folder: Path) -> None:
    """Retention deletes old events, the clock is set, and a rebuild runs without the oldest events."""
    machine = Machine()
    store = _opened(folder, machine, retention=Retention(events_us=DAY_S * SECOND_US))
    alice, nobody = Phone("alice"), Phone(None)
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), nobody.says("CONNECTED", "SUCCESS", at=0)])
    await store.append([alice.says("CONNECTED", "SUCCESS", at=90_000)])
    await store.append([Phone("bob", f"phone {at}").says("CONNECTED", "SUCCESS", at) for at in range(80)])
    machine.passes(DAY_S + 3_600)
    await store.tend()
    await store.rebuild()
    machine.is_set_by(400 * DAY_S)
    await store.tend()
    await store.prune(despite_jump=True)
    await store.close()
    await _opened(folder, machine, export_spans=False).close()
    engines.may_have_rows(url_of(folder, DATABASE), credentials.ANY_EVER)


async def _forwarded(folder: Path) -> None:
    """What an edge notes of what it passed on, and its centre of the edge."""
    machine = Machine()
    store = _opened(folder, machine)
    assert await store.read(forwarding.state) is None
    await store.write(forwarding.begin)
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at) for at in range(3)])
    await store.write(forwarding.advance, 1)
    assert len(await store.read(log_reads.events_after, 1, 10)) == 2
    await store.write(forwarding.note_removal, [(2, "login")])
    await store.write(forwarding.note_dropped, 1)
    found = await store.read(forwarding.state)
    assert found is not None
    assert (found.position, found.waiting, found.removed) == (1, 2, 1)
    edge = Edge("pod-1", token_id=1, seen_at_us=machine.now_us, waiting=2, behind_us=0)
    await store.write(forwarding.report, edge)
    assert await store.read(forwarding.edges) == [edge]
    await store.write(forwarding.forget, edge.name)
    await store.close()


async def _erased(folder: Path) -> None:
    """A user that is in every table is exported and erased."""
    rules = planted.reaction()
    store = Store.open(
        url_of(folder, DATABASE),
        clock=lambda: planted.NOW_US,
        export_spans=True,
        followers=[rules],
        holdings=HOLDINGS,
    )
    phones = await planted.plant(store, rules)
    assert [part async for part in user_export.parts(store, APP_ID, planted.ALICE, "now")]
    (last,) = [one for one in await store.read(span_outbox.claim, 0, 1_000) if one.user_id == planted.ALICE][-1:]
    await store.write(span_outbox.acknowledge, last.position - 1, 1_000)
    await store.write(span_outbox.begin, export_spans=False)
    await _handed_over(store, planted.ALICE)
    await store.write(erasures.ask, APP_ID, planted.ALICE, BEGIN_US)
    stray = Phone(None)
    stray.client_id = phones[0].client_id
    await planted.erase_slice(store)
    await store.append([stray.says("CONNECTED", "SUCCESS", at=199)])
    await store.erase()
    await store.read(erasures.one, 1)
    for is_open, user_id in ((True, "bob"), (False, "erin")):  # whose spans are all that is pending
        await store.write(span_outbox.begin, export_spans=True)
        await store.append([Phone(user_id).says("CONNECTED", "SUCCESS", at=199)])
        await store.write(span_outbox.begin, export_spans=is_open)
        await store.write(erasures.ask, APP_ID, user_id, BEGIN_US)
        await store.erase()
    await store.write(span_outbox.begin, export_spans=True)
    ivy = Phone("ivy")
    await store.append([ivy.says("CONNECTED", "SUCCESS", at=200), ivy.says("DISCONNECTED", "SUCCESS", at=201)])
    newest = await store.read(newest_position)
    pending = f"UPDATE span_outbox SET first_position = 1, last_position = {newest}, spans = ?"
    for spans in (2, 1):  # of a run of pending spans one, then the last
        await store.write(_executed, pending, spans)
        await store.write(span_outbox.remove_some, [newest])
    await store.write(app_retention.prune, {APP_ID: 1}, planted.NOW_US + DAY_S * 1_000_000, 1_000)
    await store.close()


def _executed(connection: sa.Connection, sql: str, *values: int) -> None:
    connection.exec_driver_sql(sql, values)


def _rules(folder: Path) -> None:
    timeline = Timeline(folder, leases=Leases(heartbeat_us=15 * SECOND_US))
    timeline.at(0)
    for number in range(40):
        timeline.login(f"user-{number}", expires_at=3_000).heartbeat(f"user-{number}")
    timeline.at(1).silenced(20, user_id="user-1").forecast()
    timeline.at(2).kicked("user-1").kicked("user-2")
    timeline.at(3).acknowledged(1)
    timeline.at(4).login("user-2")
    timeline.at(5).token_will_expire("user-3").renewed("user-4", expires_at=4_000)
    for number in range(5, 40):
        timeline.at(10).loses_network(f"user-{number}")
        fails = timeline.phone(f"user-{number}").event("api_error", 12, details={"method": "m", "code": 6_000_104})
        timeline.at(12).event(fails)
    timeline.at(60).stalled("spans", 0).loses_network("user-3").loses_network("user-4").kicked("user-2")
    timeline.at(70).restart()
    for number in range(5, 40):
        timeline.at(200).login(f"user-{number}")
    timeline.live(15)
    timeline.live_on(400, every=5)
    message = timeline.sent[0][2]
    timeline.in_transaction(lambda connection: _reads_of_a_dispatcher(connection, message))
    (storm,) = timeline.alerts(kind="reconnect_storm")
    with timeline.database.connect() as connection:
        storm_rows.members(connection, storm, 10)
        replay(log_reads.events_since(connection, BEGIN_US), timeline.policy, timeline.leases, us(500))
    timeline.leap(1_000)
    timeline.at(1_100).act(lambda _now: _switched_off(timeline)).restart()
    timeline.at(100_000).pruned().leap(100_003)
    timeline.close()


def _switched_off(timeline: Timeline) -> None:
    """The settings disable every rule."""
    timeline.policy = msgspec.structs.replace(timeline.policy, thresholds=Thresholds(off=frozenset(KINDS)))


def _reads_of_a_dispatcher(connection: sa.Connection, message: Message) -> None:
    message_rows.earlier_proof(connection, msgspec.structs.replace(message, answers=message.id))
    message_rows.created_us(connection, message.id)
    notifications.delivered_and_firing(connection, OPS, us(400))
    notifications.ended_digests(connection, [1])
    notifications.suppress(connection, [1], "tests")
