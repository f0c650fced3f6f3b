"""The table of erasures: what was asked for, how far it is, and what was removed."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.errors import ZimwatchError
from sidecar.store import mapping
from sidecar.store.access.pseudonyms import pseudonym
from sidecar.store.care.erasure_schema import erasures
from sidecar.store.care.user_data import Whom

PENDING_MOST: Final = 1_000
_COLUMNS: Final = mapping.columns(erasures)


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure. ``user_id`` is None once all data is gone; ``removed`` counts rows by table."""

    id: int
    app_id: int
    user_id: str | None
    pseudonym: str
    asked_at_us: int
    began_at_us: int | None
    finished_at_us: int | None
    user_key: int | None
    through: int | None
    holding: str | None
    cursor: int
    removed: dict[str, int]

    @property
    def whom(self) -> Whom:
        """Whose data it is, once it has begun."""
        return Whom(self.app_id, self.user_id or "", self.user_key, self.through or 0)


class TooManyErasuresError(ZimwatchError):
    """As many are pending as may be."""


def ask(connection: sa.Connection, app_id: int, user_id: str, now_us: int) -> int:
    """Records that a user is to be erased; the id of the erasure, the same while one of the user has not begun."""
    same = "SELECT id FROM erasures WHERE finished_at_us IS NULL AND began_at_us IS NULL AND app_id = ? AND user_id = ?"
    known: int | None = connection.exec_driver_sql(same, (app_id, user_id)).scalar()
    if known is not None:
        return known
    waiting = "SELECT COUNT(*) FROM erasures WHERE finished_at_us IS NULL"
    if connection.exec_driver_sql(waiting).scalar_one() >= PENDING_MOST:
        raise TooManyErasuresError(f"{PENDING_MOST:,} erasures are pending, which is the most; wait for some of them")
    insert = (
        "INSERT INTO erasures (app_id, user_id, pseudonym, asked_at_us, cursor, removed) VALUES (?, ?, ?, ?, 0, '{}')"
        " RETURNING id"
    )
    values = (app_id, user_id, pseudonym(connection, app_id, user_id), now_us)
    return int(connection.exec_driver_sql(insert, values).scalar_one())


def one(connection: sa.Connection, erasure_id: int, app_id: int | None = None) -> Erasure | None:
    """The erasure with this id, of this app; None where there is none."""
    row = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM erasures WHERE id = ?", (erasure_id,)).first()
    return None if row is None or app_id not in {None, row.app_id} else _erasure(row)


def next_pending(connection: sa.Connection) -> Erasure | None:
    """The oldest that has data to remove."""
    sql = f"SELECT {_COLUMNS} FROM erasures WHERE finished_at_us IS NULL AND user_id IS NOT NULL ORDER BY id LIMIT 1"
    row = connection.exec_driver_sql(sql).first()
    return None if row is None else _erasure(row)


def any_pending(connection: sa.Connection) -> bool:
    """Whether an erasure is not finished."""
    sql = "SELECT 1 FROM erasures WHERE finished_at_us IS NULL LIMIT 1"
    return connection.exec_driver_sql(sql).first() is not None


def write(connection: sa.Connection, changed: Erasure) -> None:
    """Stores how far an erasure is."""
    values = {
        "user_id": changed.user_id,
        "began_at_us": changed.began_at_us,
        "user_key": changed.user_key,
        "through_position": changed.through,
        "holding": changed.holding,
        "cursor": changed.cursor,
        "removed": msgspec.json.encode(changed.removed).decode(),
    }
    connection.execute(sa.update(erasures).where(erasures.c.id == changed.id).values(values))


def finish(connection: sa.Connection, now_us: int) -> None:
    """Those without data left are finished: nothing of it is in the file any more."""
    sql = "UPDATE erasures SET finished_at_us = ? WHERE finished_at_us IS NULL AND user_id IS NULL"
    connection.exec_driver_sql(sql, (now_us,))


def _erasure(row: Any) -> Erasure:  # noqa: ANN401 - a row
    values = mapping.named(erasures, row)
    values["through"] = values.pop("through_position")
    values["removed"] = msgspec.json.decode(values["removed"])
    return Erasure(**values)
