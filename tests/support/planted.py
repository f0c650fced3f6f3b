"""A user in every table, with marks that can be looked for."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from sidecar.alerting import HOLDINGS, AlertReaction, Policy
from sidecar.alerting.alert_reaction import Gathered
from sidecar.alerting.tables import user_watch_rows
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.user_watches import UserWatch
from sidecar.domain.apps import Apps
from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.domain.user_naming import Mode
from sidecar.store import Store
from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import AuditAction, Entry, User
from sidecar.store.log import span_outbox
from sidecar.store.values import Loss, Rejected
from tests.support.events import APP_ID, BEGIN_US, Phone

ALICE: Final = "alice-7f3a9c"
MARKS: Final = (ALICE, "pixel-of-alice-51", "words-of-alice-77", "app-of-alice-93")
OWN: Final[dict[str, Any]] = {"device_id": MARKS[1], "app_version": MARKS[3]}
OTHERS: Final = 30
FEW: Final = 4
NOW_US: Final = BEGIN_US + 200 * SECOND_US


def reaction(user_ids: Mode = "plain") -> AlertReaction:
    """Notifies one receiver at once, and in digests, in which users are named in this way."""
    thresholds = Thresholds(offline_too_long_us=SECOND_US, storm_users=10)
    policy = Policy(
        thresholds=thresholds,
        receivers={"ops": 1_000},
        user_ids={"ops": user_ids},
        group_alone=1,
        apps=Apps({}, "https://office.example.com/{app_id}/{user_id}"),
    )
    return AlertReaction(policy, began_us=BEGIN_US)


def lives() -> tuple[list[Event], list[Phone]]:
    """Two devices of alice's, one of which reports before it logs in; kicks to and fro, and calls that fail."""
    events, phones = [], [Phone(ALICE, "phone"), Phone(ALICE, "laptop")]
    for number, phone in enumerate(phones):
        stray = Phone(None, phone.name)
        stray.client_id = phone.client_id
        events.append(stray.says("CONNECTING", "ACTIVE_LOGIN", at=number, **OWN))
        events.append(stray.says("DISCONNECTED", "LOGIN_TIMEOUT", at=number, **OWN))
        events.append(phone.login(number + 1))
        for step in range(40):
            state, event = ("CONNECTED", "SUCCESS") if step % 2 else ("RECONNECTING", "LOGIN_INTERRUPTED")
            words: dict[str, Any] = {"extended_data": f'{{"note":"{MARKS[2]} {step}"}}'}
            events.append(phone.says(state, event, 2 + step, **words, **OWN))
        events.append(phone.event("api_error", 50, details={"method": "sendMessage", "code": 6_000_104}, **OWN))
        events.append(phone.says("DISCONNECTED", "KICKED_OUT", at=60 + number, **OWN))
    details = {"status": "online", "action": "online", "zego_session_id": MARKS[2], "said_at_us": BEGIN_US}
    events.append(phones[0].event(SERVER_USER_ACTION, 70, details=details))
    return events, phones


async def plant(store: Store, rules: AlertReaction) -> list[Phone]:
    """Alice and a storm that she and others are in; alerts, messages, a digest, silences and what else there is."""
    mine, phones = lives()
    others = [Phone(f"user-{number:03}") for number in range(OTHERS)]
    await store.append([phone.says("CONNECTED", "SUCCESS", at=1) for phone in others])
    await store.append(mine)
    await store.append([phone.says("DISCONNECTED", "KICKED_OUT", at=62) for phone in others])
    # Too few for a storm, so that they are a digest.
    few = [phones[1], *others[:FEW]]
    await store.append([phone.says("DISCONNECTED", "UNREGISTERED", at=62) for phone in few])
    now_us = store.settled_us()  # which the notifications are due from
    for at_us in (now_us, now_us + 60 * SECOND_US, now_us + 120 * SECOND_US):
        await store.write(rules.tick, at_us, Gathered())
        await store.write(rules.plan, "ops", at_us)
    await store.append([phones[0].says("CONNECTED", "SUCCESS", at=191, **OWN)])
    await store.append([phones[0].says("RECONNECTING", "LOGIN_INTERRUPTED", at=192, **OWN)])
    await store.append([phones[1].says("DISCONNECTED", "KICKED_OUT", at=193, **OWN)])
    silenced: list[dict[str, tuple[str, ...]]] = [{"user_id": (ALICE, "user-001")}, {"device_id": (MARKS[1],)}]
    for matchers in silenced:
        silence = Silence(
            id=0,
            matchers=matchers,
            starts_at_us=NOW_US,
            ends_at_us=NOW_US + DAY_US,
            author="dana",
            reason=f"{ALICE} tests",
        )
        await store.write(rules.silence, silence)
    watch = UserWatch(
        id=0,
        app_id=APP_ID,
        user_id=ALICE,
        author="dana",
        receiver=None,
        created_at_us=NOW_US,
        until_us=NOW_US + DAY_US,
    )
    await store.write(user_watch_rows.add, watch)
    body = f'{{"user_id":"{ALICE}","type":"nonsense"}}'
    of_client = f'{{"client_id":"{UUID(bytes=phones[0].client_id)}","user_id":7}}'
    bodies = (body, of_client, '{"client_id":"01938b5e-7c00-7000-8000-0000000000aa"}')
    await store.append([], [Rejected(NOW_US, 0, None, "unknown type", one, APP_ID) for one in bodies])
    lost = Loss(NOW_US, "refused", 1, 5, mine[4].id, f"the span of {ALICE} is wrong")
    await store.write(span_outbox.record_losses, [lost])
    entry = Entry(at_us=NOW_US, actor="dana", action=next(iter(AuditAction)), subject=User(APP_ID, ALICE))
    await store.write(lambda connection: audit_log.record(connection, entry))
    return phones


async def erase_slice(store: Store) -> None:
    """One slice of the oldest pending erasure."""
    await store._writing.do(lambda connection: store._eraser.work(connection, store._writing, lambda: NOW_US))


def tables_with(connection: sa.Connection, marks: list[bytes]) -> dict[str, int]:
    """How many values of each table have a mark."""
    found: dict[str, int] = {}
    names = [row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for name in names:
        if name.startswith("user_search"):
            continue
        for row in connection.exec_driver_sql(f"SELECT * FROM {name}").all():
            texts = [value.encode() if isinstance(value, str) else value for value in row]
            blobs = [value for value in texts if isinstance(value, bytes)]
            hits = sum(any(mark in value for mark in marks) for value in blobs)
            if hits:
                found[name] = found.get(name, 0) + hits
    return found


__all__ = ["ALICE", "HOLDINGS", "MARKS", "erase_slice", "lives", "plant", "reaction", "tables_with"]
