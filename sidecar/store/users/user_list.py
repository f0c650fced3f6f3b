"""The user list: pages of a query, with a bounded number of rows read.

A page takes as long with a million users as with ten: where a rare filter has not filled it by then, it ends early with
a cursor to continue from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import LeaseTime, Now
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.store import mapping
from sidecar.store.users import client_rows, happenings, user_reads, user_walk
from sidecar.store.users.user_filter import row_filter
from sidecar.store.users.user_orders import Step, by_app_and_id, cursor_at, in_order, read_cursor
from sidecar.store.users.user_query import ListedUser, UserPage, UserQuery
from sidecar.store.users.users_by_id import APPS, BEGIN, Place, users_with_ids
from sidecar.store.values import Total, UserRow

# How many users one page may look at, which bounds its time; see docs/performance.md.
LOOKED_AT_MOST: Final = 6_000
# How many rows are read at once where all users are walked.
_ROWS_AT_ONCE: Final = 200


def list_users(connection: sa.Connection, query: UserQuery, now: Now) -> UserPage[UserRow]:
    """A page of users."""
    page = _page(connection, query, now)
    return msgspec.structs.replace(page, users=_user_rows(connection, query, page.users, now))


def list_users_with_clients(connection: sa.Connection, query: UserQuery, now: Now) -> UserPage[ListedUser]:
    """As :func:`list_users`, with what is known of the users' clients."""
    page = _page(connection, query, now)
    users = _user_rows(connection, query, page.users, now)
    listed = [_listed(connection, row, user) for row, user in zip(page.users, users, strict=True)]
    return msgspec.structs.replace(page, users=listed)


def count_users(connection: sa.Connection, query: UserQuery) -> Total | None:
    """How many users match, on all pages together; None where only the pages tell."""
    if not query.is_of_groups:
        return None
    if query.happened is None:
        users, is_least = user_walk.count(connection, query.groups)
        return Total(users, is_least=is_least) if users or not is_least else None
    if query.groups != user_walk.GroupFilter(apps=query.apps):
        return None
    return happenings.total(connection, query.happened, query.apps)


def total_of(page: UserPage[Any], query: UserQuery, before: int = 0) -> Total:
    """The total as far as a page tells, with as many users on the pages before it."""
    is_least = page.next_cursor is not None or (not before and query.cursor is not None)
    return Total(before + len(page.users), is_least=is_least)


def every_user(connection: sa.Connection, query: UserQuery, time: LeaseTime) -> Iterator[tuple[Any, Any]]:
    """All users whose id matches, from the cursor on: the place of each, and its row of ``user_status``.

    By app and id; where whole ids are looked up in the order of these, with None for an id that no app knows.
    """
    users = _every_key_of_ids(connection, query) if query.exact_ids else _every_key(connection, query, time)
    while some := list(islice(users, _ROWS_AT_ONCE)):
        found = iter(user_walk.rows_of(connection, [key for _, key in some if key is not None]))
        yield from ((place, None if key is None else next(found)) for place, key in some)


def app_ids(connection: sa.Connection) -> list[int]:
    """Every app that has users."""
    return [row[0] for row in connection.exec_driver_sql(f"{APPS} ORDER BY app_id")]


class _Steps(msgspec.Struct, frozen=True):
    """The rows of a page. ``last`` is the place to continue from, None at the end."""

    rows: list[Any]
    last: Any
    ended_early: bool = False


def _page(connection: sa.Connection, query: UserQuery, now: Now) -> UserPage[Any]:
    """A page of rows of ``user_status``."""
    differing = set() if query.disagreement is None else user_reads.differing(connection, now)
    matches = row_filter(connection, query, now.time, differing)
    if query.exact_ids:
        return _page_of_ids(connection, query, matches)
    found = _matching(connection, in_order(connection, query, now.time, differing), matches, query.limit)
    return UserPage(found.rows, None if found.last is None else cursor_at(found.last), found.ended_early)


def _page_of_ids(connection: sa.Connection, query: UserQuery, matches: Callable[[Any], bool]) -> UserPage[Any]:
    ids = query.exact_ids
    looked_up = users_with_ids(connection, ids, query.apps, read_cursor(query.cursor, Place) or BEGIN)
    known = iter(_known(connection, query, [(place, key) for place, key in looked_up.users if key is not None]))
    found = _matching(connection, known, matches, query.page_size)
    last = looked_up.next_place if found.last is None else found.last
    unknown = (place for place, key in looked_up.users if key is None)
    return UserPage(
        found.rows,
        None if last is None else cursor_at(last),
        found.ended_early or (found.last is None and last is not None),
        tuple(ids[place[0]] for place in unknown if last is None or place <= last),
    )


def _known(connection: sa.Connection, query: UserQuery, users: list[tuple[Any, int]]) -> list[Step]:
    if query.happened is None:
        return [(place, key, 1) for place, key in users]
    happened = happenings.occurrences(connection, query.happened, [key for _, key in users])
    return [(place, key, int(key in happened)) for place, key in users]


def _user_rows(connection: sa.Connection, query: UserQuery, rows: list[Any], now: Now) -> list[UserRow]:
    users = user_reads.user_rows(connection, rows, now)
    if query.happened is None:
        return users
    happened = happenings.occurrences(connection, query.happened, [row.user_key for row in rows])
    listed = zip(users, rows, strict=True)
    return [msgspec.structs.replace(user, happened=happened.get(row.user_key)) for user, row in listed]


def _matching(connection: sa.Connection, steps: Iterator[Step], matches: Callable[[Any], bool], limit: int) -> _Steps:
    """The first rows that match, up to ``limit``, among those that a page may look at."""
    looked_at = islice(steps, LOOKED_AT_MOST)
    page: list[tuple[Any, Any]] = []
    last = None
    while True:
        some: list[Step] = []
        for step in looked_at:
            last = step[0]
            if step[2]:
                some.append(step)
                if len(page) + len(some) > limit:
                    break
        if not some:
            break
        found = zip(some, user_walk.rows_of(connection, [key for _, key, _ in some]), strict=True)
        page += [(place, row) for (place, _, _), row in found if matches(row)]
        if len(page) > limit:
            return _Steps([row for _, row in page[:limit]], page[limit - 1][0])
    is_end = last is None or next(steps, None) is None
    return _Steps([row for _, row in page], None if is_end else last, ended_early=not is_end)


def _every_key(connection: sa.Connection, query: UserQuery, time: LeaseTime) -> Iterator[tuple[Any, int | None]]:
    return ((place, key) for place, key, matches in by_app_and_id(connection, query, time) if matches)


def _every_key_of_ids(connection: sa.Connection, query: UserQuery) -> Iterator[tuple[Any, int | None]]:
    after: Place | None = read_cursor(query.cursor, Place) or BEGIN
    while after is not None:
        found = users_with_ids(connection, query.exact_ids, query.apps, after)
        yield from found.users
        after = found.next_place


def _listed(connection: sa.Connection, row: Any, user: UserRow) -> ListedUser:  # noqa: ANN401 - a row of user_status
    if row.crowded:
        live, own = client_rows.count_live(connection, row.user_key), client_rows.last_seen(connection, row.user_key)
    else:
        own = mapping.unpack(row.clients)
        live = sum(one.state.status != NOT_LOGGED_IN for one in own)
    newest = max(own, key=lambda one: one.last_seen_at_us, default=None)
    if newest is None:
        return ListedUser(user, live)
    return ListedUser(user, live, newest.sdk_name, newest.sdk_version, newest.app_version)
