"""Lease time in the database: the stretches it has gone through, and whether a lease is past, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def is_past(
    until: sa.ColumnElement[Any], begun: sa.ColumnElement[Any], time: LeaseTime, *, after_us: int = 0
) -> sa.ColumnElement[bool]:
    """:meth:`LeaseTime.is_past` as SQL, ``after_us`` later than ``until``. An index on ``until`` serves it."""
    most = max(stretch.skipped_us for stretch in time.stretches)
    now_us = time.now_us - after_us
    return sa.and_(until < now_us + most, until - _skipped(begun, time) < now_us)


def ended_between(
    until: sa.ColumnElement[Any],
    begun: sa.ColumnElement[Any],
    before: LeaseTime,
    time: LeaseTime,
    *,
    after_us: int = 0,
) -> sa.ColumnElement[bool]:
    """What was not past ``before``, and is now. An index on ``until`` serves it."""
    least = min(stretch.skipped_us for stretch in time.stretches)
    ended = is_past(until, begun, time, after_us=after_us)
    from_us = before.now_us - after_us
    return sa.and_(until >= from_us + least, ended, until - _skipped(begun, time) >= from_us)


def _skipped(begun: sa.ColumnElement[Any], time: LeaseTime) -> sa.ColumnElement[Any]:
    """:meth:`LeaseTime.skipped_us` as SQL."""
    if len(time.stretches) == 1:
        return sa.literal(time.stretches[0].skipped_us)
    newest = list(time.newest_first())
    within = [(sa.and_(begun >= one.begins_us, begun <= ends_us), one.skipped_us) for one, ends_us in newest]
    after = [(begun >= one.begins_us, one.skipped_us) for one, _ in newest]
    return sa.case(*within, *after, else_=time.stretches[0].skipped_us)
