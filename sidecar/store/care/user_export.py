"""Everything that is held of a user, as one JSON document in parts: the holdings, read page by page.

Each page is a snapshot of its own, so that a long export delays nothing; events that arrive meanwhile are not in it.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from sidecar.store.care.user_data import NOT_EXPORTED, Holding, Page, Whom
from sidecar.store.log_positions import newest_position

T = TypeVar("T")
VERSION: Final = 1
_ROWS: Final = 200
_UUID_BYTES: Final = 16


class Store(Protocol):
    """What is needed of a store."""

    @property
    def holdings(self) -> Sequence[Holding]:
        """See :class:`Holding`."""

    async def read(self, query: Callable[..., T], /, *args: Any) -> T:  # noqa: ANN401 - those of the query
        """Runs it on a snapshot."""


def whom(connection: sa.Connection, app_id: int, user_id: str) -> Whom:
    """The user as it is now."""
    sql = "SELECT user_key FROM user_status WHERE app_id = ? AND user_id = ?"
    user_key = connection.exec_driver_sql(sql, (app_id, user_id)).scalar()
    return Whom(app_id, user_id, user_key, newest_position(connection), is_exported=True)


async def parts(store: Store, app_id: int, user_id: str, exported_at: str) -> AsyncIterator[bytes]:
    """The document: what it is about, then the rows of each table that has any (``schemas/user_export.v1.json``)."""
    about = await store.read(whom, app_id, user_id)
    head = {"version": VERSION, "app_id": app_id, "user_id": user_id, "exported_at": exported_at}
    yield msgspec.json.encode(head)[:-1] + b',"data":{'
    tables = sorted({str(table) for holding in store.holdings for table in holding.tables} - set(NOT_EXPORTED))
    is_first_table = True
    for table in tables:
        opened = False
        async for rows in _rows(store, about, table):
            begin = b"," if opened else (b"" if is_first_table else b",") + msgspec.json.encode(table) + b":["
            opened, is_first_table = True, False
            yield begin + b",".join(msgspec.json.encode(_readable(row)) for row in rows)
        if opened:
            yield b"]"
    yield b"}}\n"


async def _rows(store: Store, about: Whom, table: str) -> AsyncIterator[list[dict[str, Any]]]:
    for holding in store.holdings:
        cursor: int | None = 0 if table in holding.tables else None
        while cursor is not None:
            page = await store.read(_page, holding, about, table, cursor)
            if page.rows:
                yield page.rows
            cursor = page.cursor


def _page(connection: sa.Connection, holding: Holding, about: Whom, table: str, cursor: int) -> Page:
    return holding.export(connection, about, table, cursor, _ROWS)


def _readable(value: Any) -> Any:  # noqa: ANN401 - of any column
    """Ids as UUIDs, other bytes in base64."""
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == _UUID_BYTES else base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _readable(one) for name, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, list) else value
