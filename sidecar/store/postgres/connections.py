"""Connections to a PostgreSQL server, and their limits of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sidecar.errors import DatabaseRefusedError
from sidecar.store.postgres.driver import ANSWER_S, CONTEXT, DriverConnection

# A server that is gone is noticed within some 10 s, also by a connection that waits for an answer. The URL may say
# otherwise.
_DEFAULTS: Final = {
    "application_name": "zimwatch",
    "connect_timeout": "3",
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
READ_S: Final = 30
"""No page waits longer for one statement."""
PEEK_S: Final = 3
"""As much for a connection that the event loop waits for."""
WRITE_S: Final = 120
"""No statement of a process that serves takes longer; those of a migration may."""
LOCK_S: Final = 10
"""A transaction that waits longer for another one fails; that one is ended by its own limit, ``IDLE_S``, before."""
BEGIN_S: Final = 2
"""How long a session waits for an older Zimwatch to end, which served the database alone."""
IDLE_S: Final = 8
"""The server ends the session of a process that is stopped, in a transaction or outside of one, after so long, so that
others do not wait for its locks. A process that runs executes something more often."""
_MOST_READERS: Final = 4


def target(database_url: str) -> str:
    """What psycopg connects to, for a ``postgresql://`` URL; DatabaseRefusedError for one that it cannot read."""
    try:
        named = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError as error:
        raise DatabaseRefusedError(f"database.url is not a URL of PostgreSQL: {str(error).strip()}") from None
    given: dict[str, Any] = {**_DEFAULTS, **named}
    return make_conninfo(**given)


def name(conninfo: str) -> str:
    """Host and database, without a password, for messages."""
    named = conninfo_to_dict(conninfo)
    host, port = named.get("host", "localhost"), named.get("port", 5432)
    return f"postgresql://{host}:{port}/{named.get('dbname') or named.get('user') or ''}"


def connect(conninfo: str, *, autocommit: bool = False) -> DriverConnection:
    """One connection of the driver."""
    return DriverConnection.connect(conninfo, autocommit=autocommit, context=CONTEXT)


def listener(conninfo: str, channel: str) -> DriverConnection:
    """A connection that is notified of what is announced in the channel from now on."""
    connection = connect(conninfo, autocommit=True)
    try:
        _limit(connection, statement_timeout=READ_S)
        connection.execute(f"LISTEN {channel}")
    except BaseException:
        connection.close()
        raise
    return connection


def readers(conninfo: str, options: Mapping[str, Any]) -> sa.Engine:
    """SQLAlchemy's engine for snapshots, in which nothing can be written."""

    def opened() -> DriverConnection:
        connection = connect(conninfo)
        _limit(connection, statement_timeout=READ_S, idle_in_transaction_session_timeout=READ_S)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.answers_within_s = READ_S + ANSWER_S  # the server's own limit comes first
        return connection

    # A connection that the server has closed meanwhile is replaced without an error.
    return _engine(opened, options, size=_MOST_READERS, pre_ping=True)


def writer(conninfo: str, options: Mapping[str, Any], began: Callable[[DriverConnection], None]) -> sa.Engine:
    """SQLAlchemy's engine for the one session that writes. ``began`` is called with each new one, and may refuse it."""

    def opened() -> DriverConnection:
        connection = connect(conninfo)
        try:
            _limit(
                connection,
                lock_timeout=BEGIN_S,
                idle_in_transaction_session_timeout=IDLE_S,
                idle_session_timeout=IDLE_S,
            )
            began(connection)
            _limit(connection, lock_timeout=LOCK_S)
            connection.answers_within_s = None
        except BaseException:
            connection.close()
            raise
        return connection

    return _engine(opened, options, size=1, pre_ping=False)


def _engine(
    opened: Callable[[], DriverConnection], options: Mapping[str, Any], *, size: int, pre_ping: bool
) -> sa.Engine:
    return sa.create_engine(
        "postgresql+psycopg://",
        creator=opened,
        poolclass=sa.pool.QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=LOCK_S,
        pool_pre_ping=pre_ping,
        execution_options=dict(options),
        hide_parameters=True,  # an error's text is logged, and they have ids of users
    )


def _limit(connection: DriverConnection, **seconds: int) -> None:
    for setting, value in seconds.items():
        connection.execute(f"SET {setting} = '{value}s'")
    connection.commit()
