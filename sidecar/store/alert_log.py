"""The ledger of alerts: every one that ever fired, its story, and the silences. Functions of a connection.

Those that write are called in the writer's thread, inside the transaction of what caused them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.domain.alerting.alert import FIRING, RESOLVED, Alert, Subject
from sidecar.domain.alerting.book import Book, Entry, UserId
from sidecar.domain.alerting.kinds import OFFLINE_TOO_LONG
from sidecar.domain.alerting.matching import Silence
from sidecar.domain.alerting.storm_rules import Crowd
from sidecar.domain.alerting.words import Device
from sidecar.domain.events import LOGIN, TOKEN_RENEWED
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import rows
from sidecar.store.alert_records import AlertFilter, AlertPage, Line
from sidecar.store.alert_tables import alert_history, alert_silences, alerts
from sidecar.store.event_log import next_position
from sidecar.store.past import position_at
from sidecar.store.rows import Client

_CHUNK = 400
_COLUMNS = tuple(column.name for column in alerts.columns)
_FLAGS = ("owed", "told")
_SUBJECT = ("app_id", "user_id", "other")
_JSON = ("labels", "facts")
# With ORDER BY +id the index of what fires is read: in the order of the key all that ever fired would be.
_FIRING = f"state = '{FIRING}'"
# What a stream that was away looks back through: the newest alerts, however many there ever were.
_RECENT = 5_000

_UPSERT = (
    rows.insert(alerts)
    + " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")
)


_values_of = attrgetter(*(f"subject.{name}" if name in _SUBJECT else name for name in _COLUMNS))
_JSON_PLACES = tuple(_COLUMNS.index(name) for name in _JSON)


def _row_of(alert: Alert) -> tuple[Any, ...]:
    # A storm writes tens of thousands of these.
    values = list(_values_of(alert))
    for place in _JSON_PLACES:
        values[place] = msgspec.json.encode(values[place]).decode()
    return tuple(values)


def alert_of(row: Sequence[Any]) -> Alert:
    """An alert from a row with all columns of ``alerts``."""
    values = dict(zip(_COLUMNS, row, strict=True))
    subject = Subject(*(values.pop(name) for name in _SUBJECT))
    values |= {name: bool(values[name]) for name in _FLAGS}
    values |= {name: msgspec.json.decode(values[name]) for name in _JSON}
    return Alert(subject=subject, **values)


def write(connection: sa.Connection, changed: Sequence[Alert], entries: Sequence[Entry]) -> None:
    """The rows of alerts that changed, and the new lines of their stories."""
    if changed:
        connection.exec_driver_sql(_UPSERT, [_row_of(alert) for alert in changed])
    # That an alert opened stands in its own row; a line for each would double the work of a storm.
    lines = [(e.alert.id, e.at_us, e.what, e.who, e.position, e.text) for e in entries if e.what != "opened"]
    if lines:
        sql = "INSERT INTO alert_history (alert_id, at_us, what, who, position, text) VALUES (?, ?, ?, ?, ?, ?)"
        connection.exec_driver_sql(sql, lines)


class Ledger:
    """What a :class:`sidecar.domain.alerting.book.Book` reads in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def by_fingerprints(self, fingerprints: Sequence[str], /) -> Iterable[Alert]:
        """Those with these fingerprints that fire."""
        sql = f"SELECT {rows.columns(alerts)} FROM alerts WHERE {_FIRING} AND fingerprint IN ({{}})"
        return (alert_of(row) for row in _select(self._connection, sql, fingerprints))

    def by_ids(self, ids: Sequence[int], /) -> Iterable[Alert]:
        """Those of these that fire, oldest first."""
        sql = f"SELECT {rows.columns(alerts)} FROM alerts WHERE {_FIRING} AND id IN ({{}}) ORDER BY id"
        return (alert_of(row) for row in _select(self._connection, sql, sorted(ids)))


def load(connection: sa.Connection, opened_since_us: int, times_counted: int) -> Book:
    """What fires, and what fired since then and is over, as the tables have it; the book counts so many times."""
    next_id = connection.exec_driver_sql("SELECT COALESCE(MAX(id), 0) + 1 FROM alerts").scalar_one()
    book = Book(Ledger(connection), int(next_id), times_counted)
    sql = f"SELECT id, kind, app_id, user_id, other, due_us, repeat_us FROM alerts WHERE {_FIRING}"
    for alert_id, kind, app_id, user_id, other, due_us, repeat_us in connection.exec_driver_sql(sql):
        book.remember(alert_id, kind, Subject(app_id, user_id, other), due_us, repeat_us)
    sql = f"SELECT fingerprint, opened_at_us FROM alerts WHERE id >= ? AND state = '{RESOLVED}' ORDER BY id"
    for row in connection.exec_driver_sql(sql, (_first_since(connection, opened_since_us),)):
        book.remember_over(row[0], row[1])
    return book


def opened_since(connection: sa.Connection, since_us: int, kind: str) -> Iterator[Alert]:
    """Of one kind, oldest first."""
    sql = f"SELECT {rows.columns(alerts)} FROM alerts WHERE id >= ? AND kind = ? ORDER BY id"
    return (alert_of(row) for row in connection.exec_driver_sql(sql, (_first_since(connection, since_us), kind)))


def _first_since(connection: sa.Connection, since_us: int) -> int:
    """The least id that an alert opened since then has.

    Ids and times of opening grow together, so that a binary search over the key will do.
    """
    low, high = 1, int(connection.exec_driver_sql("SELECT COALESCE(MAX(id), 0) + 1 FROM alerts").scalar_one())
    opened = "SELECT id, opened_at_us FROM alerts WHERE id >= ? ORDER BY id LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        found = connection.exec_driver_sql(opened, (middle,)).first()
        if found is None or found[1] >= since_us:
            high = middle
        else:
            low = found[0] + 1
    return low


def hidden_by(connection: sa.Connection, silence: Silence, ids: Iterable[int] | None = None) -> list[Alert]:
    """What fires now and the silence would hide if it were in force, oldest first; with ``ids``, of those alone."""
    column = alerts.c
    query = sa.select(*alerts.columns).where(sa.text(_FIRING)).order_by(sa.text("+id"))
    if ids is not None:
        among = sa.text("id IN (SELECT value FROM json_each(:ids))")
        query = query.where(among.bindparams(ids=msgspec.json.encode(sorted(ids)).decode()))
    # What a column can tell is asked of the table, so that the silence of one user does not read all.
    for name in ("kind", "severity", "app_id", "user_id"):
        values = silence.matchers.get(name, ("*",))
        if not any("*" in value for value in values):
            query = query.where((sa.cast(column[name], sa.Text) if name == "app_id" else column[name]).in_(values))
    found = (alert_of(row) for row in connection.execute(query))
    return [alert for alert in found if silence.fits(alert)]


def firing_held(connection: sa.Connection, held: str) -> list[int]:
    """The ids of what fires and is held for this reason, oldest first."""
    sql = f"SELECT id FROM alerts WHERE {_FIRING} AND held = ? ORDER BY +id"
    return [row[0] for row in connection.exec_driver_sql(sql, (held,))]


def page(connection: sa.Connection, wanted: AlertFilter) -> AlertPage:
    """Newest first."""
    column = alerts.c
    query = sa.select(*alerts.columns).order_by(column.id.desc()).limit(wanted.limit + 1)
    if wanted.state == "acknowledged":
        query = query.where(column.state == FIRING, column.acknowledged_at_us.is_not(None))
    elif wanted.state is not None:
        query = query.where(column.state == wanted.state)
    for name in ("kind", "severity", "app_id", "user_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(column[name] == value)
    if wanted.cursor is not None:
        query = query.where(column.id < wanted.cursor)
    found = [alert_of(row) for row in connection.execute(query)]
    shown = found[: wanted.limit]
    return AlertPage(shown, shown[-1].id if len(found) > wanted.limit else None)


def one(connection: sa.Connection, alert_id: int) -> Alert | None:
    """The alert with this id."""
    row = connection.execute(sa.select(*alerts.columns).where(alerts.c.id == alert_id)).first()
    return None if row is None else alert_of(row)


def several(connection: sa.Connection, ids: Iterable[int]) -> list[Alert]:
    """The alerts with these ids, oldest first."""
    every = f"SELECT {rows.columns(alerts)} FROM alerts WHERE id IN ({{}}) ORDER BY id"
    return [alert_of(row) for row in _select(connection, every, sorted(ids))]


def changed_after(connection: sa.Connection, position: int, limit: int) -> list[Alert]:
    """Those of the newest alerts that changed since the event at ``position`` was received, oldest first."""
    received = "SELECT received_at_us FROM events WHERE position = ?"
    since_us = connection.exec_driver_sql(received, (position,)).scalar() or 0
    sql = (
        f"SELECT {rows.columns(alerts)} FROM alerts WHERE id > (SELECT COALESCE(MAX(id), 0) FROM alerts) - ?"
        " AND changed_at_us >= ? ORDER BY id LIMIT ?"
    )
    return [alert_of(row) for row in connection.exec_driver_sql(sql, (_RECENT, since_us, limit))]


def counts(connection: sa.Connection, app_id: int | None = None) -> dict[str, int]:
    """How many fire, by kind, of one app or of all."""
    query = sa.select(alerts.c.kind, sa.func.count()).where(alerts.c.state == sa.literal_column(f"'{FIRING}'"))
    if app_id is not None:
        query = query.where(alerts.c.app_id == app_id)
    return {row[0]: row[1] for row in connection.execute(query.group_by(alerts.c.kind))}


def lines(connection: sa.Connection, alert_id: int) -> list[Line]:
    """An alert's story, oldest first."""
    column = alert_history.c
    query = sa.select(column.at_us, column.what, column.who, column.position, column.text)
    found = connection.execute(query.where(column.alert_id == alert_id).order_by(column.id))
    return [Line(**row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's public name for it


def most_often(
    connection: sa.Connection, kind: str, since_us: int, limit: int, app_id: int | None
) -> list[tuple[str, int]]:
    """The users that alerts of a kind were about since then, and how often: the most often first."""
    sql = (
        "SELECT user_id, SUM(count) AS times FROM alerts WHERE kind = ? AND opened_at_us >= ? AND user_id IS NOT NULL"
        " AND (? IS NULL OR app_id = ?) GROUP BY app_id, user_id ORDER BY times DESC, user_id LIMIT ?"
    )
    return [(row[0], row[1]) for row in connection.exec_driver_sql(sql, (kind, since_us, app_id, app_id, limit))]


# What the rules ask of the projections.


def newest_start_us(connection: sa.Connection, kind: str, since_us: int) -> int:
    """When the newest alert of a kind began, of those opened since a moment; the moment where there is none later."""
    sql = "SELECT COALESCE(MAX(started_at_us), 0) FROM alerts WHERE id >= ? AND kind = ?"
    found = connection.exec_driver_sql(sql, (_first_since(connection, since_us), kind)).scalar_one()
    return max(since_us, int(found))


def crowd(connection: sa.Connection, app_id: int) -> Crowd:
    """How many users of an app are online and offline."""
    sql = (
        "SELECT status, SUM(users) FROM user_groups WHERE app_id = ?"
        f" AND (status = '{ONLINE}' OR status = '{OFFLINE}' AND NOT unconfirmed) GROUP BY status"
    )
    return Crowd(**dict(map(tuple, connection.exec_driver_sql(sql, (app_id,)))))


def offline_users(connection: sa.Connection) -> Iterator[tuple[UserId, int]]:
    """Who is offline, and since when."""
    sql = (
        "SELECT user_status.app_id, user_id, since_us FROM user_groups CROSS JOIN user_status USING (group_key)"
        f" WHERE user_groups.status = '{OFFLINE}' AND since_us IS NOT NULL"
    )
    return (((row[0], row[1]), row[2]) for row in connection.exec_driver_sql(sql))


def over_since(connection: sa.Connection, kind: str, since_us: int) -> Iterator[tuple[UserId, int]]:
    """About whom an alert of a kind opened since a moment and is over, and when it ended: oldest first."""
    sql = (
        "SELECT app_id, user_id, ended_at_us FROM alerts"
        f" WHERE id >= ? AND kind = ? AND state = '{RESOLVED}' ORDER BY id"
    )
    first = _first_since(connection, since_us)
    return (((row[0], row[1]), row[2]) for row in connection.exec_driver_sql(sql, (first, kind)))


def offline_since(connection: sa.Connection, since_us: int, wanted: AlertFilter) -> list[tuple[int, UserId, int]]:
    """The key of each user that went offline after a moment, who it is and since when: the last first.

    Without those for whom that fires already: another device can make the moment a later one.

    ``wanted`` may name an app and a user; its cursor is the key of the user to go on from. One more than its limit.
    """
    sql = (
        "SELECT user_key, user_status.app_id, user_id, since_us"
        " FROM user_groups CROSS JOIN user_status USING (group_key)"
        f" WHERE user_groups.status = '{OFFLINE}' AND since_us > :since_us AND NOT EXISTS (SELECT 1 FROM alerts"
        f" WHERE alerts.user_id = user_status.user_id AND alerts.app_id = user_status.app_id"
        f" AND kind = '{OFFLINE_TOO_LONG}' AND state = '{FIRING}')"
    )
    if wanted.app_id is not None:
        sql += " AND user_groups.app_id = :app_id"
    if wanted.user_id is not None:
        sql += " AND user_id = :user_id"
    if wanted.cursor is not None:
        sql += " AND (since_us, user_key) < ((SELECT since_us FROM user_status WHERE user_key = :cursor), :cursor)"
    sql += " ORDER BY since_us DESC, user_key DESC LIMIT :limit + 1"
    values = msgspec.structs.asdict(wanted) | {"since_us": since_us}
    return [(row[0], (row[1], row[2]), row[3]) for row in connection.execute(sa.text(sql), values)]


def newest_lapse_us(connection: sa.Connection, until_us: int) -> int:
    """The lease time at which the last lease ran out that did so by ``until_us`` of the machine's clock; 0 for none."""
    sql = (
        "SELECT -lease_check_us FROM user_status WHERE lease_check_us < 0 AND lease_until_us <= ?"
        " ORDER BY lease_check_us LIMIT 1"
    )
    return int(connection.exec_driver_sql(sql, (until_us,)).scalar() or 0)


def lost_users(connection: sa.Connection, after_us: int, limit: int) -> list[tuple[UserId, int, int]]:
    """Whose lease ran out after a moment in lease time: when by the machine's clock, and when in lease time.

    The first ``limit`` of them, and all whose leases ran out in the same moment as the last of these.
    """
    sql = (
        "SELECT app_id, user_id, lease_until_us, -lease_check_us FROM user_status WHERE lease_check_us < :after"
        " AND lease_check_us >= (SELECT MIN(lease_check_us) FROM (SELECT lease_check_us FROM user_status"
        " WHERE lease_check_us < :after ORDER BY lease_check_us DESC LIMIT :limit)) ORDER BY lease_check_us"
    )
    values = {"after": -max(after_us, 0), "limit": limit}
    return [((row[0], row[1]), row[2], row[3]) for row in connection.execute(sa.text(sql), values)]


def heard_of(connection: sa.Connection, kind: str, limit: int) -> list[UserId]:
    """About whom an alert of a kind fires, who have a lease again, or no live client that could have one."""
    sql = (
        "SELECT alerts.app_id, alerts.user_id FROM alerts CROSS JOIN user_status USING (app_id, user_id)"
        f" WHERE alerts.state = '{FIRING}' AND alerts.kind = ? AND (lease_check_us IS NULL OR lease_check_us >= 0)"
        " ORDER BY alerts.id LIMIT ?"
    )
    return [(row[0], row[1]) for row in connection.exec_driver_sql(sql, (kind, limit))]


def tokens_ending(connection: sa.Connection, after_us: int, until_us: int) -> list[tuple[int, str, int]]:
    """Users that are logged in with a token that ends between the two moments: app, user, and when it ends."""
    sql = (
        "SELECT app_id, user_id, token_expires_at_us FROM user_status WHERE token_expires_at_us > ?"
        f" AND token_expires_at_us <= ? AND status <> '{NOT_LOGGED_IN}'"
    )
    return [(row[0], row[1], row[2]) for row in connection.exec_driver_sql(sql, (after_us, until_us))]


def tokens_beyond(connection: sa.Connection, until_us: int) -> dict[int, int]:
    """How many users that are logged in have a token that ends after the moment, by app."""
    # With the +, rows are read as they lie: in the order of the index on app_id it takes three times as long.
    sql = (
        "SELECT app_id, COUNT(*) FROM user_status WHERE token_expires_at_us > ?"
        f" AND status <> '{NOT_LOGGED_IN}' GROUP BY +app_id"
    )
    return {row[0]: row[1] for row in connection.exec_driver_sql(sql, (until_us,))}


def tokens_told(connection: sa.Connection, after: int, since_us: int) -> tuple[int, list[tuple[int, str, int, int]]]:
    """The tokens that events behind the position ``after`` told of, of those received since a moment.

    The position up to which was read, and of each token app, user, when it ends and when it was told.
    """
    last = next_position(connection) - 1
    sql = (
        "SELECT app_id, user_id, json_extract(details, '$.token_expires_at_us') AS expires_us,"
        " MIN(occurred_at_us, received_at_us) FROM events WHERE position > ? AND position <= ?"
        f" AND type IN ('{LOGIN}', '{TOKEN_RENEWED}') AND user_id IS NOT NULL AND expires_us IS NOT NULL"
    )
    first = max(after, position_at(connection, since_us))
    return last, [(row[0], row[1], row[2], row[3]) for row in connection.exec_driver_sql(sql, (first, last))]


def other_devices(
    connection: sa.Connection, kicked: Sequence[tuple[int, str, bytes]]
) -> dict[tuple[int, str, bytes], Device]:
    """For each client of a user that was kicked out: the device of another client, the one that logged in last."""
    sql = (
        "WITH wanted (app_id, user_id) AS (VALUES {}) SELECT user_key, app_id, user_id, clients FROM wanted"
        " CROSS JOIN user_status USING (app_id, user_id)"
    )
    users = sorted({(app_id, user_id) for app_id, user_id, _ in kicked})
    clients = {
        (row[1], row[2]): rows.clients_of(connection, row[0], row[3])
        for row in _select(connection, sql, users, mark="(?, ?)")
    }
    found: dict[tuple[int, str, bytes], Device] = {}
    for app_id, user_id, client_id in kicked:
        others = [one for one in clients.get((app_id, user_id), ()) if one.client_id != client_id]
        newest = max(others, key=_began_us, default=None)
        if newest is not None and _began_us(newest):
            found[app_id, user_id, client_id] = Device(newest.platform, newest.device_id, newest.app_version)
    return found


def _began_us(client: Client) -> int:
    return client.state.login_at_us or client.state.since_us or 0


# Silences.


def silences(connection: sa.Connection) -> list[Silence]:
    """Every silence ever made, newest first."""
    found = connection.execute(sa.select(*alert_silences.columns).order_by(alert_silences.c.id.desc()))
    return [_silence_of(row) for row in found]


def add_silence(connection: sa.Connection, wanted: Silence) -> Silence:
    """Keeps it, under an id of its own."""
    values = msgspec.structs.asdict(wanted)
    del values["id"]
    values["matchers"] = msgspec.json.encode(wanted.matchers).decode()
    made = connection.execute(sa.insert(alert_silences).values(values).returning(alert_silences.c.id)).scalar_one()
    return msgspec.structs.replace(wanted, id=made)


def end_silence(connection: sa.Connection, silence_id: int, now_us: int) -> bool:
    """Ends it now; whether there was one that had not ended."""
    change = sa.update(alert_silences).where(alert_silences.c.id == silence_id, alert_silences.c.ends_at_us > now_us)
    return connection.execute(change.values(ends_at_us=now_us)).rowcount == 1


def _silence_of(row: Any) -> Silence:  # noqa: ANN401 - a row with every column
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["matchers"] = {k: tuple(v) for k, v in msgspec.json.decode(values["matchers"]).items()}
    return Silence(**values)


def _select(connection: sa.Connection, sql: str, values: Sequence[Any], *, mark: str = "?") -> Iterator[Any]:
    """Rows of ``sql`` with its {} filled by a mark a value, in runs that fit one statement."""
    for start in range(0, len(values), _CHUNK):
        some = values[start : start + _CHUNK]
        flat = tuple(part for value in some for part in (value if isinstance(value, tuple) else (value,)))
        yield from connection.exec_driver_sql(sql.format(", ".join([mark] * len(some))), flat).all()
