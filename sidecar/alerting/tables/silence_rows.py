"""The table of silences, and the firing alerts that a silence hides. Functions of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables.alert_log import IS_FIRING, alert_of, by_ids
from sidecar.alerting.tables.alert_schema import alert_silences, alerts
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.routing import Silence, Silences
from sidecar.domain.app_ids import AppIds

# Each silence that has not ended is compared with each alert that opens.
SILENCES_MOST: Final = 500
ENDED_LISTED: Final = 200
ENDED_LOOKED_AT: Final = 2_000
_ROWS: Final = sa.select(*(column for column in alert_silences.columns if column.name != "is_over")).order_by(
    alert_silences.c.id.desc()
)
# Built once: each plan of messages reads them.
_NOT_ENDED: Final = _ROWS.where(sa.text("NOT is_over"), alert_silences.c.ends_at_us > sa.bindparam("now_us"))


def listed(connection: sa.Connection, apps: AppIds = None) -> list[Silence]:
    """The silences that have not ended, and the newest :data:`ENDED_LISTED` of the others; each newest first.

    Those that hide alerts of these apps alone; of ended ones, among the newest :data:`ENDED_LOOKED_AT`.
    """
    running = connection.execute(_ROWS.where(sa.text("NOT is_over"))).all()
    over = connection.execute(_ROWS.where(sa.text("is_over")).limit(ENDED_LISTED if apps is None else ENDED_LOOKED_AT))
    own = [[one for one in map(_silence_of, rows) if one.is_within(apps)] for rows in (running, over)]
    return sorted((*own[0], *own[1][:ENDED_LISTED]), key=attrgetter("id"), reverse=True)


def one(connection: sa.Connection, silence_id: int, apps: AppIds = None) -> Silence | None:
    """The silence with this id, if it hides alerts of these apps alone."""
    row = connection.execute(_ROWS.where(alert_silences.c.id == silence_id)).first()
    found = None if row is None else _silence_of(row)
    return found if found is not None and found.is_within(apps) else None


def has_room(connection: sa.Connection) -> bool:
    """Whether fewer than :data:`SILENCES_MOST` have not ended."""
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM alert_silences WHERE NOT is_over LIMIT {SILENCES_MOST}) AS counted"
    return int(connection.exec_driver_sql(sql).scalar_one()) < SILENCES_MOST


def not_ended(connection: sa.Connection, now_us: int) -> list[Silence]:
    """Those that have not ended, newest first. Some may not have started."""
    return [_silence_of(row) for row in connection.execute(_NOT_ENDED, {"now_us": now_us})]


def record_ends(connection: sa.Connection, now_us: int) -> bool:
    """Records which silences have ended; returns whether there was a new one."""
    sql = "UPDATE alert_silences SET is_over = TRUE WHERE NOT is_over AND ends_at_us <= ?"
    return connection.exec_driver_sql(sql, (now_us,)).rowcount > 0


def next_end_us(connection: sa.Connection) -> int | None:
    """When the next silence ends."""
    sql = "SELECT MIN(ends_at_us) FROM alert_silences WHERE NOT is_over"
    found: int | None = connection.exec_driver_sql(sql).scalar()
    return found


def add(connection: sa.Connection, wanted: Silence) -> Silence:
    """Inserts a silence; returns it with its id."""
    values = msgspec.structs.asdict(wanted)
    del values["id"]
    values["is_over"] = False
    values["matchers"] = msgspec.json.encode(wanted.matchers).decode()
    added = connection.execute(sa.insert(alert_silences).values(values).returning(alert_silences.c.id)).scalar_one()
    return msgspec.structs.replace(wanted, id=added)


def end(connection: sa.Connection, silence_id: int, now_us: int) -> bool:
    """Ends a silence now; returns whether there was one that had not ended."""
    change = sa.update(alert_silences).where(alert_silences.c.id == silence_id, alert_silences.c.ends_at_us > now_us)
    return connection.execute(change.values(ends_at_us=now_us)).rowcount == 1


def alerts_hidden_by(connection: sa.Connection, silence: Silence) -> list[Alert]:
    """The firing alerts that the silence hides while it is active, oldest first."""
    column = alerts.c
    query = sa.select(*alerts.columns).where(sa.text(IS_FIRING)).order_by(sa.text("+id"))
    # Exact values are compared in SQL, so that the silence of one user does not read every firing alert.
    for name in ("kind", "severity", "app_id", "user_id"):
        values = silence.matchers.get(name, ("*",))
        if not any("*" in value for value in values):
            query = query.where((sa.cast(column[name], sa.Text) if name == "app_id" else column[name]).in_(values))
    found = (alert_of(row) for row in connection.execute(query))
    return [alert for alert in found if silence.fits(alert)]


def silenced(connection: sa.Connection, ids: Sequence[int], now_us: int) -> dict[int, Alert]:
    """The firing alerts with these ids that an active silence hides, by id."""
    silences = Silences(not_ended(connection, now_us) if ids else ())
    if not silences:
        return {}
    return {alert.id: alert for alert in by_ids(connection, ids) if silences.hide(alert, now_us)}


def clock_set(connection: sa.Connection, by_us: int) -> None:
    """Moves the silences that have not ended with the machine's clock, which was set by ``by_us``."""
    sql = "UPDATE alert_silences SET starts_at_us = starts_at_us + ?, ends_at_us = ends_at_us + ? WHERE NOT is_over"
    connection.exec_driver_sql(sql, (by_us, by_us))


def _silence_of(row: Any) -> Silence:  # noqa: ANN401 - a row with every column
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["matchers"] = {k: tuple(v) for k, v in msgspec.json.decode(values["matchers"]).items()}
    return Silence(**values)
