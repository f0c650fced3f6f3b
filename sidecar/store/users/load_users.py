"""Loads the users and clients that events touch, from the cache or from their tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import CONNECTION_STATE_CHANGED, Event
from sidecar.store import mapping, schema
from sidecar.store.mapping import Client
from sidecar.store.users import client_rows, working_set
from sidecar.store.users.generational_cache import GenerationalCache
from sidecar.store.users.sweep import Checked
from sidecar.store.users.users_by_id import rows_of_users
from sidecar.store.users.working_set import User, WorkingSet, trace_of
from sidecar.store.values import Owner, UserId

_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(User).decode


_USER_COLUMNS: Final = (
    "user_key",
    "app_id",
    "user_id",
    "status",
    "last_seen_at_us",
    "last_position",
    "changed_position",
    "group_key",
    "lease_check_us",
    "clients",
    "left_elsewhere_us",
    "token_expires_at_us",
    "lease_lapsed",
    "crowded",
)


class UserLoader:
    """Fills working sets. Users of recent transactions are kept in memory, packed; at most twice ``cached``."""

    def __init__(self, connection: sa.Connection, cached: int) -> None:
        self._cache: GenerationalCache[Owner, bytes] = GenerationalCache(cached)
        self._next_user_key = 0
        self.forget(connection, ())

    def forget(self, connection: sa.Connection, owners: Collection[Owner]) -> None:
        """Drops these users, whom another process changed, and reads which keys of users are free."""
        for owner in owners:
            self._cache.forget(owner)
        # Data may be left under the key of a user that is being erased.
        newest = (
            "SELECT COALESCE(MAX(user_key), 0) FROM (SELECT MAX(user_key) AS user_key FROM user_status UNION ALL"
            " SELECT MAX(user_key) FROM erasures WHERE finished_at_us IS NULL) AS newest"
        )
        self._next_user_key = int(connection.exec_driver_sql(newest).scalar_one()) + 1

    def load(self, working: WorkingSet, events: Collection[Event]) -> None:
        """Loads all that ``events`` will touch."""
        loaded = working.loaded
        missing: dict[UserId, dict[bytes, None]] = {}
        without_user: set[bytes] = set()
        unknown: list[tuple[User, bytes]] = []
        traces: set[bytes] = set()
        for event in events:
            client_id, user_id = event.client_id, event.user_id
            owner: Owner = client_id if user_id is None else (event.app_id, user_id)
            user = loaded.get(owner) or self._from_cache(working, owner)
            if user is not None:
                if client_id not in user.clients:
                    unknown.append((user, client_id))
            elif user_id is None:
                without_user.add(client_id)
            else:
                missing.setdefault((event.app_id, user_id), {})[client_id] = None
            if event.type == CONNECTION_STATE_CHANGED:
                trace_id = trace_of(event)
                if user is None or trace_id != user.rooted_trace:
                    traces.add(trace_id)
        if without_user:
            _load_without_user(working, sorted(without_user))
        if missing:
            unknown += self._load_users(working, missing)
        if unknown:
            _load_clients(working, unknown)
        _load_traces(working, traces)

    def note_check(self, checked: Checked) -> None:
        """Brings a user in memory in line with its row, which a sweep wrote."""
        packed = self._cache.get(checked.user_id)
        if packed is not None:
            user = _unpack(packed)
            user.group_key = checked.group_key
            user.lease_check_us, user.lease_lapsed = checked.lease_check_us, checked.lease_lapsed
            self._cache.put(checked.user_id, _pack(user))

    def cache(self, working: WorkingSet) -> None:
        """Keeps what was loaded and written in memory."""
        for owner, user in working.loaded.items():
            # What was loaded and not written differs from its tables.
            if user.crowded or user.user_key in working.repacked or not (user.stored or user.clients):
                self._cache.forget(owner)
            else:
                self._cache.put(owner, _pack(user))

    def _from_cache(self, working: WorkingSet, owner: Owner) -> User | None:
        packed = self._cache.get(owner)
        if packed is None:
            return None
        user = working.loaded[owner] = _unpack(packed)
        return user

    def _load_users(self, working: WorkingSet, wanted: dict[UserId, dict[bytes, None]]) -> list[tuple[User, bytes]]:
        """``wanted`` names the clients to load of each user; those not found in the users' rows are returned."""
        for row in rows_of_users(working.connection, schema.user_status, wanted, _USER_COLUMNS):
            user = User(
                user_key=row.user_key,
                app_id=row.app_id,
                user_id=row.user_id,
                stored=True,
                clients={client.client_id: client for client in mapping.unpack(row.clients)},
                left_elsewhere_us=row.left_elsewhere_us,
                crowded=bool(row.crowded),
                status=row.status,
                last_seen_at_us=row.last_seen_at_us,
                last_position=row.last_position,
                changed_position=row.changed_position,
                group_key=row.group_key,
                lease_check_us=row.lease_check_us,
                token_expires_at_us=row.token_expires_at_us,
                lease_lapsed=bool(row.lease_lapsed),
            )
            user_id = (user.app_id, user.user_id)
            working.loaded[user_id] = user
            if user.crowded:
                _load_crowded(working, user, wanted[user_id])
        for one in sorted(one for one in wanted if one not in working.loaded):
            working.loaded[one] = User(user_key=self._next_user_key, app_id=one[0], user_id=one[1], clients={})
            self._next_user_key += 1
        return [
            (user, client_id)
            for one, client_ids in wanted.items()
            for client_id in client_ids
            if client_id not in (user := working.loaded[one]).clients
        ]


def load_traces(working: WorkingSet, events: Collection[Event]) -> None:
    """Also loads the traces of events that will touch nothing else."""
    _load_traces(working, {trace_of(event) for event in events if event.type == CONNECTION_STATE_CHANGED})


def _load_crowded(working: WorkingSet, user: User, wanted: Collection[bytes]) -> None:
    """Loads the wanted clients of a crowded user, and those that decide the rest."""
    connection = working.connection
    which = f"user_key = {user.user_key} AND client_id IN ({{}})"
    user.clients = {one.client_id: one for one in _clients(connection, which, wanted)}
    loaded = {one.client_key for one in user.clients.values()}
    user.left_elsewhere_us = client_rows.last_left_online_us(connection, user.user_key, loaded)
    others = client_rows.deciding(connection, user.user_key, loaded, working.time)
    live = client_rows.live_keys(connection, user.user_key, working_set.CLIENTS_PACKED // 2)
    if live is not None:
        known = loaded.union(one.client_key for one in others)
        others += client_rows.clients_by_key(connection, [key for key in live if key not in known])
        user.crowded = False
    user.clients |= {one.client_id: one for one in others}
    if not user.crowded:
        for client in list(user.clients.values()):
            working.repack(user, client)


def _load_clients(working: WorkingSet, unknown: list[tuple[User, bytes]]) -> None:
    """Loads clients that may have rows of their own, to be packed in their user's row again."""
    users = {user.user_key: user for user, _ in unknown if user.stored and not user.crowded}
    found = set()
    for client in _clients(working.connection, "client_id IN ({})", {client_id for _, client_id in unknown}):
        user = users.get(client.user_key)
        if user is not None and client.client_id not in user.clients:
            working.repack(user, client)
            found.add(user.user_key)
    for user_key in found:
        loaded = {one.client_key for one in users[user_key].clients.values()}
        users[user_key].left_elsewhere_us = client_rows.last_left_online_us(working.connection, user_key, loaded)
    for user, client_id in unknown:
        if client_id not in user.clients:
            working.new_clients.setdefault(user.user_key, {})[client_id] = None


def _load_without_user(working: WorkingSet, client_ids: list[bytes]) -> None:
    which = f"user_key = {schema.NOBODY} AND client_id IN ({{}})"
    for client in _clients(working.connection, which, client_ids):
        working.loaded[client.client_id] = User(user_key=schema.NOBODY, clients={client.client_id: client})
    for client_id in client_ids:
        if client_id not in working.loaded:
            working.loaded[client_id] = User(user_key=schema.NOBODY, clients={})


def _load_traces(working: WorkingSet, trace_ids: Collection[bytes]) -> None:
    found = _select(working.connection, "SELECT trace_id FROM traces WHERE trace_id IN ({})", trace_ids)
    working.rootless_traces |= set(trace_ids).difference(row[0] for row in found)


def _clients(connection: sa.Connection, which: str, values: Collection[Any]) -> Iterator[Client]:
    sql = f"SELECT {mapping.columns(schema.clients)} FROM clients WHERE {which}"
    return (mapping.client_of(row) for row in _select(connection, sql, values))


def _select(connection: sa.Connection, sql: str, values: Collection[Any]) -> Iterator[Sequence[Any]]:
    """Rows of ``sql`` with a mark for each value in place of its {}, in chunks that fit one statement."""
    # The driver's own rows: SQLAlchemy describes each column of a result first, which takes longer than to read a few.
    driver: Any = connection.connection.driver_connection
    for some in mapping.chunks(sorted(values)):
        yield from driver.execute(sql.format(", ".join("?" * len(some))), some).fetchall()
