"""Lease time in the database: the recorded stretches, and SQL that tells which leases are past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import STRETCHES_KEPT, LeaseTime, Stretch
from sidecar.store import schema

_kept = schema.lease_stretches.c


class Mark(msgspec.Struct, frozen=True):
    """Zimwatch ran at ``alive_us`` by the machine's clock, None in a new database.

    ``heartbeat_after_s``: the interval between heartbeats, 0 if none was given. ``heartbeat_clients``: how many clients
    send some. ``holds_heartbeats``: some may be in memory alone.
    """

    alive_us: int | None
    heartbeat_after_s: int = 0
    heartbeat_clients: int = 0
    holds_heartbeats: bool = False


_FIELDS: Final = Mark.__struct_fields__
_NEWEST: Final = "(SELECT MAX(stretch) FROM lease_stretches)"
_MARK: Final = f"UPDATE lease_stretches SET {', '.join(f'{name} = ?' for name in _FIELDS)} WHERE stretch = {_NEWEST}"
_BEGIN: Final = (
    f"INSERT INTO lease_stretches (begins_us, skipped_us, {', '.join(_FIELDS)}) VALUES (?, ?{', ?' * len(_FIELDS)})"
)


def recorded(connection: sa.Connection) -> tuple[list[Stretch], Mark]:
    """The stretches, oldest first, and the last mark."""
    found = connection.execute(sa.select(*_kept).order_by(_kept.stretch)).all()
    if found:
        last = found[-1]
        mark = Mark(*(getattr(last, name) for name in Mark.__struct_fields__))
        return [Stretch(row.begins_us, row.skipped_us) for row in found], mark
    # A version that recorded no stretches: its newest event tells when it ran.
    newest = "SELECT received_at_us FROM events ORDER BY position DESC LIMIT 1"
    return [], Mark(connection.exec_driver_sql(newest).scalar())


def record(connection: sa.Connection, mark: Mark, *, begun: Sequence[Stretch] = ()) -> None:
    """Records the mark, and the stretches ``begun`` since the last one."""
    values = msgspec.structs.astuple(mark)
    if begun:
        connection.exec_driver_sql(_BEGIN, [(one.begins_us, one.skipped_us, *values) for one in begun])
        connection.exec_driver_sql(f"DELETE FROM lease_stretches WHERE stretch <= {_NEWEST} - ?", (STRETCHES_KEPT,))
    else:
        connection.exec_driver_sql(_MARK, values)


def is_past(until: str, begun: str, time: LeaseTime, *, after_us: int = 0) -> str:
    """:meth:`LeaseTime.is_past` as SQL over two columns, ``after_us`` later than ``until``, whose index serves it.

    Text and no SQLAlchemy expression, which is some hundred objects of cyclic garbage for each list.
    """
    most = max(stretch.skipped_us for stretch in time.stretches)
    now_us = time.now_us - after_us
    return f"({until} < {now_us + most} AND {until} - {_skipped(begun, time)} < {now_us})"


def ended_between(until: str, begun: str, before: LeaseTime, time: LeaseTime, *, after_us: int = 0) -> str:
    """Leases that ended after ``before`` and until ``time``. An index on ``until`` serves it."""
    least = min(stretch.skipped_us for stretch in time.stretches)
    ended = is_past(until, begun, time, after_us=after_us)
    from_us = before.now_us - after_us
    return f"({until} >= {from_us + least} AND {ended} AND {until} - {_skipped(begun, time)} >= {from_us})"


def _skipped(begun: str, time: LeaseTime) -> str:
    """:meth:`LeaseTime.skipped_us` as SQL."""
    oldest = time.stretches[0].skipped_us
    if len(time.stretches) == 1:
        return f"({oldest})"
    newest = list(time.newest_first())
    within = [f"WHEN {begun} BETWEEN {one.begins_us} AND {ends_us} THEN {one.skipped_us}" for one, ends_us in newest]
    after = [f"WHEN {begun} >= {one.begins_us} THEN {one.skipped_us}" for one, _ in time.latest_ended()]
    return f"(CASE {' '.join(within + after)} ELSE {oldest} END)"
