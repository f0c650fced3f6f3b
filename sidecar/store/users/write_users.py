"""Writes a working set: users, their clients and the blocks of their events, traces and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.presence import presence
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import database, mapping, schema
from sidecar.store.mapping import Client
from sidecar.store.users import working_set
from sidecar.store.users.block_index import BLOCKS_UPSERT
from sidecar.store.users.user_counts import UserCounts
from sidecar.store.users.working_set import User, WorkingSet
from sidecar.store.values import UserId

_CLIENT_UPSERT: Final = mapping.upsert(schema.clients, kept=("client_id", "user_key"))
_CLIENT_DELETE: Final = "DELETE FROM clients WHERE client_key = ?"
_FIXED: Final = ("user_key", "app_id", "user_id")
_PLACE: Final = ("changed_position", "group_key")
_CHECK: Final = ("lease_check_us", "lease_lapsed")
_EXPIRY: Final = ("token_expires_at_us",)
_OTHERS: Final = tuple(
    column.name for column in schema.user_status.columns if column.name not in {*_FIXED, *_PLACE, *_CHECK, *_EXPIRY}
)
_USER_INSERT: Final = (
    f"INSERT INTO user_status ({', '.join((*_OTHERS, *_PLACE, *_CHECK, *_EXPIRY, *_FIXED))})"
    f" VALUES ({', '.join('?' * len(schema.user_status.columns))})"
)


def _update(names: Iterable[str]) -> str:
    return f"UPDATE user_status SET {', '.join(f'{name} = ?' for name in names)} WHERE user_key = ?"


# By whether the columns of the index of lists, and of the one of leases, have changed: SQLite writes an index entry
# whenever one of its columns is set, even to the same value.
_USER_UPDATES: Final = {
    (False, False): _update(_OTHERS),
    (True, False): _update((*_OTHERS, *_PLACE)),
    (False, True): _update((*_OTHERS, *_CHECK)),
    (True, True): _update((*_OTHERS, *_PLACE, *_CHECK)),
}
_USER_EXPIRY: Final = _update(_EXPIRY)


def write(
    working: WorkingSet, leases: Leases, counts: UserCounts, time: LeaseTime, lapses: Mapping[UserId, int]
) -> dict[UserId, Status]:
    """Writes what was touched, as of ``time`` and in the order of its keys; the touched users and their status.

    ``lapses``: see :meth:`sidecar.store.users.projections.Projections.write`.
    """
    connection = working.connection
    touched = sorted(working.touched.items(), key=_user_key)
    users = [user for _, user in touched]
    clients = working.clients.values()
    own_rows = [touched.client for touched in clients if touched.client.user_key == schema.NOBODY]
    histories = [touched.history for touched in clients if touched.history is not None]
    _many(connection, BLOCKS_UPSERT, [row for history in histories for row in history.rows()])
    for history in histories:
        working.recent_blocks.keep(history.known)
    for user in users:
        if user.crowded or len(user.clients) > working_set.CLIENTS_KEPT:
            own_rows += _unpacked(working, user)
    if working.repacked:
        _many(connection, _CLIENT_DELETE, [key for user in users for key in working.repacked.pop(user.user_key, ())])
    _many(connection, _CLIENT_UPSERT, [mapping.client_row(client) for client in sorted(own_rows, key=_client_key)])
    traces = sorted(working.new_traces.items())
    _many(connection, "INSERT INTO traces (trace_id, root_position) VALUES (?, ?)", traces)
    _write_users(connection, users, leases, counts, time, lapses=lapses)
    counts.write(connection)
    return {user_id: user.status for user_id, user in touched}


def _unpacked(working: WorkingSet, user: User) -> list[Client]:
    """The clients of a user with many that get rows of their own; the others stay in the user's row."""
    if user.crowded:
        return [one for one in user.clients.values() if id(one) in working.clients]
    deciding = _deciding(list(user.clients.values()))
    user.crowded = len(deciding) > working_set.CLIENTS_PACKED
    if user.crowded:
        return list(user.clients.values())
    others = [one for one in user.clients.values() if one not in deciding]
    user.clients = {one.client_id: one for one in deciding}
    left = [one.state.left_online_us for one in others]
    user.left_elsewhere_us = max((at for at in [user.left_elsewhere_us, *left] if at is not None), default=None)
    return others


def _deciding(clients: list[Client]) -> list[Client]:
    """The clients that may decide anything of a user: the live ones, the one that ended last, the one seen last."""
    ended = [client for client in clients if client.state.status == NOT_LOGGED_IN]
    if not ended:
        return clients
    last = max(ended, key=lambda one: (one.state.since_us or 0, one.state.last_id))
    seen = max(clients, key=_last_seen)
    return [one for one in clients if one.state.status != NOT_LOGGED_IN or one is last or one is seen]


def _write_users(
    connection: sa.Connection,
    users: list[User],
    leases: Leases,
    counts: UserCounts,
    time: LeaseTime,
    *,
    lapses: Mapping[UserId, int],
) -> None:
    new_users, inserted, expiries = [], [], []
    updated: dict[tuple[bool, bool], list[tuple[Any, ...]]] = {changed: [] for changed in _USER_UPDATES}
    for user in users:
        since_us, reason, token_us, platform, lease_us = _derived(user, leases, time)
        ends_us = None if lease_us is None else lease_us - time.skipped_at_sign_us(user.last_seen_at_us)
        lapsed_us = lapses.get((user.app_id, user.user_id))
        lapsed = ends_us is not None and (ends_us < time.now_us or lapsed_us is not None)
        check_us = user.lease_check_us
        if lapsed and not user.lease_lapsed:
            # The last device that was heard may have logged out, where the others have been silent for long.
            check_us = lapsed_us or (time.now_us if user.stored else ends_us)
        elif not lapsed and (ends_us is None or user.lease_lapsed or check_us is None or check_us > ends_us):
            check_us = ends_us
        group = counts.group_key(user.app_id, user.status, platform, reason, lapsed)
        if group != user.group_key:
            counts.move(user.group_key, group)
            user.group_key, user.place_changed = group, True
        row: tuple[Any, ...] = (
            user.status,
            since_us,
            reason,
            platform,
            lease_us,
            user.last_seen_at_us,
            user.last_position,
            mapping.pack(() if user.crowded else user.clients.values()),
            user.crowded,
            user.left_elsewhere_us,
        )
        check_changed = check_us != user.lease_check_us or lapsed != user.lease_lapsed
        if user.place_changed or not user.stored:
            row += (user.changed_position, group)
        if check_changed or not user.stored:
            row += (check_us, lapsed)
        if not user.stored:
            new_users.append((user.user_key, user.user_id))
            inserted.append((*row, token_us, user.user_key, user.app_id, user.user_id))
        else:
            updated[user.place_changed, check_changed].append((*row, user.user_key))
            if token_us != user.token_expires_at_us:
                expiries.append((token_us, user.user_key))
        user.stored, user.place_changed = True, False
        user.lease_check_us, user.lease_lapsed, user.token_expires_at_us = check_us, lapsed, token_us
    _many(connection, _USER_INSERT, inserted)
    database.of(connection).index_ids(connection, new_users)
    for changed, rows in updated.items():
        _many(connection, _USER_UPDATES[changed], rows)
    _many(connection, _USER_EXPIRY, expiries)


def _derived(
    user: User, leases: Leases, time: LeaseTime
) -> tuple[int | None, str | None, int | None, str | None, int | None]:
    """What the clients decide: since when and why the status is, the token's end, the platform, the lease's end.

    That is by the machine's clock as it was at the user's last sign of life, also where it was set since the client's.
    """
    own = list(user.clients.values())
    if not own:  # reported by ZEGO's server alone
        return None, None, None, None, None
    decisive = own[0]
    found = presence([client.state for client in own], left_online_us=user.left_elsewhere_us)
    if decisive.state is not found.decided_by:
        decisive = next((one for one in own if one.state is found.decided_by), None) or max(own, key=_last_seen)
    lease_us = None
    for client in own:
        if client.state.status != NOT_LOGGED_IN:
            until_us = leases.until_us(
                client.last_seen_at_us,
                sends_heartbeats=client.sends_heartbeats,
                heartbeat_after_s=client.heartbeat_after_s,
            )
            if client.last_seen_at_us != user.last_seen_at_us:
                until_us += time.skipped_at_sign_us(user.last_seen_at_us) - time.skipped_at_sign_us(
                    client.last_seen_at_us
                )
            lease_us = until_us if lease_us is None else max(lease_us, until_us)
    return found.since_us, found.reason, decisive.state.token_expires_at_us, decisive.platform, lease_us


def _many(connection: sa.Connection, sql: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(sql, rows)


def _client_key(client: Client) -> int:
    return client.client_key


def _user_key(touched: tuple[UserId, User]) -> int:
    return touched[1].user_key


def _last_seen(client: Client) -> tuple[int, int]:
    return (client.last_seen_at_us, client.client_key)
