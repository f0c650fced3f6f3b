"""The users and clients that one transaction loads, changes and writes."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.lease import LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store.log_positions import Oldest
from sidecar.store.mapping import Client
from sidecar.store.users.client_history import ClientHistory
from sidecar.store.users.recent_blocks import RecentBlocks
from sidecar.store.values import Owner, UserId

# With more clients than this, those that decide nothing any more leave their user's row.
CLIENTS_KEPT: Final = 4
# A user with more deciding clients than this is crowded: all its clients have rows of their own, and only those are
# loaded that events touch or that decide the rest (client_rows.py). It stays so until half as many are live.
CLIENTS_PACKED: Final = 16

# Of a set that loads nothing.
_NO_TIME: Final = LeaseTime.without_skips(0)

ClientOfUser = tuple[int, str | None, bytes]
"""App, user and client id."""


class User(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """A user, or a client without one (``user_key`` is ``NOBODY``).

    ``clients`` are at least the live ones, the one that ended last and the one seen last; ``left_elsewhere_us`` is when
    the last of all others left online. ``crowded``: the clients are not packed in the user's row. ``place_changed``:
    its place in lists has changed since the row was written. ``rooted_trace`` is the trace of the last connection state
    change, which has its root.
    """

    user_key: int
    app_id: int = 0
    user_id: str = ""
    stored: bool = False
    clients: dict[bytes, Client]
    left_elsewhere_us: int | None = None
    crowded: bool = False
    status: Status = NOT_LOGGED_IN
    last_seen_at_us: int = 0
    last_position: int | None = None
    changed_position: int = 0
    group_key: int | None = None
    lease_check_us: int | None = None
    lease_lapsed: bool = False
    token_expires_at_us: int | None = None  # as written last
    place_changed: bool = False
    rooted_trace: bytes | None = None


class TouchedClient(msgspec.Struct):
    """A client that the transaction touches, its last position in the table, and its events since."""

    client: Client
    head: int | None
    applied: list[tuple[int, Event]] = []
    history: ClientHistory | None = None


class WorkingSet:
    """Loaded from the tables, changed by events, and written once.

    ``loaded`` has more than is written: ``touched`` are the users and ``clients`` the clients that changed.
    """

    __slots__ = (
        "_oldest",
        "clients",
        "connection",
        "heartbeat_after_s",
        "late_work",
        "loaded",
        "new_clients",
        "new_traces",
        "recent_blocks",
        "repacked",
        "rootless_traces",
        "statuses",
        "time",
        "touched",
    )

    def __init__(
        self,
        connection: sa.Connection,
        recent_blocks: RecentBlocks,
        heartbeat_after_s: int = 0,
        time: LeaseTime = _NO_TIME,
    ) -> None:
        self.connection = connection
        self.time = time
        self.recent_blocks = recent_blocks
        self._oldest: Oldest | None = None
        # The interval between heartbeats that clients are given; 0: none is.
        self.heartbeat_after_s = heartbeat_after_s
        self.loaded: dict[Owner, User] = {}
        self.touched: dict[UserId, User] = {}
        # By the id() of the client.
        self.clients: dict[int, TouchedClient] = {}
        # By user key: clients with rows of their own, which are deleted once they are packed in the user's row.
        self.repacked: dict[int, list[tuple[int]]] = {}
        # By user key: clients that events name and that do not exist yet.
        self.new_clients: dict[int, dict[bytes, None]] = {}
        # By user key: how many of its loaded clients have each status.
        self.statuses: dict[int, Counter[Status]] = {}
        self.new_traces: dict[bytes, int] = {}
        self.rootless_traces: set[bytes] = set()
        # How many events were applied for late ones.
        self.late_work = 0

    def touch(self, client: Client) -> TouchedClient:
        """Marks a client as touched, before it changes."""
        touched = self.clients[id(client)] = TouchedClient(client, client.last_position)
        return touched

    def history(self, touched: TouchedClient, app_id: int) -> ClientHistory:
        """The history of a touched client of an app, the same at each call."""
        if touched.history is None:
            if self._oldest is None:
                self._oldest = self.recent_blocks.begin(self.connection)
            known = self.recent_blocks.take(touched.client)
            oldest = self._oldest.of(app_id)
            touched.history = ClientHistory(
                self.connection, touched.client, touched.head, touched.applied, known=known, oldest=oldest
            )
        return touched.history

    def repack(self, user: User, client: Client) -> None:
        """Adds a client that has a row of its own to those of the user's row."""
        user.clients[client.client_id] = client
        self.repacked.setdefault(user.user_key, []).append((client.client_key,))


def owner_of(event: Event) -> Owner:
    """Whose the event is."""
    return event.client_id if event.user_id is None else (event.app_id, event.user_id)


def trace_of(event: Event) -> bytes:
    """The trace of a connection state change: its session, or its client where it names none."""
    return event.session_id or event.client_id
