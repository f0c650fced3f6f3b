"""The protocol of a database engine: all that differs between engines.

A commit of events calls it in one order: new ids, locks of the users, positions, then the rows and the counts, then the
announcement. An engine with one writer (SQLite) has nothing to lock. One with several nodes (PostgreSQL) relies on that
order: a position is drawn while the users are locked, so that of two events of one user the one applied later has the
larger position, whichever node took it.

The rest of the store is SQL on a connection of a :class:`Database`, which :func:`of` finds from the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.texts import Sentence, Text
from sidecar.store.log_partitions import LogPartitions
from sidecar.store.values import Applied, Commit, Owner, Storage

Key = tuple[int, bytes]
"""The app and the event's id, which identify an event. Apps do not share ids, so that none can use up another's."""

# A shorter part of an id is slow to find: it is a prefix of many trigrams.
SHORT_PART: Final = 3
RETRY_AFTER_S: Final = 5
"""When callers are to try again while the database fails."""
CANNOT_READ: Final = Sentence("store.cannot_read", "the database cannot be read: %(why)s")
CANNOT_COMMIT: Final = Sentence("store.cannot_commit", "the database cannot commit: %(why)s")
_OPTION: Final = "zimwatch_database"
_LOWER: Final = {ord(upper): ord(upper.lower()) for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class Minute(msgspec.Struct, frozen=True):
    """What to add to a minute of one app, or of every app together.

    ``users``: the number of each status, in the order of ``STATUSES``. None keeps those of the minute, or takes those
    of the minute before where it is new.
    """

    minute: int
    every_app: bool
    app_id: int
    users: tuple[int, ...] | None
    happened: tuple[int, ...]


class Expressions(msgspec.Struct, frozen=True):
    """SQL expressions that differ between engines, for statements that are otherwise the same.

    ``id_has``: whether a user's id contains a part, which is given folded. ``each_client``: one row, with the column
    ``value``, for each client in a row of ``user_status``. ``event_ids``: a table ``ids`` with the app, id and position
    of each event.
    """

    id_has: str
    each_client: str
    event_ids: str


class Term(msgspec.Struct, frozen=True, eq=False):
    """One holding of a duty: from when this node took it until it loses it. ``is_for_good``: it cannot lose it."""

    duty: str
    is_for_good: bool


class Node(msgspec.Struct, frozen=True):
    """A process that serves the database now.

    ``since_us``: when its session began. ``seen_us``: when it last did something. ``is_this``: it is this one.
    """

    name: str
    since_us: int
    seen_us: int
    is_this: bool
    duties: tuple[str, ...]


class Care(Protocol):
    """The engine's upkeep beside commits, called by the writer's thread, and its state."""

    problem: Text | None
    """Why the last commit failed; None where it did not."""
    to_wipe: bool
    """Set to have what was deleted overwritten in the files, in slices of :meth:`tend`; False once it is."""
    is_tight: bool
    """Whether the disk had little room at the last look: then slices of deletion must be small."""

    def failed(self, error: Exception) -> Text | None:
        """To be called after a failed transaction: why it failed, or None where the work was the reason."""

    def is_to_blame(self, error: Exception) -> bool:
        """Whether a transaction failed because of the database, and not of its work or a statement of that."""

    def patience_s(self) -> float | None:
        """The seconds until :meth:`tend` has something to do; None where it has nothing."""

    def tend(self) -> None:
        """Does what is due: after a failure it tries whether a commit succeeds again."""

    def waits_for(self) -> Text | None:
        """The problem while a transaction has waited long for its begin; None where none has."""

    def hurry(self) -> None:
        """From now on no transaction waits long, because the process is to stop."""

    def used_bytes(self, connection: sa.Connection) -> int:
        """The size of the data, without free pages."""

    def give_back(self, connection: sa.Connection) -> int:
        """Returns some free pages to the disk, in the transaction; how many."""

    def look_for_room(self) -> None:
        """Sets :attr:`is_tight`."""

    def size(self, connection: sa.Connection, now_us: int) -> Storage:
        """The size of the database, its growth and the room left on its disk; no table is scanned."""

    def problems(self) -> list[str]:
        """What is damaged; empty where nothing is. It may take minutes, without delaying commits."""

    def backup(self, target: Path) -> None:
        """Copies the database as of one moment to a new file, without delaying commits."""


class Database(Protocol):
    """One open database.

    Methods with a connection are called within a transaction of :meth:`begin`, or of :meth:`reading` where they say so,
    in the thread that began it.
    """

    @property
    def name(self) -> str:
        """Where it is, without a password, for messages."""

    @property
    def care(self) -> Care:
        """See :class:`Care`."""

    @property
    def log_partitions(self) -> LogPartitions:
        """See :class:`sidecar.store.log_partitions.LogPartitions`."""

    @property
    def expressions(self) -> Expressions:
        """See :class:`Expressions`."""

    @property
    def refuses(self) -> Callable[[Event], str | None] | None:
        """Gives the reason why an event cannot be stored, None where it can; or None itself if every event can be."""

    def migrate(self) -> bool:
        """Brings the tables up to date; whether the projections must be rebuilt then. The first call."""

    def begin(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that writes. It is committed to the disk before the context ends, or undone by an error.

        It sees all earlier commits. SQLite has one at a time, and others wait for it; elsewhere others run beside it,
        and it waits for the rows that it locks.
        """

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A consistent snapshot, in which nothing can be written. It delays no commit.

        StoreUnavailableError where the database cannot be read.
        """

    def peek(self, sql: str, *values: Any) -> list[Sequence[Any]]:  # noqa: ANN401 - what the driver takes
        """The rows of one small read as of now, for what every request needs. Used by one thread."""

    def walk(
        self, connection: sa.Connection, sql: str, values: Sequence[Any], *, most: int | None = None
    ) -> Iterator[Sequence[Any]]:
        """The rows of a read that may have very many: read about as far as they are consumed, in the transaction.

        No more than ``most`` are consumed.
        """

    def whole_rows(self, connection: sa.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement as plain tuples: what reads very many rows, some thousand at once.

        Flags have to be cast to integers, and numbers are integers: for whole tables, which have nothing else.
        """

    def unannounced(self) -> int:
        """A number that changes with each commit that was not announced here; after other commits it may change too.

        For what is kept in memory: as long as the number is the same, only announced commits changed anything. It costs
        as much as a small :meth:`peek`, and is used by the same thread. With SQLite another process announces nothing,
        and its commits change the number; elsewhere all nodes and commands announce, and it changes when announcements
        may have been missed.
        """

    def new_ids(self, connection: sa.Connection, keys: Collection[Key], *, claim: bool = True) -> set[Key]:
        """The keys that are not in the log. With ``claim`` they belong to this transaction until it ends.

        Another transaction that claims one of them waits for the end of this one, and then finds it known, or new where
        this one was undone. Without ``claim`` it also works on a snapshot.
        """

    def lock_users(self, connection: sa.Connection, events: Collection[Event]) -> None:
        """Locks the users of the events until the transaction ends, in the order of (app, id) to avoid deadlocks.

        Until then no other transaction changes these users, and reads of them see the latest commit.
        """

    def new_positions(self, connection: sa.Connection, count: int) -> int:
        """The first of ``count`` consecutive positions, larger than those of all events of the locked users.

        Unused ones are lost, or used by the next transaction. With SQLite there are no gaps, and transactions commit in
        the order of their positions; elsewhere there may be gaps, and a smaller position may be committed after a
        larger one: so only :meth:`log_behind` may read a log that grows.
        """

    def insert_events(
        self, connection: sa.Connection, applied: Sequence[Applied], dropped: Collection[Key] = ()
    ) -> None:
        """Inserts the rows of the events. ``dropped`` were claimed, and are new again after the commit."""

    def insert_rows(self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Inserts whole rows of any table, with their keys."""

    def keys_were_given(self, connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
        """To be called after :meth:`insert_rows` of many: the keys that the database makes follow the largest ones."""

    def count(
        self, connection: sa.Connection, *, groups: Sequence[tuple[int, int]] = (), minutes: Sequence[Minute] = ()
    ) -> None:
        """Adds to the counts of groups (number of users, key of the group) and of minutes.

        Readers see the sums after the commit. An engine on which many nodes would wait for one row may store the
        additions separately, and merge them later.
        """

    def log_behind(self, connection: sa.Connection, cursor: int, limit: int) -> list[Applied]:
        """The next events after the position ``cursor`` with their effects, oldest first; on a snapshot too.

        ``limit`` of them, or fewer where there are no more. No event can be committed any more at a position before the
        last of them, so that a cursor moved there has missed none.
        """

    def index_ids(self, connection: sa.Connection, users: Sequence[tuple[int, str]] | None) -> None:
        """Adds users, by key and id, to the index of :meth:`find`; None rebuilds the index from all users."""

    def forget_id(self, connection: sa.Connection, user_key: int, user_id: str) -> None:
        """Removes a user from the index of :meth:`find`."""

    def purge_ids(self, connection: sa.Connection, *, is_first: bool) -> bool:
        """Removes for good what :meth:`forget_id` removed from the index, in slices; whether more are needed."""

    def find(self, connection: sa.Connection, part: str, limit: int) -> list[int]:
        """Keys of users whose id may contain ``part``, A to Z like a to z, in no order; on a snapshot too.

        All of them, unless there are more than ``limit``.
        """

    def changed(self, connection: sa.Connection, owners: Collection[Owner] | None) -> None:
        """Says whose projections the transaction changes, for what other processes keep in memory; None for any."""

    def changed_elsewhere(self, connection: sa.Connection) -> Collection[Owner] | None:
        """Whose projections other processes changed, since the last call of this process; None where any may be.

        In a transaction of :meth:`begin`, before anything is read that was kept in memory.
        """

    def is_shared(self, connection: sa.Connection) -> bool:
        """Whether another process serves the database, too."""

    def commits_behind(self, connection: sa.Connection) -> int:
        """How many commits of other processes the connection sees that listeners have not received yet."""

    def announce(self, connection: sa.Connection, commit: Commit) -> None:
        """Sends ``commit`` to every listener of every node once the transaction is committed; not if it is undone.

        A listener receives the announcements in the order of the commits. One that was away has to read what it missed.
        """

    def listen(self, callback: Callable[[Commit], None], *, elsewhere: bool = False) -> Callable[[], None]:
        """Calls ``callback``, which must not block or raise, with each announcement, in any thread.

        With ``elsewhere`` only with those of other processes. Those that come before a transaction are given before
        :meth:`begin` returns it.

        Returns a function that ends that.
        """

    def take_duties(self, connection: sa.Connection, duties: Collection[str]) -> None:
        """Takes those duties that no node has: jobs that one node does for all. See :meth:`term`.

        They are this node's until the session that writes ends, however that ends, which it also does when the process
        stalls: also if this transaction is undone.
        """

    def term(self, duty: str) -> Term | None:
        """This node's holding of the duty. In any thread.

        None where the node does not have the duty, or cannot know it because the server does not answer.
        """

    def is_held(self, term: Term) -> bool:
        """Whether the session of the transaction holds the duty, so that no other node can have it until its end."""

    def nodes(self, connection: sa.Connection, duties: Collection[str]) -> list[Node]:
        """The processes that serve the database, with those of the duties that each holds; on a snapshot.

        Empty where only this process can.
        """

    def close(self) -> None:
        """Closes all connections, and releases the right to serve the database."""


def option(database: Database) -> dict[str, Any]:
    """The execution options of an engine's connections, by which :func:`of` finds it."""
    return {_OPTION: database}


def of(connection: sa.Connection) -> Database:
    """The database of this connection."""
    found: Database = connection.get_execution_options()[_OPTION]
    return found


def size(connection: sa.Connection, now_us: int) -> Storage:
    """See :meth:`Care.size`."""
    return of(connection).care.size(connection, now_us)


def nodes(connection: sa.Connection, duties: Collection[str]) -> list[Node]:
    """See :meth:`Database.nodes`."""
    return of(connection).nodes(connection, duties)


def folded(text: str) -> str:
    """A to Z as a to z, and all else unchanged: how parts of ids are compared."""
    return text.translate(_LOWER)
