"""Followers of the log: pending spans, counts per minute, the alert rules.

Each has a cursor in the table ``followers``: the position up to which it has followed the log. It is moved in the
transaction of the effect, so that no event is followed twice or skipped, whatever ends the process.

- A follower that is up to date follows an append in the same transaction, so that an alert is committed with its event.
  One statement moves the cursors of all of these.
- A follower that is behind, after a failure or while it did not run, reads the log in slices, each a transaction of its
  own. A new one begins at the newest position.
- A failing follower never rejects an event: the append is rolled back and repeated without followers, which are behind
  then. A slice that fails is bisected until the failing event is isolated; that one is skipped, logged and counted.
- A rebuild moves no cursor, and heartbeats are not in the log.

Open pages and ``/v1/stream`` are no followers: they listen to the announcements of commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import sqlalchemy as sa
import structlog
from opentelemetry import metrics

from sidecar.store.database import Database, of
from sidecar.store.log_positions import NEWEST
from sidecar.store.values import Applied, Commit

# How many events a follower that is behind follows in one transaction; commits wait for it.
SLICE: Final = 1_000

_log = structlog.get_logger(__name__)
_left_out = metrics.get_meter("zimwatch").create_counter(
    "zimwatch.followers.left_out", description="Events that a follower of the log could not follow, by follower"
)


class Follower(Protocol):
    """A follower of the log. It runs for every event: in one pass, with few statements."""

    @property
    def name(self) -> str:
        """The name of its cursor."""

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int, /) -> Commit | None:
        """Writes the effects of ``applied``, in the order of their positions; what to publish of them, or None.

        ``now_us`` is the newest receipt. The transaction may be rolled back and repeated with other positions, so no
        state may be kept outside the tables.
        """


class FollowerFailedError(Exception):
    """The transaction must be rolled back and repeated; :class:`Followers` does not follow it then."""


def behind(connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
    """How many events in the log each of these followers has not followed."""
    sql = f"SELECT name, ({NEWEST}) - position FROM followers WHERE name IN ({', '.join('?' * len(names))})"
    return {str(name): max(0, int(events)) for name, events in connection.exec_driver_sql(sql, tuple(names))}


class Followers:
    """The followers of one log, used by the writer's thread. ``is_behind``: :meth:`catch_up` is due."""

    def __init__(self, *followers: Follower) -> None:
        self._followers = followers
        self.names = tuple(one.name for one in followers)
        self._move_all = (
            f"UPDATE followers SET position = ? WHERE position = ? AND name IN ({', '.join('?' * len(followers))})"
        )
        # By name: the size of the next slice. By name and position: why the event could not be followed.
        self._limits: dict[str, int] = {}
        self._errors: dict[tuple[str, int], Exception] = {}
        self._pauses = False
        self.is_behind = False

    def begin(self, connection: sa.Connection) -> None:
        """Begins new followers at the newest position."""
        for name in self.names:
            _left_out.add(0, {"follower": name})  # so that the first increment is visible as one
            sql = f"INSERT INTO followers (name, position) VALUES (?, ({NEWEST})) ON CONFLICT (name) DO NOTHING"
            connection.exec_driver_sql(sql, (name,))
        self.is_behind = bool(self.names)  # until they are checked

    def follow(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int) -> Commit | None:
        """Calls the followers that are up to date; what to publish. FollowerFailedError if one of them fails."""
        if not self._followers or self._pauses:
            return None
        last = applied[-1].position
        moved = connection.exec_driver_sql(self._move_all, (last, applied[0].position - 1, *self.names)).rowcount
        following = self._followers
        if moved < len(following):
            self.is_behind = True
            following = tuple(one for one in following if _position(connection, one.name) == last)
        try:
            return Commit.of_all([one.follow(connection, applied, now_us) for one in following])
        except Exception as error:
            if of(connection).care.is_to_blame(error):
                raise  # the transaction cannot be kept either way
            _log.warning("a follower failed; the events are kept, and it follows them later", problem=repr(error))
            self._pauses = self.is_behind = True
            raise FollowerFailedError from error

    def catch_up(self, database: Database, now_us: int) -> None:
        """Follows one slice with each follower that is behind, in a transaction of its own. Never raises."""
        self._pauses = False
        behind = [self._catch_up(one, database, now_us) for one in self._followers]
        self.is_behind = any(behind)

    def _catch_up(self, follower: Follower, database: Database, now_us: int) -> bool:
        """Whether more events may be due."""
        limit = self._limits.get(follower.name, SLICE)
        applied: Sequence[Applied] = ()
        unfit: Exception | None = None
        try:
            with database.begin() as connection:
                cursor = _position(connection, follower.name)
                applied = database.log_behind(connection, cursor, limit) if cursor is not None else ()
                if cursor is None or not applied:
                    return False
                _warn_of_deleted(connection, follower.name, cursor)
                unfit = self._errors.pop((follower.name, applied[0].position), None)
                if unfit is not None:
                    _skip(follower.name, applied[0], unfit)
                elif (shown := follower.follow(connection, applied, now_us)) is not None:
                    database.announce(connection, shown)
                _move(connection, follower.name, applied[-1].position)
        except Exception as error:  # noqa: BLE001 - it is repeated with a smaller slice
            if database.care.failed(error) is not None:
                return True
            if not applied or unfit is not None:
                _log.exception("a follower is behind, and tries again after the next commit", follower=follower.name)
                return False
            self._limits[follower.name] = max(1, len(applied) // 2)
            if len(applied) == 1:
                self._errors[follower.name, applied[0].position] = error
            return True
        self._limits[follower.name] = min(SLICE, limit * 2)
        return len(applied) == limit


def _skip(name: str, applied: Applied, error: Exception) -> None:
    _left_out.add(1, {"follower": name})
    _log.error(
        "an event cannot be followed, and is skipped",
        follower=name,
        position=applied.position,
        event_id=applied.event.id.hex(),
        exc_info=error,
    )


def _position(connection: sa.Connection, name: str) -> int | None:
    found: int | None = connection.exec_driver_sql("SELECT position FROM followers WHERE name = ?", (name,)).scalar()
    return found


def _move(connection: sa.Connection, name: str, position: int) -> None:
    connection.exec_driver_sql("UPDATE followers SET position = ? WHERE name = ?", (position, name))


def _warn_of_deleted(connection: sa.Connection, name: str, cursor: int) -> None:
    first = int(connection.exec_driver_sql("SELECT MIN(position) FROM events").scalar_one())
    if first > cursor + 1:
        _log.warning("events were deleted before they were followed", follower=name, after=cursor, before=first)
