"""The notification outbox: which receiver is to be notified of which alert, and what becomes of it.

A notification waits until it is planned into a message (:mod:`sidecar.alerting.tables.message_rows`) or suppressed.
Writes run in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables import message_rows, silence_rows
from sidecar.alerting.tables.alert_schema import alert_messages
from sidecar.alerting.tables.alert_values import Message, Notification
from sidecar.domain import texts
from sidecar.domain.alerts.alert import FIRING
from sidecar.domain.alerts.message_plan import ABOUT_FIRING, Waiting
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Sentence
from sidecar.store import mapping

# Why a notification is suppressed, beside the reasons of its alert.
RESOLVED_EARLY: Final = "resolved before it was sent"
NO_BEGINNING: Final = "the firing was not delivered"
NOT_CONFIGURED: Final = Sentence("delivery.not_configured", "the receiver is no longer in the settings")

COUNTED_MOST: Final = 1_000


class NewNotification(msgspec.Struct, frozen=True):
    """A new notification of an alert to a receiver, sent at ``due_us`` at the earliest."""

    alert_id: int
    receiver: str
    what: str
    group: str
    due_us: int


def enqueue(connection: sa.Connection, new: Sequence[NewNotification]) -> None:
    """Adds them to the outbox."""
    if new:
        sql = (
            "INSERT INTO alert_notifications (alert_id, receiver, what, grouped, due_at_us, state)"
            " VALUES (?, ?, ?, ?, ?, 'waiting')"
        )
        connection.exec_driver_sql(sql, [msgspec.structs.astuple(one) for one in new])


def withdraw(connection: sa.Connection, alert_id: int, now_us: int) -> None:
    """Suppresses the notifications of a resolved alert that are not due yet."""
    sql = (
        "UPDATE alert_notifications SET state = 'suppressed', reason = ?"
        " WHERE alert_id = ? AND state = 'waiting' AND due_at_us > ?"
    )
    connection.exec_driver_sql(sql, (RESOLVED_EARLY, alert_id, now_us))


def notified_receivers(connection: sa.Connection, alert_id: int) -> list[str]:
    """The receivers that were notified of a firing alert, or will be: they are notified of what follows."""
    sql = (
        "SELECT DISTINCT receiver FROM alert_notifications"
        " WHERE alert_id = ? AND what = 'firing' AND state IN ('waiting', 'planned') ORDER BY receiver"
    )
    return [row[0] for row in connection.exec_driver_sql(sql, (alert_id,))]


def waiting(connection: sa.Connection, receiver: str, now_us: int) -> list[Waiting]:
    """The notifications that are due to a receiver, oldest first.

    One that follows a firing waits until the message of that was accepted or given up.
    """
    sql = """
        SELECT n.id, n.alert_id, n.what, n.grouped, n.due_at_us, m.id, m.alerts > 1,
            a.state = 'firing', a.suppressed_by, a.acknowledged_at_us IS NOT NULL,
            n.what <> 'firing' AND EXISTS (
                SELECT 1 FROM alert_notifications b LEFT JOIN alert_messages bm ON bm.id = b.message_id
                WHERE b.alert_id = n.alert_id AND b.receiver = n.receiver AND b.id < n.id
                AND b.what IN ('firing', 'repeat') AND (b.state = 'waiting' OR bm.state = 'pending'))
        FROM alert_notifications n JOIN alerts a ON a.id = n.alert_id
        LEFT JOIN alert_messages m ON n.what <> 'firing' AND m.id = (
            SELECT bm.id FROM alert_notifications b JOIN alert_messages bm ON bm.id = b.message_id
            WHERE b.alert_id = n.alert_id AND b.receiver = n.receiver AND b.id < n.id
            AND b.what IN ('firing', 'repeat') AND bm.state = 'sent' ORDER BY b.what, b.id DESC LIMIT 1)
        WHERE n.receiver = ? AND n.state = 'waiting' AND n.due_at_us <= ? ORDER BY n.id
    """
    return [
        Waiting(
            id=row[0],
            alert_id=row[1],
            what=row[2],
            group=row[3],
            due_us=row[4],
            answers=row[5],
            digest=bool(row[6]),
            # A repetition notifies a receiver that the firing did not reach.
            firing_delivered=row[2] in ABOUT_FIRING or row[5] is not None,
            fires=bool(row[7]),
            suppressed_by=row[8],
            acknowledged=bool(row[9]),
        )
        for row in connection.exec_driver_sql(sql, (receiver, now_us))
        if not row[10]
    ]


def delivered_and_firing(connection: sa.Connection, receiver: str, now_us: int) -> list[tuple[Message, frozenset[int]]]:
    """The messages that a receiver accepted, each with its alerts that still fire and that no silence hides."""
    newest = (
        "SELECT n.alert_id, MAX(n.message_id) FROM alerts a JOIN alert_notifications n ON n.alert_id = a.id"
        " JOIN alert_messages m ON m.id = n.message_id"
        f" WHERE a.state = '{FIRING}' AND n.receiver = ? AND n.what IN ('firing', 'repeat') AND m.state = 'sent'"
        " GROUP BY n.alert_id"
    )
    delivered: dict[int, int] = {row[0]: row[1] for row in connection.exec_driver_sql(newest, (receiver,))}
    silenced = silence_rows.silenced(connection, list(delivered), now_us)
    alerts: dict[int, set[int]] = {}
    for alert_id, message_id in delivered.items():
        if alert_id not in silenced:
            alerts.setdefault(message_id, set()).add(alert_id)
    sql = f"SELECT {mapping.columns(alert_messages)} FROM alert_messages WHERE id = ?"
    return [
        (message_rows.message_of(connection.exec_driver_sql(sql, (message_id,)).one()), frozenset(own))
        for message_id, own in sorted(alerts.items())
    ]


def ended_digests(connection: sa.Connection, digests: Iterable[int]) -> frozenset[int]:
    """The digests all of whose alerts are resolved."""
    sql = (
        "SELECT 1 FROM alert_notifications JOIN alerts ON alerts.id = alert_id"
        f" WHERE message_id = ? AND alerts.state = '{FIRING}' LIMIT 1"
    )
    return frozenset(one for one in digests if connection.exec_driver_sql(sql, (one,)).first() is None)


def suppress(connection: sa.Connection, ids: Sequence[int], reason: str) -> None:
    """Suppresses notifications for a reason."""
    sql = "UPDATE alert_notifications SET state = 'suppressed', reason = ? WHERE id = ?"
    if ids:
        connection.exec_driver_sql(sql, [(reason, one) for one in ids])


def next_due_us(connection: sa.Connection, receiver: str) -> int | None:
    """When the next notification or message to a receiver is due."""
    sql = (
        "SELECT MIN(due_at_us) FROM (SELECT due_at_us FROM alert_messages WHERE receiver = ? AND state = 'pending'"
        " UNION ALL SELECT due_at_us FROM alert_notifications WHERE receiver = ? AND state = 'waiting') AS due"
    )
    found: int | None = connection.exec_driver_sql(sql, (receiver, receiver)).scalar()
    return found


def send_again(connection: sa.Connection, message_id: int, receivers: Collection[str], now_us: int) -> bool:
    """Makes a dead message to one of the receivers due now, and its time to give up begin again.

    Notifications that were suppressed because of it wait again. Returns whether there was such a message.
    """
    marks = ", ".join("?" * len(receivers)) or "''"
    sql = (
        "UPDATE alert_messages SET state = 'pending', due_at_us = ?, created_at_us = ?"
        f" WHERE id = ? AND state = 'dead' AND receiver IN ({marks})"
    )
    if connection.exec_driver_sql(sql, (now_us, now_us, message_id, *receivers)).rowcount != 1:
        return False
    following = (
        "UPDATE alert_notifications SET state = 'waiting', reason = NULL WHERE state = 'suppressed' AND reason = ?"
        " AND EXISTS (SELECT 1 FROM alert_notifications b WHERE b.message_id = ? AND b.alert_id ="
        " alert_notifications.alert_id AND b.receiver = alert_notifications.receiver AND b.id < alert_notifications.id)"
        " AND alert_id IN (SELECT alert_id FROM alert_notifications WHERE message_id = ?)"
    )
    connection.exec_driver_sql(following, (NO_BEGINNING, message_id, message_id))
    return True


def abandon(connection: sa.Connection, receivers: Sequence[str], now_us: int) -> int:
    """Gives up everything for other receivers than these; returns the number of messages given up."""
    marks = ", ".join("?" * len(receivers)) or "''"
    where = f"receiver NOT IN ({marks})"
    sql = f"UPDATE alert_notifications SET state = 'suppressed', reason = ? WHERE state = 'waiting' AND {where}"
    connection.exec_driver_sql(sql, (NOT_CONFIGURED.template, *receivers))
    sql = f"UPDATE alert_messages SET state = 'dead', error = ?, tried_at_us = ? WHERE state = 'pending' AND {where}"
    return connection.exec_driver_sql(sql, (texts.dump(NOT_CONFIGURED()), now_us, *receivers)).rowcount


def backlog(connection: sa.Connection) -> tuple[int, int]:
    """How many messages and notifications are to be sent, and how many messages are dead: see the functions below."""
    return count_to_send(connection), count_dead(connection)


def count_to_send(connection: sa.Connection) -> int:
    """How many messages and notifications are to be sent, of each counted up to :data:`COUNTED_MOST`."""
    return _count(connection, "alert_messages WHERE state = 'pending'") + _count(
        connection, "alert_notifications WHERE state = 'waiting'"
    )


def count_dead(connection: sa.Connection) -> int:
    """How many messages are dead, counted up to :data:`COUNTED_MOST`."""
    return _count(connection, "alert_messages WHERE state = 'dead'")


def _count(connection: sa.Connection, rows: str) -> int:
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM {rows} LIMIT {COUNTED_MOST}) AS counted"
    return int(connection.exec_driver_sql(sql).scalar_one())


def of_alert(connection: sa.Connection, alert_id: int, apps: AppIds = None) -> list[Notification]:
    """The notifications of an alert, oldest first; without what a reader may not see who is limited to ``apps``."""
    columns = mapping.columns(alert_messages, of="m")
    sql = (
        f"SELECT n.receiver, n.what, n.state, n.reason, {columns} FROM alert_notifications n"
        " LEFT JOIN alert_messages m ON m.id = n.message_id WHERE n.alert_id = ? ORDER BY n.id"
    )
    return [
        Notification(
            receiver=row[0],
            what=row[1],
            state=row[2],
            suppressed_by=row[3],
            message=None if row[4] is None else _for_apps(message_rows.message_of(row[4:]), apps),
        )
        for row in connection.exec_driver_sql(sql, (alert_id,))
    ]


def _for_apps(message: Message, apps: AppIds) -> Message:
    """A digest has alerts of other apps, and errors and proofs have details of the receiver."""
    if apps is None:
        return message
    body = {"alert": {"summary": ""}}
    attempts = min(message.attempts, 1)
    return msgspec.structs.replace(message, alerts=1, body=body, attempts=attempts, error=None, proof=None)


def clock_set(connection: sa.Connection, by_us: int) -> None:
    """Moves waiting notifications with the machine's clock, which was set by ``by_us``."""
    connection.exec_driver_sql(
        "UPDATE alert_notifications SET due_at_us = due_at_us + ? WHERE state = 'waiting'", (by_us,)
    )
