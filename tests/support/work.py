"""Counts what SQLite does for a piece of work, so that a test of how work grows needs no clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.store import Store

_EVERY = 10


class Work:
    """Statements that were run, and about how many steps SQLite's own machine took for them."""

    def __init__(self) -> None:
        self.sql: list[str] = []
        self.steps = 0

    @property
    def statements(self) -> int:
        """How many there were."""
        return len(self.sql)

    def having(self, part: str) -> int:
        """How many of them have this text; one for many rows counts once a row."""
        return sum(part in one for one in self.sql)

    def _statement(self, sql: str) -> None:
        self.sql.append(sql)

    def _step(self) -> None:
        self.steps += _EVERY

    def watch(self, connection: sa.Connection) -> None:
        """Counts what is done on the connection from now on."""
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(self._statement)
        driver.set_progress_handler(self._step, _EVERY)

    def leave(self, connection: sa.Connection) -> None:
        """Counts no longer."""
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(None)
        driver.set_progress_handler(None, 0)


@contextlib.contextmanager
def counted(connection: sa.Connection) -> Iterator[Work]:
    """Counts what is done on the connection until the context ends."""
    work = Work()
    work.watch(connection)
    try:
        yield work
    finally:
        work.leave(connection)


@contextlib.contextmanager
def of_reads(store: Store) -> Iterator[Work]:
    """Counts what is read of the store on any connection until the context ends."""
    work = Work()
    database: Any = store._database
    reading = database.reading

    @contextlib.contextmanager
    def watched() -> Iterator[sa.Connection]:
        with reading() as connection:
            work.watch(connection)
            try:
                yield connection
            finally:
                work.leave(connection)

    database.reading = watched
    try:
        yield work
    finally:
        database.reading = reading


async def of_append(store: Store, events: Sequence[Event]) -> Work:
    """What the writer does for these events, in one transaction."""
    work = Work()
    await store.write(work.watch)
    await store.append(events)
    await store.write(work.leave)
    return work
