"""Reads of clients that have rows of their own, each by an index and none through all clients of a user.

``loaded`` are keys of clients that the transaction has in memory and may change. They are left out: the clients found
here do not change, so that both together decide what all clients would.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.lease import LONGEST_LEASE_US, LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import mapping, schema
from sidecar.store.mapping import Client

_OF_USER: Final = "SELECT client_key FROM clients WHERE user_key = ?"
_LIVE: Final = f"status <> '{NOT_LOGGED_IN}'"
_FIRST: Final = "ORDER BY since_us, last_id"
# A client without any callback does not count: it has no since_us.
_LAST: Final = "ORDER BY since_us DESC NULLS LAST, last_id DESC"
_LAST_SEEN: Final = "ORDER BY last_seen_at_us DESC, client_key DESC"
# Of clients that send heartbeats, or of those that do not: the expression of the index clients_by_lease.
_LEASE: Final = "last_seen_at_us + 3000000 * heartbeat_after_s"
_LAST_LEASE: Final = f"ORDER BY {_LEASE} DESC"
_LAST_ENDED: Final = f"{_OF_USER} AND status = '{NOT_LOGGED_IN}' {_LAST}"
_LEASES: Final = (
    # Three times a client's own interval between heartbeats, or one duration for all that send none.
    f"{_OF_USER} AND {_LIVE} AND sends_heartbeats = TRUE",
    f"{_OF_USER} AND {_LIVE} AND sends_heartbeats = FALSE",
)
_DECIDING: Final = (
    # The status (sidecar.domain.presence).
    f"{_OF_USER} AND status = '{ONLINE}' {_FIRST}",
    f"{_OF_USER} AND status = '{OFFLINE}' {_FIRST}",
    f"{_OF_USER} AND status = '{OFFLINE}' {_LAST}",
    _LAST_ENDED,
    *(f"{one} {_LAST_LEASE}" for one in _LEASES),
    # What a list shows.
    f"{_OF_USER} {_LAST_SEEN}",
)
_LEFT: Final = (
    "SELECT client_key, left_online_us FROM clients WHERE user_key = ? AND left_online_us IS NOT NULL"
    " ORDER BY left_online_us DESC"
)
_COLUMNS: Final = mapping.columns(schema.clients)
# How many clients of a crowded user are searched for versions, and for which device kicked which.
SEARCHED_OF_CROWDED: Final = 16
# How many live clients of a crowded user a list counts.
COUNTED_MOST: Final = 100


def deciding(connection: sa.Connection, user_key: int, loaded: Collection[int], time: LeaseTime) -> list[Client]:
    """The clients that, with the loaded ones, decide the user's status, lease and place in lists."""
    found = [_first_other(connection, sql, user_key, loaded) for sql in _DECIDING]
    # Where the clock was set back, the last lease is not the one that ends last by the machine's clock.
    for ends_us in time.ends_before_later_times():
        until = f"last_seen_at_us <= {ends_us} AND {_LEASE} <= {ends_us + LONGEST_LEASE_US}"
        found += (_first_other(connection, f"{one} AND {until} {_LAST_LEASE}", user_key, loaded) for one in _LEASES)
    return clients_by_key(connection, {row[0] for row in found if row is not None})


def last_ended(connection: sa.Connection, user_key: int, loaded: Collection[int]) -> list[Client]:
    """The client that ended last, as a list of at most one."""
    row = _first_other(connection, _LAST_ENDED, user_key, loaded)
    return [] if row is None else clients_by_key(connection, {row[0]})


def last_left_online_us(connection: sa.Connection, user_key: int, loaded: Collection[int]) -> int | None:
    """When the last client left online."""
    row = _first_other(connection, _LEFT, user_key, loaded)
    return None if row is None else int(row[1])


def live_keys(connection: sa.Connection, user_key: int, most: int) -> list[int] | None:
    """The keys of the live clients; None if there are more than ``most``."""
    driver: Any = connection.connection.driver_connection
    found = driver.execute(f"{_OF_USER} AND {_LIVE} LIMIT ?", (user_key, most + 1)).fetchall()
    return None if len(found) > most else [row[0] for row in found]


def count_seen_since(connection: sa.Connection, user_key: int, since_us: int, most: int) -> int:
    """How many clients were seen after a moment, counted up to ``most``."""
    sql = f"SELECT COUNT(*) FROM ({_OF_USER} AND last_seen_at_us > ? LIMIT ?) AS seen"
    driver: Any = connection.connection.driver_connection
    return int(driver.execute(sql, (user_key, since_us, most)).fetchone()[0])


def newest(connection: sa.Connection, user_key: int, limit: int) -> list[Client]:
    """The first clients of a page: the live ones, then by the newest change."""
    keys: list[int] = []
    driver: Any = connection.connection.driver_connection
    for status in (ONLINE, OFFLINE, NOT_LOGGED_IN):
        if status != NOT_LOGGED_IN or len(keys) < limit:
            sql = f"{_OF_USER} AND status = ? {_LAST} LIMIT ?"
            keys += [row[0] for row in driver.execute(sql, (user_key, status, limit))]
    return clients_by_key(connection, keys)


def searched(connection: sa.Connection, user: Any) -> list[Client]:  # noqa: ANN401 - a row of user_status
    """The clients to search for a version: those packed in the user's row, of a crowded user the newest few."""
    return newest(connection, user.user_key, SEARCHED_OF_CROWDED) if user.crowded else mapping.unpack(user.clients)


def count_live(connection: sa.Connection, user_key: int) -> int:
    """How many clients are live, counted up to :data:`COUNTED_MOST`."""
    sql = f"SELECT COUNT(*) FROM ({_OF_USER} AND {_LIVE} LIMIT {COUNTED_MOST}) AS live"
    driver: Any = connection.connection.driver_connection
    return int(driver.execute(sql, (user_key,)).fetchone()[0])


def last_seen(connection: sa.Connection, user_key: int) -> list[Client]:
    """The client that was seen last, as a list of at most one."""
    driver: Any = connection.connection.driver_connection
    found = driver.execute(f"{_OF_USER} {_LAST_SEEN} LIMIT 1", (user_key,)).fetchall()
    return clients_by_key(connection, [row[0] for row in found])


def clients_by_key(connection: sa.Connection, keys: Iterable[int]) -> list[Client]:
    """The clients with these keys, sorted by key."""
    driver: Any = connection.connection.driver_connection
    found: list[Client] = []
    for some in mapping.chunks(sorted(keys)):
        sql = f"SELECT {_COLUMNS} FROM clients WHERE client_key IN ({', '.join('?' * len(some))})"
        found += map(mapping.client_of, driver.execute(sql, some))
    return found


def _first_other(connection: sa.Connection, sql: str, user_key: int, loaded: Collection[int]) -> Sequence[Any] | None:
    driver: Any = connection.connection.driver_connection
    found: Iterator[Sequence[Any]] = driver.execute(f"{sql} LIMIT ?", (user_key, len(loaded) + 1))
    return next((row for row in found if row[0] not in loaded), None)
