"""Whom alerts are told, and how that went: an outbox of notifications, and of the messages that tell of them.

A row says "sent" only after the receiver took the message. All that writes runs in the writer's thread.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.domain.alerting.alert import FIRING
from sidecar.domain.alerting.grouping import Planned, Waiting
from sidecar.store import rows
from sidecar.store.alert_records import Message, Notification
from sidecar.store.alert_tables import alert_messages

_COLUMNS = tuple(column.name for column in alert_messages.columns)
_JSON = ("body", "proof")


class Owed(msgspec.Struct, frozen=True):
    """A notification to be: of an alert, to a receiver, not before a moment. ``held``: it only goes on the record."""

    alert_id: int
    receiver: str
    what: str
    group: str
    due_us: int
    held: str | None = None


def enqueue(connection: sa.Connection, owed: Sequence[Owed]) -> None:
    """Owes them from this commit on."""
    if owed:
        sql = (
            "INSERT INTO alert_notifications (alert_id, receiver, what, grouped, due_at_us, state, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        states = [(*msgspec.structs.astuple(one)[:-1], "held" if one.held else "waiting", one.held) for one in owed]
        connection.exec_driver_sql(sql, states)


def withdraw(connection: sa.Connection, alert_id: int, now_us: int) -> None:
    """The alert is over: what of it was not due yet is told no more."""
    over = (
        "UPDATE alert_notifications SET state = 'held', reason = 'over before it was told'"
        " WHERE alert_id = ? AND state = 'waiting' AND due_at_us > ?"
    )
    connection.exec_driver_sql(over, (alert_id, now_us))


def told_to(connection: sa.Connection, alert_id: int) -> list[str]:
    """The receivers that were told that an alert fires, or are about to be: they are owed what comes after."""
    sql = (
        "SELECT DISTINCT receiver FROM alert_notifications"
        " WHERE alert_id = ? AND what = 'firing' AND state IN ('waiting', 'told') ORDER BY receiver"
    )
    return [row[0] for row in connection.exec_driver_sql(sql, (alert_id,))]


def waiting(connection: sa.Connection, receiver: str, now_us: int) -> list[Waiting]:
    """What is due to a receiver, oldest first. An alert's end waits until it was told that it fires."""
    sql = """
        SELECT n.id, n.alert_id, n.what, n.grouped, n.due_at_us, f.message_id, m.alerts > 1, f.state,
            a.state = 'firing', a.held, a.acknowledged_at_us IS NOT NULL
        FROM alert_notifications n JOIN alerts a ON a.id = n.alert_id
        LEFT JOIN alert_notifications f ON n.what <> 'firing' AND f.id = (
            SELECT MAX(id) FROM alert_notifications
            WHERE alert_id = n.alert_id AND receiver = n.receiver AND what = 'firing' AND id < n.id)
        LEFT JOIN alert_messages m ON m.id = f.message_id
        WHERE n.receiver = ? AND n.state = 'waiting' AND n.due_at_us <= ? ORDER BY n.id
    """
    found = []
    for row in connection.exec_driver_sql(sql, (receiver, now_us)):
        if row[7] == "waiting":
            continue
        founded = row[2] == "firing" or row[7] == "told"
        found.append(
            Waiting(
                id=row[0],
                alert_id=row[1],
                what=row[2],
                group=row[3],
                due_us=row[4],
                answers=row[5],
                digest=bool(row[6]),
                founded=founded,
                fires=bool(row[8]),
                held=row[9],
                acknowledged=bool(row[10]),
            )
        )
    return found


def ended(connection: sa.Connection, digests: Iterable[int]) -> frozenset[int]:
    """Those of the messages none of whose alerts fires any more."""
    sql = (
        "SELECT 1 FROM alert_notifications JOIN alerts ON alerts.id = alert_id"
        f" WHERE message_id = ? AND alerts.state = '{FIRING}' LIMIT 1"
    )
    return frozenset(one for one in digests if connection.exec_driver_sql(sql, (one,)).first() is None)


def hold(connection: sa.Connection, ids: Sequence[int], reason: str) -> None:
    """Nobody is told of these, and this is why."""
    sql = "UPDATE alert_notifications SET state = 'held', reason = ? WHERE id = ?"
    if ids:
        connection.exec_driver_sql(sql, [(reason, one) for one in ids])


def make_message(
    connection: sa.Connection, receiver: str, planned: Planned, *, body: dict[str, Any], alerts: int, now_us: int
) -> Message:
    """A message that tells of what is planned, and from now on is tried until it is sent or dead."""
    only = planned.notifications[0].alert_id if not planned.is_digest else None
    values = {
        "public_id": f"msg_{uuid.uuid4().hex}",
        "receiver": receiver,
        "what": planned.what,
        "alert_id": only,
        "answers": planned.answers or (None if planned.is_digest else planned.notifications[0].answers),
        "alerts": alerts,
        "body": msgspec.json.encode(body).decode(),
        "state": "pending",
        "attempts": 0,
        "created_at_us": now_us,
        "due_at_us": now_us,
    }
    made = connection.execute(sa.insert(alert_messages).values(values).returning(*alert_messages.columns)).one()
    told = "UPDATE alert_notifications SET state = 'told', message_id = ? WHERE id = ?"
    connection.exec_driver_sql(told, [(made.id, one.id) for one in planned.notifications])
    return message_of(made)


def due(connection: sa.Connection, receiver: str, now_us: int, limit: int) -> list[Message]:
    """The oldest messages that are due, none before an earlier one about the same alert or digest is settled."""
    sql = (
        f"SELECT {rows.columns(alert_messages)} FROM alert_messages AS m"
        " WHERE receiver = ? AND state = 'pending' AND due_at_us <= ? AND NOT EXISTS (SELECT 1 FROM alert_messages AS e"
        " WHERE e.receiver = m.receiver AND e.state = 'pending' AND e.id < m.id"
        " AND (e.alert_id = m.alert_id OR e.id = m.answers)) ORDER BY id LIMIT ?"
    )
    return [message_of(row) for row in connection.exec_driver_sql(sql, (receiver, now_us, limit))]


def next_due_us(connection: sa.Connection, receiver: str) -> int | None:
    """When something is due to a receiver next."""
    sql = (
        "SELECT MIN(due_at_us) FROM (SELECT due_at_us FROM alert_messages WHERE receiver = ? AND state = 'pending'"
        " UNION ALL SELECT due_at_us FROM alert_notifications WHERE receiver = ? AND state = 'waiting')"
    )
    found: int | None = connection.exec_driver_sql(sql, (receiver, receiver)).scalar()
    return found


def earlier(connection: sa.Connection, message: Message) -> dict[str, Any] | None:
    """What the receiver answered to the message that this one answers."""
    if message.answers is None:
        return None
    sql = "SELECT proof FROM alert_messages WHERE id = ?"
    proof = connection.exec_driver_sql(sql, (message.answers,)).scalar()
    return None if proof is None else dict(msgspec.json.decode(proof))


def sent(connection: sa.Connection, message_id: int, proof: dict[str, Any], now_us: int) -> None:
    """The receiver took it. Whatever its proof holds can be written: a proof that could not would be sent again."""
    sql = (
        "UPDATE alert_messages SET state = 'sent', attempts = attempts + 1, tried_at_us = ?, sent_at_us = ?,"
        " error = NULL, proof = ? WHERE id = ?"
    )
    connection.exec_driver_sql(sql, (now_us, now_us, msgspec.json.encode(proof, enc_hook=str).decode(), message_id))


def failed(connection: sa.Connection, message_id: int, error: str, now_us: int, retry_us: int | None) -> None:
    """The receiver did not take it: it is tried again then, or (None) it is dead until somebody sends it again."""
    sql = (
        "UPDATE alert_messages SET state = ?, attempts = attempts + 1, tried_at_us = ?, error = ?, due_at_us = ?"
        " WHERE id = ?"
    )
    state = "dead" if retry_us is None else "pending"
    connection.exec_driver_sql(sql, (state, now_us, error, now_us if retry_us is None else retry_us, message_id))


def send_again(connection: sa.Connection, message_id: int, receivers: Collection[str], now_us: int) -> bool:
    """Whether there was such a dead message to one of the receivers; it is due now, and given up on later anew."""
    marks = ", ".join("?" * len(receivers)) or "''"
    sql = (
        "UPDATE alert_messages SET state = 'pending', due_at_us = ?, created_at_us = ?"
        f" WHERE id = ? AND state = 'dead' AND receiver IN ({marks})"
    )
    return connection.exec_driver_sql(sql, (now_us, now_us, message_id, *receivers)).rowcount == 1


def abandon(connection: sa.Connection, receivers: Sequence[str], now_us: int) -> int:
    """What is owed to receivers that are configured no longer is dead; how many messages that are."""
    marks = ", ".join("?" * len(receivers)) or "''"
    reason = "the receiver is not in the settings any more"
    where = f"receiver NOT IN ({marks})"
    sql = f"UPDATE alert_notifications SET state = 'held', reason = ? WHERE state = 'waiting' AND {where}"
    connection.exec_driver_sql(sql, (reason, *receivers))
    sql = f"UPDATE alert_messages SET state = 'dead', error = ?, tried_at_us = ? WHERE state = 'pending' AND {where}"
    return connection.exec_driver_sql(sql, (reason, now_us, *receivers)).rowcount


def dead(connection: sa.Connection, limit: int) -> list[Message]:
    """The dead letters, newest first."""
    sql = f"SELECT {rows.columns(alert_messages)} FROM alert_messages WHERE state = 'dead' ORDER BY id DESC LIMIT ?"
    return [message_of(row) for row in connection.exec_driver_sql(sql, (limit,))]


def failing(connection: sa.Connection) -> dict[str, tuple[int, str]]:
    """Receivers to which something has failed and is still owed: since when, and the last error."""
    sql = (
        "SELECT receiver, MIN(created_at_us), error FROM alert_messages"
        " WHERE state = 'pending' AND attempts > 0 GROUP BY receiver"
    )
    return {row[0]: (row[1], row[2] or "") for row in connection.exec_driver_sql(sql)}


def backlog(connection: sa.Connection) -> tuple[int, int]:
    """How many messages and notifications are owed, and how many messages are dead."""
    owed = (
        "SELECT (SELECT COUNT(*) FROM alert_messages WHERE state = 'pending')"
        " + (SELECT COUNT(*) FROM alert_notifications WHERE state = 'waiting')"
    )
    gone = "SELECT COUNT(*) FROM alert_messages WHERE state = 'dead'"
    return connection.exec_driver_sql(owed).scalar_one(), connection.exec_driver_sql(gone).scalar_one()


def of_alert(connection: sa.Connection, alert_id: int) -> list[Notification]:
    """Whom an alert was to be told, oldest first."""
    columns = rows.columns(alert_messages, of="m")
    sql = (
        f"SELECT n.receiver, n.what, n.state, n.reason, {columns} FROM alert_notifications n"
        " LEFT JOIN alert_messages m ON m.id = n.message_id WHERE n.alert_id = ? ORDER BY n.id"
    )
    return [
        Notification(
            receiver=row[0],
            what=row[1],
            state=row[2],
            held=row[3],
            message=None if row[4] is None else message_of(row[4:]),
        )
        for row in connection.exec_driver_sql(sql, (alert_id,))
    ]


def message_of(row: Sequence[Any]) -> Message:
    """A message from a row with all columns of ``alert_messages``."""
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    return Message(**values)
