"""The alert log: every alert that ever fired, and its history. Functions of a connection.

Writes run in the writer's thread, in the transaction of their cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables.alert_schema import alert_history, alerts
from sidecar.alerting.tables.alert_values import AlertFilter, AlertPage, Line
from sidecar.domain import texts
from sidecar.domain.alerts.alert import (
    FIRING,
    SEVERITIES,
    SUPPRESSED_PING_PONG,
    SUPPRESSED_STORM,
    Alert,
    Subject,
)
from sidecar.domain.alerts.firing import Entry, UserId
from sidecar.domain.app_ids import AppIds
from sidecar.store import mapping
from sidecar.store.conditions import in_apps

_LENGTHS = (1, 4, 16, 40, 80, 160, 240, mapping.CHUNK)
_COLUMNS = tuple(column.name for column in alerts.columns)
_FLAGS = ("routed", "notified")
_SUBJECT = ("app_id", "user_id", "other")
_JSON = ("labels", "facts")
# ORDER BY +id reads the index of firing alerts; ORDER BY id would read every alert in the order of the key.
IS_FIRING: Final = f"state = '{FIRING}'"
# How many of the newest alerts a resumed stream looks through, and a page of a filter that no index answers.
_RECENT = 5_000
LOOKED_AT_MOST: Final = 5_000
# Why an alert is suppressed by another one that says the same of many.
_COVERED: Final = {SUPPRESSED_STORM, SUPPRESSED_PING_PONG}
# The app of what is about none, in the table of counts.
_NO_APP: Final = -1
ERASED_IDS: Final = "erased_ids"
"""The cursor that has the newest id when the last erasure of a user began: no id is given to another alert."""
_COUNT: Final = (
    "INSERT INTO alert_counts (kind, app_id, firing) VALUES (?, ?, ?)"
    " ON CONFLICT (kind, app_id) DO UPDATE SET firing = alert_counts.firing + excluded.firing"
)

# The opening of an alert is in its own row: a line for each would double the work of a storm. What notifies again has a
# line as a cause.
_NO_LINE: Final = frozenset({"opened", "again"})

_UPSERT = mapping.upsert(alerts)
_values_of = attrgetter(*(f"subject.{name}" if name in _SUBJECT else name for name in _COLUMNS))
_JSON_PLACES = tuple(_COLUMNS.index(name) for name in _JSON)
_TEXTS = ("summary", "end_reason")
_TEXT_PLACES = tuple(_COLUMNS.index(name) for name in _TEXTS)


def _row_of(alert: Alert) -> tuple[Any, ...]:
    # Called for tens of thousands of alerts in a storm.
    values = list(_values_of(alert))
    for place in _JSON_PLACES:
        values[place] = msgspec.json.encode(values[place]).decode()
    for place in _TEXT_PLACES:
        values[place] = None if values[place] is None else texts.dump(values[place])
    return tuple(values)


def alert_of(row: Sequence[Any]) -> Alert:
    """An alert from a row with all columns of ``alerts``."""
    values = dict(zip(_COLUMNS, row, strict=True))
    subject = Subject(*(values.pop(name) for name in _SUBJECT))
    values |= {name: bool(values[name]) for name in _FLAGS}
    values |= {name: msgspec.json.decode(values[name]) for name in _JSON}
    values |= {name: texts.load(values[name]) for name in _TEXTS if values[name] is not None}
    return Alert(subject=subject, **values)


def write(connection: sa.Connection, changed: Sequence[Alert], entries: Sequence[Entry]) -> None:
    """Writes the alerts that changed, and the new entries of their history."""
    if changed:
        connection.exec_driver_sql(_UPSERT, [_row_of(alert) for alert in changed])
    rows = [
        (e.alert.id, e.at_us, e.what, e.who, e.position, texts.dump(e.text)) for e in entries if e.what not in _NO_LINE
    ]
    if rows:
        sql = "INSERT INTO alert_history (alert_id, at_us, what, who, position, text) VALUES (?, ?, ?, ?, ?, ?)"
        connection.exec_driver_sql(sql, rows)
    _count(connection, entries)


def _count(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    firing: Counter[tuple[str, int | None]] = Counter()
    for what, by in (("opened", 1), ("resolved", -1)):
        for alert in {entry.alert.id: entry.alert for entry in entries if entry.what == what}.values():
            firing[alert.kind, alert.subject.app_id] += by
    count(connection, firing)


def count(connection: sa.Connection, firing: Mapping[tuple[str, int | None], int]) -> None:
    """Adds to the numbers of firing alerts, by kind and app."""
    changed = [(kind, _NO_APP if app_id is None else app_id, by) for (kind, app_id), by in firing.items() if by]
    if changed:
        connection.exec_driver_sql(_COUNT, changed)


class AlertLog:
    """The reads of a :class:`sidecar.domain.alerts.firing.Firing` in one transaction.

    ``openings_most``: how many openings of alerts with one fingerprint are counted.
    """

    def __init__(self, connection: sa.Connection, openings_most: int = 1_000) -> None:
        self._connection = connection
        self._openings_most = openings_most

    def about_users(self, users: Collection[UserId], /) -> Iterable[Alert]:
        """The firing alerts about these users."""
        columns = mapping.columns(alerts, of="a")
        sql = (
            f"WITH wanted (app_id, user_id) AS (VALUES {{}}) SELECT {columns} FROM wanted CROSS JOIN alerts a"
            f" WHERE a.app_id = wanted.app_id AND a.user_id = wanted.user_id AND a.{IS_FIRING}"
        )
        return (alert_of(row) for row in select_many(self._connection, sql, sorted(users), mark="(?, ?)"))

    def by_fingerprints(self, fingerprints: Sequence[str], /) -> Iterable[Alert]:
        """The firing alerts with these fingerprints."""
        sql = f"SELECT {mapping.columns(alerts)} FROM alerts WHERE {IS_FIRING} AND fingerprint IN ({{}})"
        return (alert_of(row) for row in select_many(self._connection, sql, fingerprints))

    def times_opened(self, fingerprints: Sequence[str], since_us: int, now_us: int, /) -> dict[str, int]:
        """How often alerts with these fingerprints opened from ``since_us`` to ``now_us``."""
        # Not later than now: after the clock was set back, earlier openings would count for too long.
        opened = f"fingerprint = wanted.fingerprint AND opened_at_us BETWEEN {since_us} AND {now_us}"
        times = f"SELECT COUNT(*) FROM (SELECT 1 FROM alerts WHERE {opened} LIMIT {self._openings_most}) AS counted"
        sql = f"WITH wanted (fingerprint) AS (VALUES {{}}) SELECT fingerprint, ({times}) FROM wanted"
        return {row[0]: row[1] for row in select_many(self._connection, sql, fingerprints, mark="(?)")}

    def next_id(self) -> int:
        """The id of the next alert that opens."""
        given = "SELECT MAX(id) AS id FROM alerts UNION ALL SELECT at_us FROM alert_cursors WHERE name = ?"
        sql = f"SELECT COALESCE(MAX(id), 0) + 1 FROM ({given}) AS given"
        return int(self._connection.exec_driver_sql(sql, (ERASED_IDS,)).scalar_one())


def due(connection: sa.Connection, now_us: int, limit: int) -> list[Alert]:
    """The firing alerts that time ends by now, the longest due first."""
    sql = (
        f"SELECT {mapping.columns(alerts)} FROM alerts WHERE {IS_FIRING} AND due_us IS NOT NULL AND due_us <= ?"
        " ORDER BY due_us, id LIMIT ?"
    )
    return [alert_of(row) for row in connection.exec_driver_sql(sql, (now_us, limit))]


def to_repeat(connection: sa.Connection, now_us: int, limit: int) -> list[Alert]:
    """The firing alerts whose notification is to be repeated by now, the longest due first."""
    sql = (
        f"SELECT {mapping.columns(alerts)} FROM alerts WHERE {IS_FIRING} AND repeat_us IS NOT NULL AND repeat_us <= ?"
        " ORDER BY repeat_us, id LIMIT ?"
    )
    return [alert_of(row) for row in connection.exec_driver_sql(sql, (now_us, limit))]


def firing_of_kinds(connection: sa.Connection, wanted: Sequence[str]) -> list[Alert]:
    """The firing alerts of these kinds that are about no user, oldest first. For kinds of which few fire at a time."""
    of_kinds = f"{IS_FIRING} AND kind IN ({{}}) AND user_id IS NULL"
    sql = f"SELECT {mapping.columns(alerts)} FROM alerts WHERE {of_kinds} ORDER BY +id"
    return [alert_of(row) for row in select_many(connection, sql, wanted)]


def apps_with(connection: sa.Connection, kind: str, other: str) -> list[int]:
    """The apps with a firing alert of this kind and ``other`` that is about no user."""
    sql = (
        f"SELECT app_id FROM alerts WHERE {IS_FIRING} AND kind = ? AND other = ?"
        " AND app_id IS NOT NULL AND user_id IS NULL"
    )
    return [row[0] for row in connection.exec_driver_sql(sql, (kind, other))]


def next_due_us(connection: sa.Connection) -> int | None:
    """When the next firing alert is ended by time, or repeated."""
    sql = (
        f"SELECT MIN(due_us) FROM alerts WHERE {IS_FIRING} AND due_us IS NOT NULL"
        f" UNION ALL SELECT MIN(repeat_us) FROM alerts WHERE {IS_FIRING} AND repeat_us IS NOT NULL"
    )
    return min((row[0] for row in connection.exec_driver_sql(sql) if row[0] is not None), default=None)


def by_ids(connection: sa.Connection, ids: Sequence[int]) -> list[Alert]:
    """The firing alerts with these ids, oldest first."""
    sql = f"SELECT {mapping.columns(alerts)} FROM alerts WHERE {IS_FIRING} AND id IN ({{}}) ORDER BY id"
    return [alert_of(row) for row in select_many(connection, sql, sorted(ids))]


def firing_suppressed(connection: sa.Connection, suppressed_by: str) -> list[int]:
    """The ids of the firing alerts that are suppressed for this reason, oldest first."""
    sql = f"SELECT id FROM alerts WHERE {IS_FIRING} AND suppressed_by = ? ORDER BY +id"
    return [row[0] for row in connection.exec_driver_sql(sql, (suppressed_by,))]


def page(connection: sa.Connection, wanted: AlertFilter) -> AlertPage:
    """A page of alerts, newest first.

    It may be short although more follow: of a filter that no index answers it looks at :data:`LOOKED_AT_MOST` alerts.
    """
    column = alerts.c
    found_by, others = _filters(wanted)
    if wanted.cursor is not None:
        found_by.append(column.id < wanted.cursor)
    last: int | None = None
    if others:
        ids = sa.select(column.id).where(*found_by).order_by(column.id.desc()).limit(1).offset(LOOKED_AT_MOST - 1)
        last = connection.execute(ids).scalar()
        others = [*others, column.id >= last] if last is not None else others
    query = sa.select(*alerts.columns).where(*found_by, *others).order_by(column.id.desc()).limit(wanted.limit + 1)
    found = [alert_of(row) for row in connection.execute(query)]
    shown = found[: wanted.limit]
    return AlertPage(shown, shown[-1].id if len(found) > wanted.limit else last)


def _filters(wanted: AlertFilter) -> tuple[list[Any], list[Any]]:
    """The conditions that an index answers in the order of ids, and the others."""
    column = alerts.c
    # As literals, because the indexes are partial.
    state: list[Any] = []
    if wanted.state in {FIRING, "acknowledged"}:
        state.append(sa.text(IS_FIRING))
    elif wanted.state is not None:
        state.append(column.state == wanted.state)
    if wanted.state == "acknowledged":
        state.append(sa.text("acknowledged_at_us IS NOT NULL"))
    names = ("user_id", "kind", "severity")
    equal = {name: column[name] == value for name in names if (value := getattr(wanted, name)) is not None}
    if wanted.apps is not None:
        equal["app_id"] = column.app_id.in_(wanted.apps)
    if "user_id" in equal:
        indexed, by_state = "user_id", False
    elif wanted.state == "acknowledged":
        indexed, by_state = "", True
    else:
        indexed, by_state = "kind", wanted.state == FIRING
    found_by: list[Any] = [equal.pop(indexed)] if indexed in equal else []
    others: list[Any] = list(equal.values())
    (found_by if by_state else others).extend(state)
    return found_by, others


def one(connection: sa.Connection, alert_id: int) -> Alert | None:
    """The alert with this id."""
    row = connection.execute(sa.select(*alerts.columns).where(alerts.c.id == alert_id)).first()
    return None if row is None else alert_of(row)


def several(connection: sa.Connection, ids: Iterable[int]) -> list[Alert]:
    """The alerts with these ids, oldest first."""
    every = f"SELECT {mapping.columns(alerts)} FROM alerts WHERE id IN ({{}}) ORDER BY id"
    return [alert_of(row) for row in select_many(connection, every, sorted(ids))]


def changed_after(connection: sa.Connection, position: int, limit: int) -> list[Alert]:
    """The newest alerts that changed since the event at ``position`` was received, oldest first."""
    received = "SELECT received_at_us FROM events WHERE position = ?"
    since_us = connection.exec_driver_sql(received, (position,)).scalar() or 0
    sql = (
        f"SELECT {mapping.columns(alerts)} FROM alerts WHERE id > (SELECT COALESCE(MAX(id), 0) FROM alerts) - ?"
        " AND changed_at_us >= ? ORDER BY id LIMIT ?"
    )
    return [alert_of(row) for row in connection.exec_driver_sql(sql, (_RECENT, since_us, limit))]


def counts(connection: sa.Connection, apps: AppIds = None) -> dict[str, int]:
    """The number of firing alerts by kind, of these apps."""
    own = in_apps(apps)
    sql = f"SELECT kind, SUM(firing) FROM alert_counts WHERE firing > 0 AND {own.sql} GROUP BY kind"
    return {row[0]: int(row[1]) for row in connection.exec_driver_sql(sql, own.values)}


def most_urgent(connection: sa.Connection, wanted: AlertFilter) -> list[Alert]:
    """The firing alerts of a filter in the order of :func:`urgency`, of the newest ``limit`` of each kind."""
    by_kind = wanted.kind is None and wanted.user_id is None
    kinds = counts(connection, wanted.apps) if by_kind else [wanted.kind]
    found = [
        alert
        for kind in kinds
        for alert in page(connection, msgspec.structs.replace(wanted, state=FIRING, kind=kind)).alerts
    ]
    return sorted(found, key=urgency)[: wanted.limit]


def urgency(alert: Alert) -> tuple[bool, bool, bool, int, int]:
    """What fires before what is resolved, then what nobody has acknowledged and no other alert says, by severity."""
    is_acknowledged = alert.acknowledged_at_us is not None
    is_covered = alert.suppressed_by in _COVERED
    return alert.state != FIRING, is_acknowledged, is_covered, -SEVERITIES.index(alert.severity), -alert.id


def lines(connection: sa.Connection, alert_id: int) -> list[Line]:
    """The history of an alert, oldest first."""
    column = alert_history.c
    query = sa.select(column.at_us, column.what, column.who, column.position, column.text)
    found = connection.execute(query.where(column.alert_id == alert_id).order_by(column.id))
    return [Line(at_us=row[0], what=row[1], who=row[2], position=row[3], text=texts.load(row[4])) for row in found]


def cursor(connection: sa.Connection, name: str) -> int | None:
    """The position of a cursor of the rules; None if it was never moved."""
    found: int | None = connection.exec_driver_sql("SELECT at_us FROM alert_cursors WHERE name = ?", (name,)).scalar()
    return found


def move_cursor(connection: sa.Connection, name: str, at_us: int) -> None:
    """Moves a cursor of the rules."""
    sql = (
        "INSERT INTO alert_cursors (name, at_us) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at_us = excluded.at_us"
    )
    connection.exec_driver_sql(sql, (name, at_us))


def clock_set(connection: sa.Connection, by_us: int) -> None:
    """Moves the deadlines of firing alerts with the machine's clock, which was set by ``by_us``."""
    sql = f"UPDATE alerts SET due_us = due_us + ?, repeat_us = repeat_us + ? WHERE {IS_FIRING}"
    connection.exec_driver_sql(sql, (by_us, by_us))


def select_many(connection: sa.Connection, sql: str, values: Sequence[Any], *, mark: str = "?") -> Iterator[Any]:
    """The rows of ``sql`` for chunks of ``values``, which its ``{}`` becomes placeholders for. Rows may come twice."""
    for some in mapping.chunks(values):
        # Padded to one of few lengths, so that SQLite compiles few statements.
        length = next(size for size in _LENGTHS if size >= len(some))
        padded = (*some, *[some[-1]] * (length - len(some)))
        flat = tuple(part for value in padded for part in value) if isinstance(some[0], tuple) else padded
        yield from connection.exec_driver_sql(sql.format(", ".join([mark] * length)), flat).all()
