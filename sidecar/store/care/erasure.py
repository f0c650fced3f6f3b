"""Erases users: everything of a user that arrived before, in slices, each a transaction of some milliseconds.

The first transaction detaches the user: its row goes, and what arrives from then on makes a new user. The others remove
what is left, by the holdings (``user_data.py``). How far an erasure is stands in the table ``erasures``, in the same
transactions, so that it continues after a ``kill -9``. At the end the id is removed from there too, and the engine
overwrites what was deleted (:attr:`sidecar.store.database.Care.to_wipe`); only then is it finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.store.care import erasures
from sidecar.store.care.erasures import Erasure
from sidecar.store.care.user_data import Holding, Whom
from sidecar.store.database import Care
from sidecar.store.log_positions import newest_position
from sidecar.store.values import Commit, Publishing
from sidecar.store.writer import Writer

SLICE_ROWS: Final = 300
_LOOK_EVERY_S: Final = 0.05


class Step(msgspec.Struct, frozen=True):
    """One slice: whether more follows, what to publish, and whether projections in memory are out of date."""

    has_more: bool
    changes: Commit | None = None
    projections: bool = False


class Eraser:
    """Works through pending erasures, one slice a call."""

    def __init__(self, holdings: Sequence[Holding]) -> None:
        self._holdings = tuple(holdings)

    async def run(self, writer: Writer, care: Care, clock: Clock) -> None:
        """Erases the users of all pending erasures, and returns once they are finished."""
        while await writer.do(lambda connection: self.work(connection, writer, clock)):
            pass
        care.to_wipe = True
        while care.to_wipe:
            await asyncio.sleep(_LOOK_EVERY_S)
            await writer.do(lambda _connection: None)  # so that the writer's thread looks after it
        await writer.do(lambda connection: erasures.finish(connection, clock()))

    def work(self, connection: sa.Connection, writer: Writer, clock: Clock) -> Publishing[bool]:
        """One slice, as a work of the writer's; whether more follows."""
        step = self.slice(connection, clock())
        if step.projections:
            writer.forget(connection)
        return Publishing(step.has_more, step.changes)

    def slice(self, connection: sa.Connection, now_us: int) -> Step:
        """The next slice of the oldest pending erasure."""
        pending = erasures.next_pending(connection)
        if pending is None:
            return Step(has_more=False)
        if pending.began_at_us is None:
            return self._begin(connection, pending, now_us)
        return self._go_on(connection, pending)

    def _begin(self, connection: sa.Connection, pending: Erasure, now_us: int) -> Step:
        who = (pending.app_id, pending.user_id or "")
        sql = "SELECT user_key FROM user_status WHERE app_id = ? AND user_id = ?"
        user_key = connection.exec_driver_sql(sql, who).scalar()
        whom = Whom(*who, user_key, newest_position(connection))
        removed: dict[str, int] = {}
        for holding in self._holdings:
            _add(removed, holding.detach(connection, whom))
        begun = msgspec.structs.replace(
            pending,
            began_at_us=now_us,
            user_key=user_key,
            through=whom.through,
            holding=self._holdings[0].name,
            removed=removed,
        )
        erasures.write(connection, begun)
        return Step(True, Commit(whom.through, (who,), alerted=(who,), alert_log=True), projections=True)

    def _go_on(self, connection: sa.Connection, pending: Erasure) -> Step:
        place = next((at for at, one in enumerate(self._holdings) if one.name == pending.holding), 0)
        holding = self._holdings[place]
        part = holding.erase(connection, pending.whom, pending.cursor, SLICE_ROWS)
        removed = dict(pending.removed)
        _add(removed, part.removed)
        is_last = part.cursor is None and place + 1 == len(self._holdings)
        if part.cursor is not None:
            moved = msgspec.structs.replace(pending, cursor=part.cursor, removed=removed)
        elif not is_last:
            following = self._holdings[place + 1].name
            moved = msgspec.structs.replace(pending, holding=following, cursor=0, removed=removed)
        else:
            moved = msgspec.structs.replace(
                pending, user_id=None, user_key=None, holding=None, cursor=0, removed=removed
            )
        erasures.write(connection, moved)
        changes = Commit(alert_log=True, erased=True) if is_last else None
        return Step(True, changes, projections=holding.name == "clients_without_user")


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for table, count in more.items():
        if count:
            counts[table] = counts.get(table, 0) + count
