"""The table of messages: what was or is to be sent to each receiver, and the state of its delivery.

A message is marked as sent only after the receiver accepted it. Writes run in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables.alert_schema import alert_messages
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain import texts
from sidecar.domain.alerts.message_plan import Planned, Sent
from sidecar.domain.texts import Text
from sidecar.store import mapping

_COLUMNS: Final = tuple(column.name for column in alert_messages.columns)
_JSON: Final = ("body", "proof")


def message_of(row: Sequence[Any]) -> Message:
    """A message from a row with all columns of ``alert_messages``."""
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    values["error"] = None if values["error"] is None else texts.load(values["error"])
    return Message(**values)


def create(
    connection: sa.Connection,
    receiver: str,
    planned: Planned,
    *,
    public_id: str,
    body: dict[str, Any],
    alerts: int,
    now_us: int,
) -> Message:
    """Creates a message of planned notifications; it is pending until it is sent or dead."""
    first = planned.notifications[0]
    values = {
        "public_id": public_id,
        "receiver": receiver,
        "what": planned.what,
        "alert_id": None if planned.is_digest else first.alert_id,
        "answers": planned.answers or (None if planned.is_digest else first.answers),
        "alerts": alerts,
        "body": msgspec.json.encode(body).decode(),
        "state": "pending",
        "attempts": 0,
        "created_at_us": now_us,
        "due_at_us": now_us,
    }
    row = connection.execute(sa.insert(alert_messages).values(values).returning(*alert_messages.columns)).one()
    planned_now = "UPDATE alert_notifications SET state = 'planned', message_id = ? WHERE id = ?"
    connection.exec_driver_sql(planned_now, [(row.id, one.id) for one in planned.notifications])
    return message_of(row)


def counted(connection: sa.Connection, since_us: int, due_by_us: int) -> list[Sent]:
    """The messages that limits count, to any receiver: created or accepted after ``since_us``, or due by ``due_by_us``.

    A receiver that was away gets those that are due when it is back, and so no more than its limit of them.
    """
    sql = """
        SELECT receiver, what, created_at_us, sent_at_us, state = 'pending',
            CASE WHEN alerts = 1 THEN (SELECT grouped FROM alert_notifications WHERE message_id = m.id LIMIT 1) END
        FROM alert_messages m WHERE id IN (
            SELECT id FROM alert_messages WHERE created_at_us > :since AND id > COALESCE(
                (SELECT id FROM alert_messages WHERE created_at_us <= :since ORDER BY id DESC LIMIT 1), 0)
            UNION SELECT id FROM alert_messages WHERE sent_at_us > :since
            UNION SELECT id FROM alert_messages WHERE state = 'pending' AND due_at_us <= :due_by)
    """
    found = connection.execute(sa.text(sql), {"since": since_us, "due_by": due_by_us})
    return [
        Sent(
            receiver=row[0],
            what=row[1],
            at_us=row[2] if row[3] is None else max(row[2], row[3]),
            is_pending=bool(row[4]),
            group=row[5],
        )
        for row in found
    ]


def due(connection: sa.Connection, receiver: str, now_us: int, limit: int) -> list[Message]:
    """The messages that are due: firing ones first, then the oldest.

    A message waits while an earlier one about the same alert or digest is pending.
    """
    sql = (
        f"SELECT {mapping.columns(alert_messages)} FROM alert_messages AS m"
        " WHERE receiver = ? AND state = 'pending' AND due_at_us <= ? AND NOT EXISTS (SELECT 1 FROM alert_messages AS e"
        " WHERE e.receiver = m.receiver AND e.state = 'pending' AND e.id < m.id"
        " AND (e.alert_id = m.alert_id OR e.id = m.answers))"
        " ORDER BY what NOT IN ('firing', 'repeat'), id LIMIT ?"
    )
    return [message_of(row) for row in connection.exec_driver_sql(sql, (receiver, now_us, limit))]


def earlier_proof(connection: sa.Connection, message: Message) -> dict[str, Any] | None:
    """The receiver's answer to the message that this one follows up."""
    if message.answers is None:
        return None
    sql = "SELECT proof FROM alert_messages WHERE id = ?"
    proof = connection.exec_driver_sql(sql, (message.answers,)).scalar()
    return None if proof is None else dict(msgspec.json.decode(proof))


def created_us(connection: sa.Connection, message_id: int) -> int:
    """When a message was created."""
    sql = "SELECT created_at_us FROM alert_messages WHERE id = ?"
    return int(connection.exec_driver_sql(sql, (message_id,)).scalar_one())


def mark_sent(connection: sa.Connection, message_id: int, proof: dict[str, Any], now_us: int) -> None:
    """The receiver accepted it. Any proof can be stored: if one failed to, the message would be sent again."""
    sql = (
        "UPDATE alert_messages SET state = 'sent', attempts = attempts + 1, tried_at_us = ?, sent_at_us = ?,"
        " error = NULL, proof = ? WHERE id = ?"
    )
    connection.exec_driver_sql(sql, (now_us, now_us, msgspec.json.encode(proof, enc_hook=str).decode(), message_id))


def mark_failed(connection: sa.Connection, message_id: int, error: Text, now_us: int, retry_us: int | None) -> None:
    """An attempt failed: the next one is at ``retry_us``; None makes the message dead until somebody sends it again."""
    sql = (
        "UPDATE alert_messages SET state = ?, attempts = attempts + 1, tried_at_us = ?, error = ?, due_at_us = ?"
        " WHERE id = ?"
    )
    state = "dead" if retry_us is None else "pending"
    connection.exec_driver_sql(
        sql, (state, now_us, texts.dump(error), now_us if retry_us is None else retry_us, message_id)
    )


def dead(connection: sa.Connection, limit: int) -> list[Message]:
    """The messages that were given up, newest first."""
    sql = f"SELECT {mapping.columns(alert_messages)} FROM alert_messages WHERE state = 'dead' ORDER BY id DESC LIMIT ?"
    return [message_of(row) for row in connection.exec_driver_sql(sql, (limit,))]


def failing_receivers(connection: sa.Connection) -> dict[str, tuple[int, Text]]:
    """The receivers with a pending message that has failed: since when, and the last error."""
    sql = (
        "SELECT receiver, created_at_us, error FROM (SELECT receiver, created_at_us, error,"
        " ROW_NUMBER() OVER (PARTITION BY receiver ORDER BY created_at_us) AS place FROM alert_messages"
        " WHERE state = 'pending' AND attempts > 0) AS failed WHERE place = 1"
    )
    return {row[0]: (row[1], texts.load(row[2])) for row in connection.exec_driver_sql(sql)}


def next_attempts(connection: sa.Connection) -> dict[str, int]:
    """When the next attempt of a message that has failed is due, by receiver."""
    sql = (
        "SELECT receiver, MIN(due_at_us) FROM alert_messages WHERE state = 'pending' AND attempts > 0 GROUP BY receiver"
    )
    return {row[0]: row[1] for row in connection.exec_driver_sql(sql)}


def sent_since(connection: sa.Connection, since_us: int) -> list[Message]:
    """The messages that were sent since ``since_us``, the oldest first."""
    sql = (
        f"SELECT {mapping.columns(alert_messages)} FROM alert_messages"
        " WHERE state = 'sent' AND sent_at_us >= ? ORDER BY sent_at_us"
    )
    return [message_of(row) for row in connection.exec_driver_sql(sql, (since_us,))]


def clock_set(connection: sa.Connection, by_us: int) -> None:
    """Moves pending messages with the machine's clock, which was set by ``by_us``."""
    sql = (
        "UPDATE alert_messages SET due_at_us = due_at_us + ?, created_at_us = created_at_us + ? WHERE state = 'pending'"
    )
    connection.exec_driver_sql(sql, (by_us, by_us))


def clock_set_since(connection: sa.Connection, by_us: int, since_us: int, until_us: int) -> None:
    """Moves the messages that were sent or given up after ``since_us`` and until ``until_us``: limits count them."""
    sql = (
        "UPDATE alert_messages SET created_at_us = created_at_us + :by, tried_at_us = tried_at_us + :by,"
        " sent_at_us = sent_at_us + :by WHERE state <> 'pending' AND id IN ("
        "SELECT id FROM alert_messages WHERE sent_at_us > :since AND sent_at_us <= :until"
        " UNION SELECT id FROM alert_messages WHERE state = 'dead' AND created_at_us > :since"
        " AND created_at_us <= :until)"
    )
    connection.execute(sa.text(sql), {"by": by_us, "since": since_us, "until": until_us})
