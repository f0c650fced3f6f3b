"""Lease time in the database: the stretches it has gone through, and whether a lease is past, as SQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from sidecar.domain.lease_time import STRETCHES_KEPT, LeaseClock, LeaseTime, Stretch
from sidecar.store import tables

_kept = tables.lease_stretches.c


def begin(connection: sa.Connection, *, machine_us: int, steady_us: int) -> LeaseClock:
    """The clock that goes on where the last run stopped; from here on that run is this one."""
    query = sa.select(_kept.begins_us, _kept.skipped_us, _kept.alive_us).order_by(_kept.stretch)
    found = connection.execute(query).all()
    alive_us = found[-1].alive_us if found else None
    clock = LeaseClock(
        [Stretch(row.begins_us, row.skipped_us) for row in found], alive_us, machine_us=machine_us, steady_us=steady_us
    )
    alive(connection, machine_us, begun=clock.stretches[-1:])
    return clock


def alive(connection: sa.Connection, now_us: int, *, begun: Sequence[Stretch] = ()) -> None:
    """Records that Zimwatch ran at ``now_us``, by the machine's clock, and what ``begun`` since; the oldest ones go."""
    newest = sa.select(sa.func.max(_kept.stretch)).scalar_subquery()
    if begun:
        made = [{"begins_us": one.begins_us, "skipped_us": one.skipped_us, "alive_us": now_us} for one in begun]
        connection.execute(sa.insert(tables.lease_stretches), made)
        connection.execute(sa.delete(tables.lease_stretches).where(_kept.stretch <= newest - STRETCHES_KEPT))
    else:
        connection.execute(sa.update(tables.lease_stretches).where(_kept.stretch == newest).values(alive_us=now_us))


def is_past(until: str, begun: str, time: LeaseTime, *, after_us: int = 0) -> str:
    """:meth:`LeaseTime.is_past` as SQL over two columns, ``after_us`` later than ``until``, whose index serves it.

    Text, because this is asked for lists: SQLAlchemy's expressions are cyclic garbage, some hundred objects each time.
    """
    most = max(stretch.skipped_us for stretch in time.stretches)
    now_us = time.now_us - after_us
    return f"({until} < {now_us + most} AND {until} - {_skipped(begun, time)} < {now_us})"


def ended_between(until: str, begun: str, before: LeaseTime, time: LeaseTime, *, after_us: int = 0) -> str:
    """What was not past ``before``, and is now. An index on ``until`` serves it."""
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
    after = [f"WHEN {begun} >= {one.begins_us} THEN {one.skipped_us}" for one, _ in newest]
    return f"(CASE {' '.join(within + after)} ELSE {oldest} END)"
