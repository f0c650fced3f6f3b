"""What ZEGO's server says of each user, kept beside the users' status and in the same commit as its event.

:func:`follow` is called once in each transaction that appended events, after the users' status is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.server_view import ASKED, ServerView, ServerWord, differ, heard, server_view
from sidecar.domain.status import Status
from sidecar.store import rows, tables

UserId = tuple[int, str]
_CHUNK: Final = 400
_REPLACE: Final = rows.insert(tables.server_views).replace("INSERT", "INSERT OR REPLACE", 1)
_words = msgspec.json.Decoder(tuple[ServerWord, ...])


class Kept(msgspec.Struct, frozen=True):
    """The server's view of one user, and since when (by the machine's clock) it has differed from the user's status."""

    view: ServerView
    differs_since_us: int | None


def word_of(event: Event) -> ServerWord | None:
    """What a ``server_user_action`` says of a session; None where its action is one that nobody knows."""
    told = event.details
    if told.get("status") is None:
        return None
    return ServerWord(
        session_id=ASKED if told.get("asked") else told.get("zego_session_id") or "unnamed",
        status=told["status"],
        at_us=event.occurred_at_us,
        said_us=told["said_at_us"],
        again=bool(told.get("relogin")),
        reason=told.get("logout_reason"),
        os=told.get("os"),
    )


def follow(connection: sa.Connection, events: Iterable[Event], statuses: Mapping[UserId, Status]) -> None:
    """Brings the views up to what was just appended. ``statuses``: every user that the commit touched."""
    told: dict[UserId, list[ServerWord]] = {}
    now_us = 0
    for event in events:
        now_us = max(now_us, event.received_at_us)
        if event.type == SERVER_USER_ACTION and event.user_id is not None and (word := word_of(event)):
            told.setdefault((event.app_id, event.user_id), []).append(word)
    if not statuses or not (told or _any(connection)):
        return
    found = {(row[0], row[1]): row for row in _rows(connection, statuses)}
    changed = []
    for who, status in statuses.items():
        row = found.get(who)
        if row is None and who not in told:
            continue
        words = _words.decode(row[2]) if row else ()
        for word in told.get(who, ()):
            words = heard(words, word)
        view = server_view(words)
        since = row[3] if row else None
        differs = view is not None and differ(status, view.status)
        new = (since if since is not None else now_us) if differs else None
        if who in told or new != since:
            changed.append((*who, msgspec.json.encode(words).decode(), new))
    if changed:
        connection.exec_driver_sql(_REPLACE, changed)


def views(connection: sa.Connection, users: Collection[UserId]) -> dict[UserId, Kept]:
    """The server's view of those of ``users`` that it ever spoke of."""
    found: dict[UserId, Kept] = {}
    if not _any(connection):
        return found
    for app_id, user_id, words, since in _rows(connection, users):
        view = server_view(_words.decode(words))
        if view is not None:
            found[app_id, user_id] = Kept(view, since)
    return found


def differing_since(connection: sa.Connection) -> dict[UserId, int]:
    """Every user of whom devices and server say different things, and since when: what no event of the log tells."""
    sql = "SELECT app_id, user_id, differs_since_us FROM server_views WHERE differs_since_us IS NOT NULL"
    return {(row[0], row[1]): row[2] for row in connection.exec_driver_sql(sql)}


def restore_since(connection: sa.Connection, since: Mapping[UserId, int]) -> None:
    """Gives back what :func:`differing_since` told, where the two still differ."""
    sql = (
        "UPDATE server_views SET differs_since_us = ? WHERE app_id = ? AND user_id = ? AND differs_since_us IS NOT NULL"
    )
    if since:
        connection.exec_driver_sql(sql, [(at, *who) for who, at in since.items()])


def _any(connection: sa.Connection) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM server_views LIMIT 1").first() is not None


def _rows(connection: sa.Connection, users: Collection[UserId]) -> Iterator[Sequence[Any]]:
    ordered = sorted(users)
    for start in range(0, len(ordered), _CHUNK):
        some = ordered[start : start + _CHUNK]
        marks = ", ".join(["(?, ?)"] * len(some))
        # A join, because SQLite would read the whole index for a pair of columns IN a list.
        sql = (
            f"WITH wanted (app_id, user_id) AS (VALUES {marks}) SELECT {rows.columns(tables.server_views, of='kept')}"
            " FROM wanted CROSS JOIN server_views AS kept USING (app_id, user_id)"
        )
        yield from connection.exec_driver_sql(sql, tuple(part for who in some for part in who)).all()
