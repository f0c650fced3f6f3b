"""What can be done with a PostgreSQL database that is not opened as a store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import psycopg
import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store import upgrade
from sidecar.store.postgres import connections, locks, tables
from sidecar.store.postgres.driver import PostgresConnection
from sidecar.store.postgres.postgres_errors import reason

T = TypeVar("T")


def name(url: str) -> str:
    """Host and database, without a password."""
    return connections.name(connections.target(url))


@contextlib.contextmanager
def refusing(url: str) -> Iterator[None]:
    """DatabaseRefusedError in the place of the driver's errors while a database is opened."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, psycopg.Error) as error:
        raise DatabaseRefusedError(f"{name(url)} cannot be used: {reason(error)}") from error


@contextlib.contextmanager
def reading(url: str) -> Iterator[Callable[[], AbstractContextManager[sa.Connection]]]:
    """Opens connections in which nothing can be written."""
    engine = connections.readers(connections.target(url), {})
    try:
        yield partial(PostgresConnection, engine)
    finally:
        engine.dispose()


def exists(url: str) -> bool:
    """Whether the tables are there."""
    return _read(url, tables.revision) is not None


def pending_migrations(url: str) -> list[tuple[str, str]]:
    """See :func:`sidecar.store.upgrade.pending`."""
    return upgrade.pending(name(url), _read(url, tables.revision))


def is_served(url: str) -> bool:
    """Whether a process serves the database."""
    return _read(url, lambda connection: bool(connection.exec_driver_sql(locks.IS_SERVED).scalar_one()))


def newest_receipt_us(url: str) -> int | None:
    """When the newest event was received; None where there is none."""
    sql = "SELECT received_at_us FROM events ORDER BY position DESC LIMIT 1"
    return _read(url, lambda connection: connection.exec_driver_sql(sql).scalar())


def look(url: str, work: Callable[[sa.Connection], T]) -> T | None:
    """See :func:`sidecar.store.engines.look`."""
    try:
        return _read(url, work)
    except DatabaseRefusedError:
        return None


def _read(url: str, work: Callable[[sa.Connection], T]) -> T:
    """DatabaseRefusedError where the database cannot be read."""
    with refusing(url), reading(url) as connect, connect() as connection:
        return work(connection)
