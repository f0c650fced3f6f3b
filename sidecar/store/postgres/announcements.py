"""The table of announcements: what each commit changed, in the order of the commits, for all nodes.

A notification says only that there is a row, so that a row may be long and a lost notification costs nothing: each node
reads on from the row that it has followed last. The newest rows are kept; who is further behind notices that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from threading import Lock
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.store.postgres import locks
from sidecar.store.values import Commit, Owner

CHANNEL: Final = "zimwatch_commits"
KEPT: Final = 1_000
_DELETED_EVERY: Final = 100
DDL: Final = (
    (
        "CREATE TABLE announcements (number BIGINT PRIMARY KEY, previous BIGINT NOT NULL,"
        ' changes TEXT COLLATE "C", owners TEXT COLLATE "C")'
    ),
    "CREATE SEQUENCE commit_numbers",
)
"""``previous`` is the number of the row before, by which a reader notices that rows are missing. ``changes`` is the
:class:`Commit` as JSON, NULL for nothing that is shown; ``owners`` of what projections changed, NULL for any."""
BEGIN: Final = f"{locks.COMMIT_IN_ORDER}, nextval('commit_numbers')"
"""Waits for the transactions that write, and numbers this one. Numbers grow; one that is undone leaves a gap."""
_COLUMNS: Final = "SELECT number, previous, changes, owners FROM announcements"
AFTER: Final = f"{_COLUMNS} WHERE number > ? ORDER BY number"
BEHIND: Final = "SELECT COUNT(*) FROM announcements WHERE number > ?"
"""At most about as many as are kept."""
NEWEST: Final = "SELECT COALESCE(MAX(number), 0) FROM announcements"
_ANNOUNCED: Final = (
    f"WITH announced AS (INSERT INTO announcements (number, previous, changes, owners) SELECT ?, ({NEWEST}), ?, ?"
    f" RETURNING number) SELECT pg_notify('{CHANNEL}', number::text) FROM announced"
)
_DELETED: Final = "DELETE FROM announcements WHERE number <= ?"

Row = Sequence[Any]
_encode: Final = msgspec.json.Encoder().encode
_commit: Final = msgspec.json.Decoder(Commit).decode
_owners: Final = msgspec.json.Decoder(list[bytes | tuple[int, str]]).decode


def announce(connection: sa.Connection, number: int, changes: Commit | None, owners: Collection[Owner] | None) -> None:
    """Writes the row of this transaction, of which all nodes are notified once it is committed."""
    values = (changes, None if owners is None else list(owners))
    texts = (None if one is None else _encode(one).decode() for one in values)
    connection.exec_driver_sql(_ANNOUNCED, (number, *texts))
    if changes is not None and changes.erased:
        connection.exec_driver_sql(_DELETED, (number - 1,))  # ids of users are in them
    elif number % _DELETED_EVERY == 0:
        connection.exec_driver_sql(_DELETED, (number - KEPT,))


class Followed:
    """Gives listeners each announced commit once, in the order of the commits, from whatever thread reads it.

    ``tell`` is called with each, and with whether another process committed it. Where some were missed, that is a
    :class:`Commit` that says so.
    """

    def __init__(self, tell: Callable[[Commit, bool], None]) -> None:
        self._tell = tell
        self._lock = Lock()
        self.number = 0
        # The transaction of this process that is in progress, or was last.
        self.own = 0

    def begin(self, number: int) -> None:
        """What was announced before is not followed."""
        self.number = number

    def follow(self, rows: Iterable[Row]) -> None:
        """Rows of :data:`AFTER` some number that is not above :attr:`number`."""
        with self._lock:
            for number, previous, changes, _ in rows:
                if number > self.number:
                    if previous > self.number:
                        self._tell(Commit(access=True, alert_log=True, erased=True, missed=True), True)
                    self.number = number
                    if changes is not None:
                        self._tell(_commit(changes), number != self.own)

    def committed(self, number: int, commits: Iterable[Commit]) -> None:
        """This process has committed its transaction with this number."""
        with self._lock:
            if number > self.number:
                self.number = number
                for commit in commits:
                    self._tell(commit, False)


def changed_by(rows: Sequence[Row], after: int) -> set[Owner] | None:
    """The owners of what projections changed in these rows of :data:`AFTER` ``after``; None where any may have."""
    changed: set[Owner] = set()
    before = after
    for number, previous, _, owners in rows:
        if previous > before or owners is None:
            return None
        changed.update(_owners(owners))
        before = number
    return changed
