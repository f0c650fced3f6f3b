"""The holdings of the store: events, users and their clients, what follows from these, and rejected events."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED
from sidecar.store import database, mapping, schema
from sidecar.store.access import audit_log
from sidecar.store.access.pseudonyms import pseudonym
from sidecar.store.care.user_data import Holding, Page, Part, Rows, Whom
from sidecar.store.log import span_outbox
from sidecar.store.log_positions import oldest_position

# How many positions of the log one slice looks at: some milliseconds.
LOOKED_AT: Final = 10_000
_OF_USER: Final = "app_id = :app_id AND user_id = :user_id"
_CLIENT_INSERT: Final = mapping.insert(schema.clients)
_EVENT: Final = "position, id, type, client_id, session_id, previous_client_position"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Users:
    """The user's row, its place in the search index and in the counts of groups.

    The clients that are packed in the row get rows of their own, under a key that no user has any more.
    """

    name = "user_status"
    tables = frozenset({"user_status"})

    def detach(self, connection: sa.Connection, whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        if whom.user_key is None:
            return {}
        row = connection.exec_driver_sql(
            "SELECT group_key, clients, crowded FROM user_status WHERE user_key = ?", (whom.user_key,)
        ).one()
        packed = [] if row.crowded else mapping.unpack(row.clients)
        if packed:
            connection.exec_driver_sql(_CLIENT_INSERT, [mapping.client_row(client) for client in packed])
        # A session that continues begins a new trace.
        own = "SELECT COALESCE(session_id, client_id) FROM clients WHERE user_key = ?"
        connection.exec_driver_sql(f"DELETE FROM traces WHERE trace_id IN ({own})", (whom.user_key,))
        engine = database.of(connection)
        engine.forget_id(connection, whom.user_key, whom.user_id)
        engine.count(connection, groups=[(-1, row.group_key)])
        connection.exec_driver_sql("DELETE FROM user_status WHERE user_key = ?", (whom.user_key,))
        return {"user_status": 1}

    def erase(self, connection: sa.Connection, _whom: Whom, cursor: int, _limit: int) -> Part:
        """See :class:`Holding`."""
        more = database.of(connection).purge_ids(connection, is_first=cursor == 0)
        return Part({}, cursor + 1 if more else None)

    def export(self, connection: sa.Connection, whom: Whom, _table: str, _cursor: int, _limit: int) -> Page:
        """See :class:`Holding`."""
        sql = f"SELECT {mapping.columns(schema.user_status)} FROM user_status WHERE user_key = ?"
        found = connection.exec_driver_sql(sql, (whom.user_key,))
        rows = [mapping.named(schema.user_status, row) for row in found]
        for row in rows:
            row["clients"] = [_client_view(client) for client in mapping.unpack(row["clients"])]
        return Page(rows)


def _client_view(client: mapping.Client) -> dict[str, Any]:
    """A packed client with the names of its fields."""
    view = {name: getattr(client, name) for name in client.__struct_fields__}
    return view | {"state": {name: getattr(client.state, name) for name in client.state.__struct_fields__}}


class Strays:
    """What the user's clients reported before they named a user: clients without one."""

    name = "clients_without_user"
    tables = frozenset({"clients", "client_blocks"})

    def detach(self, _connection: sa.Connection, _whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        return {}

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, limit: int) -> Part:
        """See :class:`Holding`. The events are found by :class:`Events`, but for those that arrived meanwhile."""
        own = "SELECT client_key, client_id FROM clients WHERE user_key = ?"
        sql = f"{own} AND client_key > ? ORDER BY client_key LIMIT ?"
        found = connection.exec_driver_sql(sql, (whom.user_key, cursor, limit)).all()
        removed: Counter[str] = Counter()
        for some in mapping.chunks([row.client_id for row in found]):
            without = f"user_key = {schema.NOBODY} AND client_id IN ({', '.join('?' * len(some))})"
            heads = connection.exec_driver_sql(f"SELECT last_position FROM clients WHERE {without}", some).all()
            for (head,) in heads:
                late = _chain(connection, head, whom.through)
                removed["events"] += _remove_events(connection, late, whom.through)
            for table in ("client_blocks", "clients"):
                removed[table] += connection.exec_driver_sql(f"DELETE FROM {table} WHERE {without}", some).rowcount
        return Part(removed, found[-1].client_key if len(found) == limit else None)

    def export(self, connection: sa.Connection, whom: Whom, _table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`."""
        ids = _packed_ids(connection, whom)
        marks = ", ".join("?" * len(ids)) or "NULL"
        every = "SELECT client_id FROM clients"
        own = f"{every} WHERE user_key = ? UNION {every} WHERE client_id IN ({marks})"
        columns = mapping.columns(schema.clients)
        sql = (
            f"SELECT {columns} FROM clients WHERE user_key = {schema.NOBODY} AND client_id IN ({own}) LIMIT ? OFFSET ?"
        )
        found = connection.exec_driver_sql(sql, (whom.user_key, *ids, limit, cursor))
        rows = [mapping.named(schema.clients, row) for row in found]
        return Page(rows, cursor + limit if len(rows) == limit else None)


class Events:
    """The user's events up to the beginning, and those of its clients without a user; with traces and pending spans.

    The whole log is read: pointers would miss what they do not lead to.
    """

    name = "events"
    tables = frozenset({"events", "traces", "span_outbox", "span_losses"})

    def detach(self, _connection: sa.Connection, _whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        return {}

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, limit: int) -> Part:
        """See :class:`Holding`."""
        found, after = _find(connection, whom, cursor, limit, _EVENT)
        counts: Counter[str] = Counter({"events": 0, "span_losses": 0})
        if found:
            counts["span_losses"] += _remove_losses(connection, {row.id for row in found})
            counts["events"] += _remove_events(connection, found, whom.through)
        if after is None:
            user, partitions = (whom.app_id, whom.user_id), database.of(connection).log_partitions
            gone = partitions.erase(connection, user, whom.user_key, _packed_ids(connection, whom))
            counts["span_losses"] += _remove_losses(connection, {row.id for row in gone})
            counts["events"] += _remove_events(connection, gone, whom.through)
        return Part(counts, after)

    def export(self, connection: sa.Connection, whom: Whom, table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`."""
        if table == "span_losses":
            columns = mapping.columns(schema.span_losses, of="l")
            ids = database.of(connection).expressions.event_ids
            own = "JOIN events e ON e.position = ids.position WHERE e.app_id = ? AND e.user_id = ?"
            sql = f"SELECT {columns} FROM span_losses l JOIN {ids} ON ids.id = l.event_id {own}"
            lost = connection.exec_driver_sql(sql, (whom.app_id, whom.user_id))
            return Page([mapping.named(schema.span_losses, row) for row in lost])
        found, after = _find(connection, whom, cursor, limit, mapping.columns(schema.events))
        rows = [mapping.named(schema.events, row) for row in found]
        for row in rows:
            row["details"] = msgspec.json.decode(row["details"]) if row["details"] else {}
        return Page(rows, after)


def _find(
    connection: sa.Connection, whom: Whom, cursor: int, limit: int, columns: str
) -> tuple[Sequence[Any], int | None]:
    """Events after the position ``cursor``, and after which to continue; None at the end."""
    first = max(cursor, oldest_position(connection) - 1)
    last = min(first + LOOKED_AT, whom.through)
    ids = _packed_ids(connection, whom)
    own = "client_id IN (SELECT client_id FROM clients WHERE user_key = ?)"
    if ids:
        own = f"({own} OR client_id IN ({', '.join('?' * len(ids))}))"
    sql = (
        f"SELECT {columns} FROM events WHERE position > ? AND position <= ? AND app_id = ?"
        f" AND (user_id = ? OR (user_id IS NULL AND {own})) ORDER BY position LIMIT ?"
    )
    values = (first, last, whom.app_id, whom.user_id, whom.user_key, *ids, limit)
    found = connection.exec_driver_sql(sql, values).all()
    if len(found) == limit:
        return found, int(found[-1].position)
    return found, last if last < whom.through else None


def _packed_ids(connection: sa.Connection, whom: Whom) -> list[bytes]:
    """Of the clients in the user's row, if it has one still."""
    sql = "SELECT clients FROM user_status WHERE user_key = ?"
    packed = connection.exec_driver_sql(sql, (whom.user_key,)).scalar()
    return [client.client_id for client in mapping.unpack(packed)] if packed else []


def _chain(connection: sa.Connection, head: int | None, through: int) -> list[Any]:
    """The events of a client that came after the beginning, from the newest on."""
    found: list[Any] = []
    while head is not None and head > through:
        row = connection.exec_driver_sql(f"SELECT {_EVENT} FROM events WHERE position = ?", (head,)).first()
        if row is None:
            break
        found.append(row)
        head = row.previous_client_position
    return found


def _remove_events(connection: sa.Connection, found: Sequence[Any], through: int) -> int:
    if not found:
        return 0
    traces = {(row.session_id or row.client_id, max(through, row.position)) for row in found}
    connection.exec_driver_sql("DELETE FROM traces WHERE trace_id = ? AND root_position <= ?", sorted(traces))
    span_outbox.remove_some(connection, [row.position for row in found if row.type == CONNECTION_STATE_CHANGED])
    connection.exec_driver_sql("DELETE FROM events WHERE position = ?", [(row.position,) for row in found])
    return len(found)


def _remove_losses(connection: sa.Connection, event_ids: set[bytes]) -> int:
    found = connection.exec_driver_sql("SELECT loss, event_id FROM span_losses WHERE event_id IS NOT NULL").all()
    lost = [(loss,) for loss, event_id in found if event_id in event_ids]
    if lost:
        connection.exec_driver_sql("DELETE FROM span_losses WHERE loss = ?", lost)
    return len(lost)


class RejectedEvents:
    """Rejected bodies that name the user, or one of its clients. In doubt one is removed: they are for inspection."""

    name = "rejected_events"
    tables = frozenset({"rejected_events"})

    def detach(self, _connection: sa.Connection, _whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        return {}

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, limit: int) -> Part:
        """See :class:`Holding`."""
        found, after = _some_rejected(connection, cursor, limit)
        named = [(row.rejection,) for row in found if _names(connection, whom, row)]
        if named:
            connection.exec_driver_sql("DELETE FROM rejected_events WHERE rejection = ?", named)
        return Part({self.name: len(named)}, after)

    def export(self, connection: sa.Connection, whom: Whom, _table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`."""
        found, after = _some_rejected(connection, cursor, limit)
        named = [row for row in found if _names(connection, whom, row)]
        return Page([mapping.named(schema.rejected_events, row) for row in named], after)


def _some_rejected(connection: sa.Connection, cursor: int, limit: int) -> tuple[Sequence[Any], int | None]:
    columns = mapping.columns(schema.rejected_events)
    sql = f"SELECT {columns} FROM rejected_events WHERE rejection > ? ORDER BY rejection LIMIT ?"
    found = connection.exec_driver_sql(sql, (cursor, limit)).all()
    return found, int(found[-1].rejection) if len(found) == limit else None


def _names(connection: sa.Connection, whom: Whom, row: Any) -> bool:  # noqa: ANN401 - a row
    if row.app_id not in {None, whom.app_id}:
        return False
    texts = [row.body, row.error, row.event_id or ""]
    if any(mentions(text, whom.user_id) for text in texts):
        return True
    ids = {uuid.UUID(found).bytes for text in texts for found in _UUID.findall(text)}
    return not ids.isdisjoint(_packed_ids(connection, whom)) or any(
        connection.exec_driver_sql(
            "SELECT 1 FROM clients WHERE client_id = ? AND user_key = ?", (one, whom.user_key)
        ).first()
        for one in ids
    )


def mentions(text: str, user_id: str) -> bool:
    """Whether a text has the user's id as a word of its own, as it is or as JSON escapes it."""
    spellings = {user_id, *(msgspec.json.encode(user_id).decode()[1:-1],), *(ascii(user_id)[1:-1],)}
    spellings.add("".join(one if one.isascii() else _escaped(one) for one in user_id))
    lower = text.lower()
    return any(_has_word(lower, one.lower()) for one in spellings)


def _escaped(character: str) -> str:
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False


class AuditLog:
    """The readable id behind the pseudonym in the audit log, which stays: its chain would not hold without."""

    name = "audit_subjects"
    tables = frozenset({"audit_log", "audit_subjects"})

    def detach(self, connection: sa.Connection, whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        before = self._count(connection)
        audit_log.forget(connection, whom.app_id, whom.user_id)
        return {self.name: before - self._count(connection)}

    def erase(self, _connection: sa.Connection, _whom: Whom, _cursor: int, _limit: int) -> Part:
        """See :class:`Holding`."""
        return Part()

    def export(self, connection: sa.Connection, whom: Whom, _table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`. When what was done with the user; who did it is data of somebody else."""
        sql = "SELECT id, at_us, action FROM audit_log WHERE subject = ? AND id > ? ORDER BY id LIMIT ?"
        subject = pseudonym(connection, whom.app_id, whom.user_id)
        found = connection.exec_driver_sql(sql, (subject, cursor, limit)).all()
        rows = [{"id": row[0], "at_us": row[1], "action": row[2]} for row in found]
        return Page(rows, rows[-1]["id"] if len(rows) == limit else None)

    def _count(self, connection: sa.Connection) -> int:
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM audit_subjects").scalar_one())


def all_holdings(others: Sequence[Holding]) -> tuple[Holding, ...]:
    """Those of the store, with those of other packages before the clients, by which they may find what is theirs."""
    return (
        Rows(schema.server_views, _OF_USER, at_once=True),
        Users(),
        AuditLog(),
        Strays(),
        Events(),
        RejectedEvents(),
        *others,
        Rows(schema.client_blocks, "user_key = :user_key"),
        Rows(schema.happenings, "user_key = :user_key"),
        Rows(schema.clients, "user_key = :user_key"),
    )
