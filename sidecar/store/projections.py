"""What follows from the event log: clients, traces, user status and its counts.

Used inside the transaction that appends the events, and by :func:`rebuild`, which throws everything that follows
away and applies the log again; both go through :meth:`Projections.apply`, so they cannot disagree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.domain import login_state
from sidecar.domain.events import CONNECTION_STATE_CHANGED, SERVER_USER_ACTION, Event
from sidecar.domain.lease import Leases
from sidecar.domain.login_state import LoginState, Transition
from sidecar.domain.presence import presence, status_of
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import rows, tables
from sidecar.store.rows import Client

_CHUNK = 400
_NO_TRANSITION = Transition(None, None)
UserId = tuple[int, str]


class Effect(msgspec.Struct, frozen=True):
    """What applying one event told: the pointers of its row, and what its span says."""

    previous: tuple[int | None, int | None, int | None]
    trace_id: bytes
    is_root: bool
    transition: Transition
    user_status: Status | None


class _User(msgspec.Struct, kw_only=True):
    user_key: int
    app_id: int
    user_id: str
    counted_as: Status | None = None  # the status under which user_counts has it; None: not yet
    last_seen_at_us: int = 0
    last_position: int | None = None
    changed_position: int = 0


class _Trace(msgspec.Struct):
    trace_key: int
    last_position: int | None = None
    root_position: int | None = None


class Projections:
    """The rows that a set of events touches: read by :meth:`load`, moved on in memory, written by :meth:`write`."""

    def __init__(self, connection: sa.Connection, leases: Leases) -> None:
        self._connection = connection
        self._leases = leases
        self._users: dict[UserId, _User] = {}
        self._clients: dict[tuple[bytes, int], Client] = {}
        self._traces: dict[bytes, _Trace] = {}
        # Every live client of each user and those touched: what a user's status follows from.
        self._states: dict[int, dict[int, LoginState]] = defaultdict(dict)
        # The log of a client as it was when loaded (read where an event is late), and what was applied since.
        self._heads: dict[int, int | None] = {}
        self._stored: dict[int, list[Event]] = {}
        self._applied: dict[int, list[Event]] = defaultdict(list)
        self._touched: set[UserId] = set()
        # What :meth:`write` has written, by user.
        self.statuses: dict[UserId, Status] = {}

    def load(self, events: Collection[Event]) -> None:
        """Reads what ``events`` will touch; users, clients and traces that are new get their keys."""
        self._load_users({(e.app_id, e.user_id) for e in events if e.user_id is not None})
        self._load_clients({event.client_id for event in events})
        self._load_traces({event.session_id or event.client_id for event in events})

    def apply(self, position: int, event: Event) -> Effect:
        """Moves everything on by one event that is new to the log and stands at ``position``."""
        if event.type == SERVER_USER_ACTION:
            return self._note(position, event)
        user, client, trace = self._user_of(event), self._client_of(event), self._trace_of(event)
        previous = (user.last_position if user else None, trace.last_position, client.last_position)
        shown = client.shown
        if event.order > client.state.order:
            made = self._advance(client, event)
        elif event.type in login_state.SHAPES_STATE:
            made = self._fold_anew(client, event)
        else:
            made = _NO_TRANSITION
        self._applied[client.client_key].append(event)
        is_root = event.type == CONNECTION_STATE_CHANGED and trace.root_position is None
        if is_root:
            trace.root_position = position
        trace.last_position = client.last_position = position
        client.last_seen_at_us = event.received_at_us
        status = None
        if user is not None and event.user_id is not None:
            user.last_position = position
            user.last_seen_at_us = event.received_at_us
            if user.changed_position == 0 or client.shown != shown:
                user.changed_position = position
            status = status_of(self._states[user.user_key].values())
            self._touched.add((event.app_id, event.user_id))
        return Effect(previous, event.session_id or event.client_id, is_root, made, status)

    def _note(self, position: int, event: Event) -> Effect:
        """The server's word is on the user's timeline, and is of no client: status and lease stay as they are."""
        user = self._users[event.app_id, event.user_id or ""]
        previous = user.last_position
        user.last_position = user.changed_position = position
        user.last_seen_at_us = user.last_seen_at_us or event.received_at_us
        self._touched.add((user.app_id, user.user_id))
        return Effect((previous, None, None), event.client_id, False, _NO_TRANSITION, None)

    def renew_lease(self, heartbeat: Event) -> None:
        """A sign of life. One of a client that nothing else is known of says nothing yet."""
        user = self._user_of(heartbeat)
        client = self._clients.get((heartbeat.client_id, user.user_key if user else tables.NOBODY))
        if client is None or client.last_position is None:
            return
        client.sends_heartbeats = True
        client.last_seen_at_us = heartbeat.received_at_us
        if user is not None and heartbeat.user_id is not None:
            user.last_seen_at_us = heartbeat.received_at_us
            self._touched.add((heartbeat.app_id, heartbeat.user_id))

    def remember(self, heard: dict[tuple[bytes, UserId | None], int]) -> None:
        """Gives back what heartbeats told of clients, which the log does not hold (see :func:`rebuild`)."""
        users = {user.user_key: who for who, user in self._users.items()}
        for client in self._clients.values():
            last_seen_at_us = heard.get((client.client_id, users.get(client.user_key)))
            if last_seen_at_us is not None:
                client.sends_heartbeats = True
                client.last_seen_at_us = max(client.last_seen_at_us, last_seen_at_us)
                who = users.get(client.user_key)
                if who is not None:
                    self._users[who].last_seen_at_us = max(self._users[who].last_seen_at_us, last_seen_at_us)

    def write(self) -> list[UserId]:
        """Writes what changed; the users that were touched."""
        clients = sorted((c for c in self._clients.values() if c.last_position), key=lambda c: c.client_key)
        traces = sorted((t.trace_key, i, t.last_position, t.root_position) for i, t in self._traces.items())
        self._many(rows.insert(tables.clients, replace=True), [rows.client_row(client) for client in clients])
        self._many(rows.insert(tables.traces, replace=True), [row for row in traces if row[2] is not None])
        touched = sorted((self._users[who] for who in self._touched), key=lambda user: user.user_key)
        self._write_users(touched)
        return [(user.app_id, user.user_id) for user in touched]

    def _write_users(self, users: list[_User]) -> None:
        clients: dict[int, list[Client]] = defaultdict(list)
        left: dict[int, int] = {}
        keys = [user.user_key for user in users]
        for client in self._deciding_clients(keys):
            clients[client.user_key].append(client)
        sql = "SELECT user_key, MAX(left_online_us) FROM clients WHERE user_key IN ({}) GROUP BY user_key"
        left.update((row[0], row[1]) for row in self._select(sql, keys))
        counts: Counter[tuple[int, Status]] = Counter()
        out = []
        for user in users:
            own = clients[user.user_key]
            found = presence([client.state for client in own], left_online_us=left.get(user.user_key))
            decisive = next((client for client in own if client.state is found.decided_by), own[-1] if own else None)
            alive = [
                self._leases.until_us(client.last_seen_at_us, sends_heartbeats=client.sends_heartbeats)
                for client in own
                if client.state.status != NOT_LOGGED_IN
            ]
            if user.counted_as is not None:
                counts[user.app_id, user.counted_as] -= 1
            counts[user.app_id, found.status] += 1
            self.statuses[user.app_id, user.user_id] = found.status
            out.append(
                (
                    user.user_key,
                    user.app_id,
                    user.user_id,
                    found.status,
                    found.since_us,
                    found.reason,
                    decisive.state.token_expires_at_us if decisive else None,
                    decisive.platform if decisive else None,
                    max(alive, default=None),
                    user.last_seen_at_us,
                    user.last_position,
                    user.changed_position,
                )
            )
        self._many(rows.insert(tables.user_status, replace=True), out)
        count = (
            "INSERT INTO user_counts (app_id, status, users) VALUES (?, ?, ?)"
            " ON CONFLICT (app_id, status) DO UPDATE SET users = users + excluded.users"
        )
        self._many(count, [(app_id, status, users) for (app_id, status), users in sorted(counts.items()) if users])

    def _advance(self, client: Client, event: Event) -> Transition:
        """The event is newer than all before: the state moves on, and the client is what it now says it is."""
        made = login_state.transition(client.state, event)
        login_state.apply(client.state, event)
        for name in ("platform", "sdk_name", "sdk_version", "app_version", "device_id"):
            value = getattr(event, name)
            if value is not None:
                setattr(client, name, value)
        return made if event.type == CONNECTION_STATE_CHANGED else _NO_TRANSITION

    def _fold_anew(self, client: Client, late: Event) -> Transition:
        """The event came after newer ones: the state is folded anew from the client's part of the log."""
        key = client.client_key
        if key not in self._stored:
            self._stored[key] = _client_log(self._connection, self._heads[key])
        history = [*self._stored[key], *self._applied[key]]
        before = login_state.fold(event for event in history if event.order < late.order)
        made = login_state.transition(before, late)
        client.state = login_state.fold([*history, late])
        self._states[client.user_key][key] = client.state
        return made if late.type == CONNECTION_STATE_CHANGED else _NO_TRANSITION

    def _user_of(self, event: Event) -> _User | None:
        return None if event.user_id is None else self._users[event.app_id, event.user_id]

    def _client_of(self, event: Event) -> Client:
        user = self._user_of(event)
        key = (event.client_id, user.user_key if user else tables.NOBODY)
        client = self._clients.get(key)
        if client is None:
            client = Client(
                client_key=self._next_client_key,
                client_id=key[0],
                user_key=key[1],
                state=LoginState(),
                last_seen_at_us=0,
            )
            self._next_client_key += 1
            self._hold(client)
        return client

    def _trace_of(self, event: Event) -> _Trace:
        return self._traces[event.session_id or event.client_id]

    def _hold(self, client: Client) -> None:
        self._clients[client.client_id, client.user_key] = client
        self._states[client.user_key][client.client_key] = client.state
        self._heads[client.client_key] = client.last_position

    def _load_users(self, wanted: set[UserId]) -> None:
        sql = (
            "SELECT user_key, app_id, user_id, status, last_seen_at_us, last_position, changed_position"
            " FROM user_status WHERE (app_id, user_id) IN (VALUES {})"
        )
        for row in self._select(sql, wanted, mark="(?, ?)"):
            self._users[row[1], row[2]] = _User(
                user_key=row[0],
                app_id=row[1],
                user_id=row[2],
                counted_as=row[3],
                last_seen_at_us=row[4],
                last_position=row[5],
                changed_position=row[6],
            )
        first = self._next_key(tables.user_status.c.user_key)
        for key, (app_id, user_id) in enumerate(sorted(wanted - self._users.keys()), start=first):
            self._users[app_id, user_id] = _User(user_key=key, app_id=app_id, user_id=user_id)

    def _load_clients(self, client_ids: set[bytes]) -> None:
        every = rows.columns(tables.clients)
        for row in self._select(f"SELECT {every} FROM clients WHERE client_id IN ({{}})", client_ids):
            self._hold(rows.client_of(row))
        live = (
            f"SELECT user_key, client_key, status FROM clients WHERE user_key IN ({{}}) AND status <> '{NOT_LOGGED_IN}'"
        )
        for user_key, client_key, status in self._select(live, [user.user_key for user in self._users.values()]):
            self._states[user_key].setdefault(client_key, LoginState(status=status))
        self._next_client_key = self._next_key(tables.clients.c.client_key)

    def _load_traces(self, trace_ids: set[bytes]) -> None:
        sql = "SELECT trace_id, trace_key, last_position, root_position FROM traces WHERE trace_id IN ({})"
        for row in self._select(sql, trace_ids):
            self._traces[row[0]] = _Trace(*row[1:])
        first = self._next_key(tables.traces.c.trace_key)
        for key, trace_id in enumerate(sorted(trace_ids - self._traces.keys()), start=first):
            self._traces[trace_id] = _Trace(key)

    def _deciding_clients(self, user_keys: Sequence[int]) -> Iterator[Client]:
        """Each user's live clients, and the one that ended last of those that are not: the rest decide nothing."""
        every = rows.columns(tables.clients)
        sql = (
            f"SELECT {every} FROM (SELECT *, ROW_NUMBER() OVER"
            " (PARTITION BY user_key, status ORDER BY since_us DESC, last_id DESC) AS place"
            f" FROM clients WHERE user_key IN ({{}})) WHERE place = 1 OR status <> '{NOT_LOGGED_IN}'"
            " ORDER BY last_seen_at_us"
        )
        return (rows.client_of(row) for row in self._select(sql, user_keys))

    def _next_key(self, column: sa.Column[Any]) -> int:
        sql = f"SELECT COALESCE(MAX({column.name}), 0) + 1 FROM {column.table.name}"
        return int(self._connection.exec_driver_sql(sql).scalar_one())

    def _select(self, sql: str, values: Collection[Any], *, mark: str = "?") -> Iterator[Sequence[Any]]:
        """Rows of ``sql`` with its {} filled by a mark a value, in runs that fit one statement."""
        ordered = sorted(values)
        for start in range(0, len(ordered), _CHUNK):
            some = ordered[start : start + _CHUNK]
            flat = tuple(part for value in some for part in (value if isinstance(value, tuple) else (value,)))
            filled = sql.format(", ".join([mark] * len(some)))
            yield from self._connection.exec_driver_sql(filled, flat).all()

    def _many(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        if listed := list(values):
            self._connection.exec_driver_sql(sql, listed)


def _client_log(connection: sa.Connection, head: int | None) -> list[Event]:
    """A client's part of the log, from the position ``head`` back."""
    if head is None:
        return []
    sql = (
        "WITH RECURSIVE chain (position) AS (SELECT ? UNION ALL SELECT previous_client_position"
        " FROM chain JOIN events USING (position) WHERE previous_client_position IS NOT NULL)"
        f" SELECT {rows.columns(tables.events, of='events')} FROM chain JOIN events USING (position)"
    )
    return [rows.stored_event(row).event for row in connection.exec_driver_sql(sql, (head,))]
