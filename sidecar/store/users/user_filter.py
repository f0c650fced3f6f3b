"""Filters users by a query: exactly, over a row; and roughly, as SQL, so that few rows are read in vain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from sidecar.domain import app_ids
from sidecar.domain.lease import LeaseTime
from sidecar.store import database, mapping
from sidecar.store.conditions import EVERY, Condition
from sidecar.store.users import client_rows, user_reads
from sidecar.store.users.user_query import UserQuery
from sidecar.store.users.user_walk import GroupFilter, in_groups


def row_filter(
    connection: sa.Connection, query: UserQuery, time: LeaseTime, differing: set[int]
) -> Callable[[Any], bool]:
    """Tells whether a row of ``user_status`` matches. ``differing``: see :func:`user_reads.differing`."""
    equal = [(name, getattr(query, name)) for name in ("status", "reason", "platform")]
    equal = [(name, value) for name, value in equal if value is not None]
    part = database.folded(query.part)
    versions = [(name, getattr(query, name)) for name in ("sdk_version", "app_version")]
    versions = [(name, value) for name, value in versions if value is not None]

    def matches(row: Any) -> bool:  # noqa: ANN401 - a row of user_status
        return (
            app_ids.has(query.apps, row.app_id)
            and all(getattr(row, name) == value for name, value in equal)
            and (not part or part in database.folded(row.user_id))
            and row.user_id.startswith(query.prefix)
            and (query.changed_after_us is None or (row.since_us or 0) >= query.changed_after_us)
            and (
                query.token_ends_before_us is None
                or time.machine_us <= (row.token_expires_at_us or 0) <= query.token_ends_before_us
            )
            and (query.unconfirmed is None or query.unconfirmed == user_reads.is_unconfirmed(row, time))
            and query.disagreement in {None, row.user_key in differing}
            and all(
                any(getattr(one, name) == value for one in client_rows.searched(connection, row))
                for name, value in versions
            )
        )

    return matches


def sql_filter(connection: sa.Connection, query: UserQuery, time: LeaseTime) -> Condition:
    """True of all rows that match, and of few others; without what groups and ids answer."""
    condition = EVERY
    if query.changed_after_us is not None:
        condition &= Condition("COALESCE(since_us, 0) >= ?", (query.changed_after_us,))
    if query.token_ends_before_us is not None:
        condition &= Condition("token_expires_at_us BETWEEN ? AND ?", (time.machine_us, query.token_ends_before_us))
    for name in ("sdk_version", "app_version"):
        version = getattr(query, name)
        if version is not None:
            clients = database.of(connection).expressions.each_client
            has_it = f"EXISTS (SELECT 1 FROM {clients} WHERE value ->> {mapping.index_of(name)} = ?)"
            condition &= Condition(f"(crowded OR {has_it})", (version,))
    return condition


def ungrouped_filter(
    connection: sa.Connection, query: UserQuery, time: LeaseTime, *, by_app: bool = False
) -> Condition:
    """As :func:`sql_filter`, for a walk that does not go by groups; ``by_app``: it keeps to the query's apps."""
    condition = sql_filter(connection, query, time)
    if (groups := query.groups) != GroupFilter(apps=query.apps if by_app else None):
        condition &= in_groups(groups)
    if query.part:
        condition &= id_has(connection, query.part)
    return condition


def id_has(connection: sa.Connection, part: str) -> Condition:
    """That the id contains a part, whatever the case of a to z."""
    return Condition(database.of(connection).expressions.id_has, (database.folded(part),))
