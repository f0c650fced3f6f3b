"""The holdings of alerting: alerts about a user, their messages, storms, silences, and what the rules watch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables import alert_log, alert_retention
from sidecar.alerting.tables.alert_log import ERASED_IDS, IS_FIRING
from sidecar.alerting.tables.alert_schema import (
    alert_members,
    alert_silences,
    kicks,
    offline_watch,
    storm_members,
    user_watches,
)
from sidecar.domain import texts
from sidecar.domain.alerts.alert import FIRING, RESOLVED
from sidecar.domain.alerts.rules import STORMS
from sidecar.store import mapping
from sidecar.store.care.holdings import mentions
from sidecar.store.care.user_data import Holding, Page, Part, Rows, Whom
from sidecar.store.schema import metadata

_OF_USER: Final = "app_id = :app_id AND user_id = :user_id"
_LOOKED_AT: Final = 5_000
ERASED: Final = "[erased]"
_ALERT_TABLES: Final = ("alerts", "alert_history", "alert_notifications", "alert_messages")


class Alerts:
    """Alerts about the user, resolved when the erasure begins and then removed. Nobody is notified of that."""

    name = "alerts"
    tables = frozenset(_ALERT_TABLES)

    def detach(self, connection: sa.Connection, whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        newest = alert_log.AlertLog(connection).next_id() - 1
        alert_log.move_cursor(connection, ERASED_IDS, newest)
        own = f"{IS_FIRING} AND app_id = ? AND user_id = ?"
        firing = connection.exec_driver_sql(
            f"SELECT id, kind FROM alerts WHERE {own}", (whom.app_id, whom.user_id)
        ).all()
        for alert_id, kind in firing:
            _end(connection, alert_id, kind, whom.app_id)
        return {}

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, limit: int) -> Part:
        """See :class:`Holding`."""
        ids = _own(connection, whom, cursor, limit)
        return Part(_remove(connection, ids, whom), ids[-1] if len(ids) == limit else None)

    def export(self, connection: sa.Connection, whom: Whom, table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`."""
        ids = _own(connection, whom, cursor, limit)
        return Page(_rows_of(connection, table, ids), ids[-1] if len(ids) == limit else None)


class AlertsOfClients:
    """Alerts about clients that named no user, and that are the user's."""

    name = "alerts_without_user"
    tables = frozenset(_ALERT_TABLES)

    def detach(self, _connection: sa.Connection, _whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        return {}

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, _limit: int) -> Part:
        """See :class:`Holding`."""
        ids, after = _of_clients(connection, whom, cursor)
        return Part(_remove(connection, ids, whom), after)

    def export(self, connection: sa.Connection, whom: Whom, table: str, cursor: int, _limit: int) -> Page:
        """See :class:`Holding`."""
        ids, after = _of_clients(connection, whom, cursor)
        return Page(_rows_of(connection, table, ids), after)


def _own(connection: sa.Connection, whom: Whom, cursor: int, limit: int) -> list[int]:
    sql = "SELECT id FROM alerts WHERE user_id = ? AND app_id = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?"
    values = (whom.user_id, whom.app_id, cursor, _through(connection, whom), limit)
    return [row[0] for row in connection.exec_driver_sql(sql, values)]


def _of_clients(connection: sa.Connection, whom: Whom, cursor: int) -> tuple[list[int], int | None]:
    through = _through(connection, whom)
    last = min(cursor + _LOOKED_AT, through)
    sql = "SELECT id, other FROM alerts WHERE id > ? AND id <= ? AND user_id IS NULL AND other <> '' AND app_id = ?"
    client = "SELECT 1 FROM clients WHERE client_id = ? AND user_key = ?"
    ids = [
        alert_id
        for alert_id, other in connection.exec_driver_sql(sql, (cursor, last, whom.app_id)).all()
        if (client_id := _bytes(other)) and connection.exec_driver_sql(client, (client_id, whom.user_key)).first()
    ]
    return ids, last if last < through else None


def _through(connection: sa.Connection, whom: Whom) -> int:
    """The newest alert when the erasure began; for an export, of all."""
    if whom.is_exported:
        return alert_log.AlertLog(connection).next_id() - 1
    return alert_log.cursor(connection, ERASED_IDS) or 0


def _bytes(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _end(connection: sa.Connection, alert_id: int, kind: str, app_id: int | None) -> None:
    """Ends a firing alert without a word to anyone."""
    sql = f"UPDATE alerts SET state = '{RESOLVED}', due_us = NULL, repeat_us = NULL WHERE id = ?"
    connection.exec_driver_sql(sql, (alert_id,))
    alert_log.count(connection, {(kind, app_id): -1})
    sql = "UPDATE alert_notifications SET state = 'suppressed', reason = ? WHERE alert_id = ? AND state = 'waiting'"
    connection.exec_driver_sql(sql, (ERASED, alert_id))
    pending = (
        "DELETE FROM alert_messages WHERE state = 'pending' AND alerts = 1 AND id IN"
        " (SELECT message_id FROM alert_notifications WHERE alert_id = ?)"
    )
    connection.exec_driver_sql(pending, (alert_id,))


def _remove(connection: sa.Connection, ids: Sequence[int], whom: Whom) -> Mapping[str, int]:
    if not ids:
        return {}
    before = Counter({table: _count(connection, table, ids) for table in _ALERT_TABLES})
    marks = ", ".join("?" * len(ids))
    own = "SELECT message_id FROM alert_notifications WHERE message_id IS NOT NULL AND alert_id"
    messages = sorted({row[0] for row in connection.exec_driver_sql(f"{own} IN ({marks})", tuple(ids))})
    firing = f"SELECT id, kind, app_id FROM alerts WHERE id IN ({marks}) AND state = '{FIRING}'"
    for row in connection.exec_driver_sql(firing, tuple(ids)).all():
        _end(connection, *row)
    alert_retention.remove(connection, list(ids))
    for message_id in messages:
        _scrub(connection, message_id, ids, whom)
    return before


def _count(connection: sa.Connection, table: str, ids: Sequence[int]) -> int:
    return int(
        connection.exec_driver_sql(f"SELECT COUNT(*) FROM ({_select(table, ids)}) AS own", tuple(ids)).scalar_one()
    )


def _select(table: str, ids: Sequence[int]) -> str:
    """The rows of one of the tables that are about these alerts."""
    marks = ", ".join("?" * len(ids))
    every = f"SELECT {mapping.columns(metadata.tables[table])} FROM {table}"
    if table == "alerts":
        return f"{every} WHERE id IN ({marks})"
    if table == "alert_messages":
        own = f"SELECT message_id FROM alert_notifications WHERE message_id IS NOT NULL AND alert_id IN ({marks})"
        return f"{every} WHERE id IN ({own})"
    return f"{every} WHERE alert_id IN ({marks})"


def _rows_of(connection: sa.Connection, table: str, ids: Sequence[int]) -> list[dict[str, Any]]:
    if not ids:
        return []
    found = connection.exec_driver_sql(_select(table, ids), tuple(ids))
    rows = [mapping.named(metadata.tables[table], row) for row in found]
    for row in rows:
        if table == "alert_messages":
            row["body"] = _about(msgspec.json.decode(row["body"]), ids)
    return rows


def _about(body: dict[str, Any], ids: Collection[int]) -> dict[str, Any]:
    """A message as far as it is about these alerts: a digest has others too."""
    if "alerts" not in body:
        return body
    return {"alerts": [one for one in body["alerts"] if one["id"] in ids]}


def _scrub(connection: sa.Connection, message_id: int, ids: Collection[int], whom: Whom) -> None:
    """Takes these alerts of the user out of a digest, which stays for its other alerts."""
    row = connection.exec_driver_sql(
        "SELECT alerts, body, error, proof FROM alert_messages WHERE id = ?", (message_id,)
    ).first()
    if row is None:
        return
    body = msgspec.json.decode(row.body)
    body["alerts"] = [one for one in body.get("alerts", ()) if one["id"] not in ids]
    body["alert"] |= {"summary": f"{row.alerts:,} alerts", "labels": {"digest": "true"}}
    error = (
        row.error if row.error is None or not mentions(row.error, whom.user_id) else texts.dump(texts.verbatim(ERASED))
    )
    proof = row.proof if row.proof is None or not mentions(row.proof, whom.user_id) else None
    values = (msgspec.json.encode(body).decode(), error, proof, message_id)
    connection.exec_driver_sql("UPDATE alert_messages SET body = ?, error = ?, proof = ? WHERE id = ?", values)


class Silences:
    """Silences that name the user or a device of it: the name is taken out of them, and they match nothing by it."""

    name = "alert_silences"
    tables = frozenset({"alert_silences"})

    def detach(self, _connection: sa.Connection, _whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        return {}

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, limit: int) -> Part:
        """See :class:`Holding`."""
        found, after = self._some(connection, cursor, limit)
        devices = _devices(connection, whom)
        changed = []
        for row in found:
            matchers, reason = _without(row, whom, devices)
            if (matchers, reason) != (msgspec.json.decode(row.matchers), row.reason):
                changed.append((msgspec.json.encode(matchers).decode(), reason, row.id))
        if changed:
            sql = "UPDATE alert_silences SET matchers = ?, reason = ? WHERE id = ?"
            connection.exec_driver_sql(sql, changed)
        return Part({self.name: len(changed)}, after)

    def export(self, connection: sa.Connection, whom: Whom, _table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`."""
        found, after = self._some(connection, cursor, limit)
        devices = _devices(connection, whom)
        named = [
            row for row in found if _without(row, whom, devices) != (msgspec.json.decode(row.matchers), row.reason)
        ]
        return Page([mapping.named(alert_silences, row) for row in named], after)

    def _some(self, connection: sa.Connection, cursor: int, limit: int) -> tuple[Sequence[Any], int | None]:
        sql = f"SELECT {mapping.columns(alert_silences)} FROM alert_silences WHERE id > ? ORDER BY id LIMIT ?"
        found = connection.exec_driver_sql(sql, (cursor, limit)).all()
        return found, int(found[-1].id) if len(found) == limit else None


def _devices(connection: sa.Connection, whom: Whom) -> frozenset[str]:
    sql = "SELECT DISTINCT device_id FROM clients WHERE user_key = ? AND device_id IS NOT NULL"
    return frozenset(row[0] for row in connection.exec_driver_sql(sql, (whom.user_key,)))


def _without(row: Any, whom: Whom, devices: frozenset[str]) -> tuple[dict[str, list[str]], str]:  # noqa: ANN401 - a row
    """The matchers and the reason of a silence without the user."""
    matchers: dict[str, list[str]] = msgspec.json.decode(row.matchers)
    apps = matchers.get("app_id", [str(whom.app_id)])
    if row.app_id not in {None, whom.app_id} or not ({str(whom.app_id), "*"} & set(apps)):
        return matchers, row.reason
    for name, values in matchers.items():
        if name == "user_id":
            kept = [value for value in values if not mentions(value, whom.user_id)]
        else:
            kept = [value for value in values if name != "device_id" or value not in devices]
        matchers[name] = kept or [ERASED]
    return matchers, ERASED if mentions(row.reason, whom.user_id) else row.reason


_STORM_KINDS: Final = ", ".join(f"'{kind}'" for kind in sorted(STORMS))

HOLDINGS: Final[tuple[Holding, ...]] = (
    Rows(offline_watch, _OF_USER, at_once=True),
    Rows(kicks, _OF_USER, at_once=True),
    Rows(storm_members, f"kind IN ({_STORM_KINDS}) AND {_OF_USER}", at_once=True),
    Rows(alert_members, _OF_USER, at_once=True),
    Rows(user_watches, _OF_USER, at_once=True),
    Alerts(),
    AlertsOfClients(),
    Silences(),
)
