"""Where data of a user is: the holdings that erasing empties and exporting reads, one for each table or group of them.

A test holds the list to the schema: each table is in a holding, or in :data:`WITHOUT_USERS` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa

from sidecar.store import mapping

WITHOUT_USERS: Final[Mapping[str, str]] = {
    "user_groups": "counts of users by app, status, platform of a list, and reason",
    "rollups": "counts per minute",
    "app_hours": "minutes in which an app sent something",
    "old_reporters": "counts of devices by version",
    "followers": "positions",
    "lease_stretches": "when Zimwatch ran",
    "pruning_hold": "why deletion is on hold",
    "pruned_apps": "positions, by app",
    "forwarding": "a position, and a count",
    "edges": "servers",
    "signed_requests": "digests of requests",
    "keys": "keys",
    "api_tokens": "tokens of programs and people who use Zimwatch",
    "browser_sessions": "people who use Zimwatch",
    "alert_counts": "counts of firing alerts",
    "alert_cursors": "how far the rules are",
    "storm_windows": "counts of users",
    "accounts": "people who use Zimwatch",
    "account_links": "people who use Zimwatch",
    "recovery_codes": "people who use Zimwatch",
    "audit_marks": "the ends of the audit log",
    "erasures": "while one is under way, whom it is about; then a keyed pseudonym",
}

NOT_EXPORTED: Final[Mapping[str, str]] = {
    "client_blocks": "the order of events, which are exported",
    "traces": "the first event of each trace",
    "span_outbox": "which events are pending as spans",
    "audit_subjects": "the user's id",
}
"""Tables of holdings that follow from others."""


class Whom(msgspec.Struct, frozen=True):
    """The user whose data it is. ``user_key``: of its row, None without one; ``through``: the last position of it.

    ``is_exported``: it is only read, and its row is still there.
    """

    app_id: int
    user_id: str
    user_key: int | None
    through: int
    is_exported: bool = False


class Part(msgspec.Struct, frozen=True):
    """What one slice of erasing did: rows by table, and where the next one begins; None: nothing is left."""

    removed: Mapping[str, int] = {}
    cursor: int | None = None


class Page(msgspec.Struct, frozen=True):
    """Some rows of one table for an export, and where the next page begins; None: there are no more."""

    rows: list[dict[str, Any]]
    cursor: int | None = None


class Holding(Protocol):
    """Data of users in some tables. All of it works in transactions of the caller's."""

    name: str
    tables: frozenset[str]

    def detach(self, connection: sa.Connection, whom: Whom, /) -> Mapping[str, int]:
        """In the transaction with which an erasure begins: whatever arrives later finds nothing of the user.

        A few rows at most; how many by table. The user's row in ``user_status`` is removed last.
        """

    def erase(self, connection: sa.Connection, whom: Whom, cursor: int, limit: int, /) -> Part:
        """Removes about ``limit`` rows of the user, from ``cursor`` on, which is 0 first. It may run again."""

    def export(self, connection: sa.Connection, whom: Whom, table: str, cursor: int, limit: int, /) -> Page:
        """Some rows of the user in one of the tables, from ``cursor`` on, which is 0 first."""


class Rows:
    """A holding: the rows of one table that a condition finds by an index.

    ``condition`` has the placeholders ``:app_id``, ``:user_id`` and ``:user_key``. With ``at_once`` they are few, and
    new ones would be mistaken for old ones, so that all are removed when the erasure begins.
    """

    def __init__(self, table: sa.Table, condition: str, *, at_once: bool = False) -> None:
        self.name = table.name
        self.tables = frozenset({table.name})
        self._table = table
        self._condition = condition
        self._at_once = at_once
        keys = ", ".join(column.name for column in table.primary_key)
        self._delete = f"DELETE FROM {table.name} WHERE {condition}"
        some = f"SELECT {keys} FROM {table.name} WHERE {condition} LIMIT :limit"
        self._delete_some = f"DELETE FROM {table.name} WHERE ({keys}) IN ({some})"
        self._select = (
            f"SELECT {mapping.columns(table)} FROM {table.name} WHERE {condition}"
            f" ORDER BY {keys} LIMIT :limit OFFSET :cursor"
        )

    def detach(self, connection: sa.Connection, whom: Whom) -> Mapping[str, int]:
        """See :class:`Holding`."""
        if not self._at_once:
            return {}
        return {self.name: connection.execute(sa.text(self._delete), self._values(whom, self._delete)).rowcount}

    def erase(self, connection: sa.Connection, whom: Whom, _cursor: int, limit: int) -> Part:
        """See :class:`Holding`."""
        if self._at_once:
            return Part()
        values = self._values(whom, self._condition) | {"limit": limit}
        removed = connection.execute(sa.text(self._delete_some), values).rowcount
        return Part({self.name: removed}, 0 if removed == limit else None)

    def export(self, connection: sa.Connection, whom: Whom, _table: str, cursor: int, limit: int) -> Page:
        """See :class:`Holding`."""
        values = self._values(whom, self._condition) | {"limit": limit, "cursor": cursor}
        rows = [mapping.named(self._table, row) for row in connection.execute(sa.text(self._select), values)]
        return Page(rows, cursor + limit if len(rows) == limit else None)

    def _values(self, whom: Whom, sql: str) -> dict[str, Any]:
        given = {"app_id": whom.app_id, "user_id": whom.user_id, "user_key": whom.user_key}
        return {name: value for name, value in given.items() if f":{name}" in sql}
