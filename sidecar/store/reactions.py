"""What follows an event in its own transaction, beside the projections: the place where alert rules plug in.

A :class:`Reaction` is handed to ``Store.open(..., reactions=[...])``. The writer calls it once in each commit that took
events, in the writer's thread, after the rows of the events and the projections were written and before the commit.
What it writes on the connection is committed with the events, or not at all.

- An error that it raises undoes the whole commit, and its callers get the error: it raises for a bug, not for an event.
- A commit that failed may be tried again with the same events, at other positions: what is held in memory must be read
  anew from the database after ``undone()``.
- It is not called for heartbeats, for events that were there already, or by a rebuild.
- It is on the path of every event: one pass over ``applied``, and statements only where something is to be written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.status import Status
from sidecar.store.rows import Client


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What one event did.

    ``previous_state`` is what the client's connection state was before it (in the order of ``seq``), and for how many
    microseconds; both None unless it is a connection_state_changed. ``status_before`` and ``status`` are the user's,
    None where there is no user. ``late``: newer events of its client were there already. ``client`` is the client as it
    stands after the **whole** commit, to be read only; None for what the server said, which is of no client.
    """

    previous_user_position: int | None
    previous_client_position: int | None
    starts_trace: bool
    previous_state: str | None
    previous_state_duration_us: int | None
    status_before: Status | None
    status: Status | None
    late: bool
    client: Client | None


class Applied(msgspec.Struct, frozen=True, gc=False):
    """An accepted event, where it stands in the log, and what it did."""

    event: Event
    position: int
    effect: Effect


class Reacted(msgspec.Struct, frozen=True):
    """What changed, as :class:`sidecar.store.records.Commit` has it."""

    alerts: tuple[int, ...] = ()
    alerted: tuple[tuple[int, str], ...] = ()
    ledger: bool = False


class Reaction(Protocol):
    """What is called in the transaction of the events; see this module's own words."""

    def react(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int, /) -> None:
        """Writes what follows from ``applied``, which are in the order of their positions; the last came then."""

    def committed(self) -> Reacted | None:
        """All that was done since the last time is committed: what of it is shown; None where nothing is."""

    def undone(self) -> None:
        """Nothing of what was done since the last commit was kept."""


@contextlib.contextmanager
def savepoint(connection: sa.Connection) -> Iterator[None]:
    """A part of the transaction: what an error interrupts is undone, and what was done before it stays.

    An OperationalError is of the disk or the file, and leaves nothing to go back to. SQLAlchemy's ``begin_nested``
    compiles its statements each time, which takes a tenth of a small transaction.
    """
    connection.exec_driver_sql("SAVEPOINT part")
    try:
        yield
    except sa.exc.OperationalError:
        raise
    except BaseException:
        connection.exec_driver_sql("ROLLBACK TO part")
        connection.exec_driver_sql("RELEASE part")
        raise
    connection.exec_driver_sql("RELEASE part")
