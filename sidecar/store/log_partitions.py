"""Partitions of the event log: what an engine that has them makes ahead, and drops as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from sidecar.store.values import UserId


class Partition(msgspec.Struct, frozen=True):
    """A partition behind which there are events; ``first``, ``last`` and the times are of its events.

    Without any the position before its end, and 0.
    """

    name: str
    first: int
    last: int
    first_received_us: int
    last_received_us: int


class Detached(msgspec.Struct, frozen=True):
    """A partition that is no longer part of the log. What follows from its events up to ``through`` is deleted."""

    name: str
    through: int


class LogPartitions(Protocol):
    """Methods are called within a transaction that writes."""

    def make_ahead(self, connection: sa.Connection) -> None:
        """Makes the next partition when the last one is half full."""

    def oldest(self, connection: sa.Connection) -> Partition | None:
        """The oldest partition, if it gets no more events."""

    def lock(self, connection: sa.Connection) -> bool:
        """Has readers of the log wait until the transaction ends; False where one does not end soon."""

    def detach(self, connection: sa.Connection, partition: Partition) -> None:
        """Takes it out of the log, which is locked."""

    def detached(self, connection: sa.Connection) -> Detached | None:
        """One that was detached and not dropped."""

    def events(self, connection: sa.Connection, partition: Detached, limit: int) -> Sequence[Any]:
        """The next events of it, as retention reads them."""

    def forget(self, connection: sa.Connection, partition: Detached, through: int) -> None:
        """What follows from its events up to ``through`` is deleted: their ids may be used again."""

    def drop(self, connection: sa.Connection, partition: Detached) -> None:
        """Drops it, with all of its events."""

    def erase(
        self, connection: sa.Connection, user: UserId, user_key: int | None, client_ids: Sequence[bytes]
    ) -> Sequence[Any]:
        """Deletes a user's events, and those without a user of its clients, from all that were detached: gives them.

        ``client_ids`` are those of its clients that have no rows of their own.
        """


class NoPartitions:
    """The :class:`LogPartitions` of an engine whose log is one table."""

    def make_ahead(self, connection: sa.Connection) -> None:
        """Nothing."""

    def oldest(self, connection: sa.Connection) -> Partition | None:  # noqa: ARG002 - there is none
        """None."""
        return None

    def lock(self, connection: sa.Connection) -> bool:
        """Never called."""
        raise NotImplementedError

    def detach(self, connection: sa.Connection, partition: Partition) -> None:
        """Never called."""
        raise NotImplementedError

    def detached(self, connection: sa.Connection) -> Detached | None:  # noqa: ARG002 - there is none
        """None."""
        return None

    def events(self, connection: sa.Connection, partition: Detached, limit: int) -> Sequence[Any]:
        """Never called."""
        raise NotImplementedError

    def forget(self, connection: sa.Connection, partition: Detached, through: int) -> None:
        """Never called."""
        raise NotImplementedError

    def drop(self, connection: sa.Connection, partition: Detached) -> None:
        """Never called."""
        raise NotImplementedError

    def erase(
        self,
        connection: sa.Connection,  # noqa: ARG002 - there is none
        user: UserId,  # noqa: ARG002 - same
        user_key: int | None,  # noqa: ARG002 - same
        client_ids: Sequence[bytes],  # noqa: ARG002 - same
    ) -> Sequence[Any]:
        """Nothing."""
        return ()
