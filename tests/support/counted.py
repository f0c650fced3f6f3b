"""Counts work instead of timing it: calls of Python's, statements of a database, bytes that were read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.store import Store


class Count(msgspec.Struct):
    """So much was done until now."""

    number: int = 0


@contextlib.contextmanager
def calls() -> Iterator[Count]:
    """Calls in this thread, of functions and of classes, in Python or in C: work repeated for each item shows."""
    count = Count()

    def profile(_frame: FrameType, event: str, _what: Any) -> None:
        count.number += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield count
    finally:
        sys.setprofile(before)


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that SQLAlchemy executes, by whichever engine of this process."""
    executed: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        executed.append(statement)

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)


@contextlib.contextmanager
def peeked(store: Store) -> Iterator[list[str]]:
    """The small reads that requests make in the event loop's thread."""
    database: Any = store._database
    connection = database._peeking.driver_connection
    executed: list[str] = []
    connection.set_trace_callback(executed.append)
    try:
        yield executed
    finally:
        connection.set_trace_callback(None)
