"""What engines share that commit one transaction after another.

Then there are no users to lock, the next position follows the newest event, positions are committed in their order and
without gaps, and the rows of counts are the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.store import counts, mapping, schema
from sidecar.store.database import Expressions, Key, Minute, Node, Term
from sidecar.store.log_positions import newest_position
from sidecar.store.values import Applied, Commit, Owner

_INSERT: Final = mapping.insert(schema.events)
_BEHIND: Final = (
    f"SELECT {mapping.columns(schema.events, of='e')}, {mapping.STATUS_BEFORE} FROM events e WHERE e.position > ?"
    " ORDER BY e.position LIMIT ?"
)
_KNOWN: Final = (
    "WITH wanted (app_id, id) AS (VALUES {values}) SELECT ids.app_id, ids.id FROM wanted CROSS JOIN {ids}"
    " WHERE ids.id = wanted.id AND ids.app_id = wanted.app_id"
)


class OneOrder:
    """Methods of a :class:`sidecar.store.database.Database` in which one transaction at a time writes."""

    refuses: Callable[[Event], str | None] | None = None
    expressions: Expressions

    def __init__(self, *, serves: bool) -> None:
        self._serves = serves
        self._announced: dict[sa.Connection, list[Commit]] = {}
        self._listeners: list[Callable[[Commit], None]] = []
        self._listeners_elsewhere: list[Callable[[Commit], None]] = []
        self._terms: dict[str, Term] = {}

    def new_ids(self, connection: sa.Connection, keys: Collection[Key], *, claim: bool = True) -> set[Key]:  # noqa: ARG002 - there is no other writer
        """See :class:`sidecar.store.database.Database`."""
        new = set(keys)
        for some in mapping.chunks(tuple(new)):  # a copy, as known ids are removed from the set
            sql = _KNOWN.format(values=", ".join(["(?, ?)"] * len(some)), ids=self.expressions.event_ids)
            flat = tuple(part for key in some for part in key)
            new.difference_update((row[0], row[1]) for row in connection.exec_driver_sql(sql, flat))
        return new

    def lock_users(self, connection: sa.Connection, events: Collection[Event]) -> None:
        """Nothing: the transaction is the only one that writes."""

    def new_positions(self, connection: sa.Connection, count: int) -> int:  # noqa: ARG002 - all later ones are free
        """See :class:`sidecar.store.database.Database`."""
        return newest_position(connection) + 1

    def insert_events(
        self,
        connection: sa.Connection,
        applied: Sequence[Applied],
        dropped: Collection[Key] = (),  # noqa: ARG002 - what is not inserted is new
    ) -> None:
        """See :class:`sidecar.store.database.Database`."""
        if applied:
            rows = [mapping.event_row(one.position, one.event, one.effect) for one in applied]
            connection.exec_driver_sql(_INSERT, rows)

    def count(
        self, connection: sa.Connection, *, groups: Sequence[tuple[int, int]] = (), minutes: Sequence[Minute] = ()
    ) -> None:
        """See :class:`sidecar.store.database.Database`."""
        counts.add(connection, groups, minutes)

    def log_behind(self, connection: sa.Connection, cursor: int, limit: int) -> list[Applied]:
        """See :class:`sidecar.store.database.Database`."""
        return [mapping.applied(row) for row in connection.exec_driver_sql(_BEHIND, (cursor, limit))]

    def announce(self, connection: sa.Connection, commit: Commit) -> None:
        """See :class:`sidecar.store.database.Database`."""
        self._announced.setdefault(connection, []).append(commit)

    def changed(self, connection: sa.Connection, owners: Collection[Owner] | None) -> None:
        """Nothing: no other process keeps projections in memory."""

    def changed_elsewhere(self, connection: sa.Connection) -> Collection[Owner] | None:  # noqa: ARG002 - same
        """Nothing: no other process changes projections."""
        return ()

    def is_shared(self, connection: sa.Connection) -> bool:  # noqa: ARG002 - none can serve
        """See :class:`sidecar.store.database.Database`."""
        return False

    def commits_behind(self, connection: sa.Connection) -> int:  # noqa: ARG002 - there are none
        """See :class:`sidecar.store.database.Database`."""
        return 0

    def listen(self, callback: Callable[[Commit], None], *, elsewhere: bool = False) -> Callable[[], None]:
        """See :class:`sidecar.store.database.Database`."""
        listeners = self._listeners_elsewhere if elsewhere else self._listeners
        listeners.append(callback)
        return lambda: listeners.remove(callback)

    def _tell(self, commit: Commit, elsewhere: bool = False) -> None:  # noqa: FBT001, FBT002 - a callback
        if elsewhere:
            for callback in tuple(self._listeners_elsewhere):
                callback(commit)
        for callback in tuple(self._listeners):
            callback(commit)

    def take_duties(self, connection: sa.Connection, duties: Collection[str]) -> None:
        """Nothing: the process that serves has every duty."""

    def term(self, duty: str) -> Term | None:
        """See :class:`sidecar.store.database.Database`."""
        return self._terms.setdefault(duty, Term(duty, is_for_good=True)) if self._serves else None

    def is_held(self, term: Term) -> bool:
        """See :class:`sidecar.store.database.Database`."""
        return self._terms.get(term.duty) is term

    def nodes(self, connection: sa.Connection, duties: Collection[str]) -> list[Node]:  # noqa: ARG002 - there are none
        """See :class:`sidecar.store.database.Database`. No other process can serve."""
        return []
