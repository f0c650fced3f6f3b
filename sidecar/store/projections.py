"""What follows from the event log: clients, traces, user status and its groups. The tables are the truth.

The writer holds one of these for as long as it lives. Users that were touched lately stay in memory, packed and
bounded; what a commit touches is loaded by :meth:`Projections.load`, moved on in memory by :meth:`Projections.apply`,
and written in the order of its keys by :meth:`Projections.write`, in the same transaction. When that fails, all of it
is thrown away and read anew. A rebuild goes through the same three, so that it cannot disagree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain import login_state
from sidecar.domain.events import CONNECTION_STATE_CHANGED, SERVER_USER_ACTION, Event
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.login_state import LoginState
from sidecar.domain.presence import presence, status_of
from sidecar.domain.status import NOT_LOGGED_IN, Status
from sidecar.store import rows, search, tables
from sidecar.store.groups import Groups
from sidecar.store.reactions import Effect
from sidecar.store.recent import Recent
from sidecar.store.rows import Client

# Under SQLite's limit on the parameters of one statement.
CHUNK: Final = 400
# About 0.6 KB each, where a user with its clients as objects takes 1.5 KB. Twice as many may be held.
USERS_HELD: Final = 20_000
# With more clients than this, those that decide nothing any more leave their user's row.
CLIENTS_KEPT: Final = 4
# A user with more that decide is crowded: all its clients have rows of their own, and are read anew each time.
CLIENTS_PACKED: Final = 16

UserId = tuple[int, str]
Who = UserId | bytes
"""A user; or the client of nobody, before any login."""


class User(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """A user, or nobody with one client.

    ``clients`` are at least the live ones, the one that ended last, and the one that was seen last; of the others
    ``left_elsewhere_us`` tells when the last of them left online. ``crowded``: they are not packed in the user's row.
    ``rooted`` is the trace of the last connection state change, which has its root.
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
    token_expires_at_us: int | None = None  # as it was written last
    moved: bool = False  # what decides where it stands in a list has changed since it was written
    rooted: bytes | None = None


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(User).decode


class Projections:
    """Used by one thread, inside its transactions."""

    def __init__(self, connection: sa.Connection, leases: Leases) -> None:
        self._leases = leases
        self.groups = Groups(connection)
        self._users: Recent[Who, bytes] = Recent(USERS_HELD)
        self._next_user = _next_key(connection, tables.user_status.c.user_key)
        self._next_client = _next_key(connection, tables.clients.c.client_key)
        self.next_position = _next_key(connection, tables.events.c.position)
        self._begin(connection)

    def _begin(self, connection: sa.Connection) -> None:
        """Nothing is touched yet."""
        self._connection = connection
        self._at_hand: dict[Who, User] = {}
        self._touched: dict[UserId, User] = {}
        # Each client that was touched, with the position of its last event that is in the table.
        self._clients: dict[int, tuple[Client, int | None]] = {}
        # Clients that have a row of their own, and will be in their user's row.
        self._packed: list[tuple[int]] = []
        self._new_traces: dict[bytes, int] = {}
        self._unrooted: set[bytes] = set()
        # What was applied since load, and the stored log of each client that an event came late for.
        self._applied: list[Event] = []
        self._logs: dict[int, list[Event] | None] = {}

    def load(self, connection: sa.Connection, events: Collection[Event]) -> None:
        """Puts at hand what ``events`` will touch, which is written then. Nothing may be left unwritten from before."""
        self._begin(connection)
        at_hand = self._at_hand
        missing: dict[UserId, set[bytes]] = {}
        strays: set[bytes] = set()
        unknown: list[tuple[User, bytes]] = []
        traces: set[bytes] = set()
        for event in events:
            client_id, user_id = event.client_id, event.user_id
            who: Who = client_id if user_id is None else (event.app_id, user_id)
            user = at_hand.get(who) or self._recall(who)
            if user is not None:
                if client_id not in user.clients:
                    unknown.append((user, client_id))
            elif user_id is None:
                strays.add(client_id)
            else:
                missing.setdefault((event.app_id, user_id), set()).add(client_id)
            if event.type == CONNECTION_STATE_CHANGED:
                trace_id = _trace_of(event)
                if user is None or trace_id != user.rooted:
                    traces.add(trace_id)
        if strays:
            self._load_strays(sorted(strays))
        if missing:
            unknown += self._load_users(missing)
        if unknown:
            self._load_clients(unknown)
        self._load_traces(traces)

    def _recall(self, who: Who) -> User | None:
        """Puts at hand what is in memory of a user."""
        packed = self._users.get(who)
        if packed is None:
            return None
        user = self._at_hand[who] = _unpack(packed)
        return user

    def load_traces(self, events: Collection[Event]) -> None:
        """Beside :meth:`load`: puts the traces of events at hand that will touch nothing else."""
        known = self._unrooted
        self._load_traces({_trace_of(event) for event in events if event.type == CONNECTION_STATE_CHANGED})
        self._unrooted |= known

    def note_trace(self, event: Event) -> None:
        """What an event at ``next_position`` does to its trace, and nothing else."""
        if event.type == CONNECTION_STATE_CHANGED:
            self._begin_trace(_trace_of(event), self.next_position)

    def apply(self, event: Event) -> tuple[int, Effect]:
        """Moves everything on by one event that is new to the log; the position it stands at, and what it did."""
        position = self.next_position
        self.next_position = position + 1
        who = event.client_id if event.user_id is None else (event.app_id, event.user_id)
        user = self._at_hand[who]
        if user.user_key != tables.NOBODY:
            self._touched[who] = user  # type: ignore[index]  # whoever has a key is no client of nobody
        moved = self._note if event.type == SERVER_USER_ACTION else self._move
        return position, moved(user, event, position)

    def _move(self, user: User, event: Event, position: int) -> Effect:
        client = user.clients.get(event.client_id)
        if client is None:
            client = self._new_client(user, event.client_id)
        state = client.state
        previous_client, previous_user, before = client.last_position, user.last_position, user.status
        if client.client_key not in self._clients:
            self._clients[client.client_key] = (client, previous_client)
        status, since_us, reason, token_us = state.status, state.since_us, state.reason, state.token_expires_at_us
        late = event.seq < state.last_seq or (event.seq == state.last_seq and event.id <= state.last_id)
        was = login_state.UNKNOWN
        if not late:
            was = login_state.transition(state, event)
            login_state.apply(state, event)
            _describe(client, event)
        elif event.type in login_state.SHAPES_STATE:
            was = self._fold_anew(client, event)
            state = client.state
        is_change = event.type == CONNECTION_STATE_CHANGED
        if not is_change:
            was = login_state.UNKNOWN
        self._applied.append(event)
        client.last_position = position
        # Not the greater of the two: after the machine's clock was set back, what is heard now is still the newest.
        client.last_seen_at_us = event.received_at_us
        starts_trace = is_change and self._starts_trace(user, event, position)
        if user.user_key == tables.NOBODY:
            return Effect(None, previous_client, starts_trace, *was, None, None, late, client)
        if since_us is not None and (state.since_us is None or state.since_us < since_us):
            self._gather(user)
        if state.status != status:
            user.status = status_of([one.state for one in user.clients.values()])
        user.last_position = position
        user.last_seen_at_us = event.received_at_us
        if (
            state.since_us != since_us
            or state.status != status
            or state.reason != reason
            or state.token_expires_at_us != token_us
            or not user.changed_position
        ):
            user.changed_position, user.moved = position, True
        return Effect(previous_user, previous_client, starts_trace, *was, before, user.status, late, client)

    def _note(self, user: User, event: Event, position: int) -> Effect:
        """The server's word is on the user's timeline, and is of no client: status and lease stay as they are."""
        previous = user.last_position
        user.last_position = user.changed_position = position
        user.moved = True
        user.last_seen_at_us = user.last_seen_at_us or event.received_at_us
        return Effect(previous, None, False, None, None, user.status, user.status, False, None)

    def renew_lease(self, heartbeat: Event) -> None:
        """A sign of life. One of a client that nothing else is known of says nothing yet."""
        who = heartbeat.client_id if heartbeat.user_id is None else (heartbeat.app_id, heartbeat.user_id)
        user = self._at_hand[who]
        client = user.clients.get(heartbeat.client_id)
        if client is None:
            return
        self._clients.setdefault(client.client_key, (client, client.last_position))
        client.sends_heartbeats = True
        client.last_seen_at_us = heartbeat.received_at_us
        if user.user_key != tables.NOBODY:
            user.last_seen_at_us = heartbeat.received_at_us
            self._touched[who] = user  # type: ignore[index]  # as in apply

    def sweep(self, connection: sa.Connection, time: LeaseTime, limit: int) -> list[UserId]:
        """Finds up to ``limit`` users whose lease may have run out, and writes those like what events touched.

        The check is set when a lease begins and not moved with every sign of life, so most are found to be fine.
        """
        self._begin(connection)
        due_first = "ORDER BY lease_check_us LIMIT ?"
        sql = f"SELECT app_id, user_id FROM user_status WHERE lease_check_us BETWEEN 0 AND ? {due_first}"
        due = [(row[0], row[1]) for row in connection.exec_driver_sql(sql, (time.now_us - 1, limit))]
        missing: dict[UserId, set[bytes]] = {}
        for who in due:
            if self._recall(who) is None:
                missing[who] = set()
        self._load_users(missing)
        for who in due:
            user = self._at_hand[who]
            user.lease_check_us, user.moved = None, True
            self._touched[who] = user
        return list(self.write(time))

    def remember(self, heard: dict[tuple[bytes, UserId | None], int]) -> None:
        """Gives back what heartbeats told of clients, which the log does not hold (see :func:`rebuild`)."""
        users = {user.user_key: user for user in self._touched.values()}
        for client, _ in self._clients.values():
            user = users.get(client.user_key)
            last_seen_at_us = heard.get((client.client_id, (user.app_id, user.user_id) if user else None))
            if last_seen_at_us is not None:
                client.sends_heartbeats = True
                client.last_seen_at_us = max(client.last_seen_at_us, last_seen_at_us)
                if user is not None:
                    user.last_seen_at_us = max(user.last_seen_at_us, last_seen_at_us)

    def write(self, time: LeaseTime) -> dict[UserId, Status]:
        """Writes what was touched, as of ``time``; the users among it and what their status is."""
        touched = sorted(self._touched.items(), key=_user_key)
        users = [user for _, user in touched]
        apart = [client for client, _ in self._clients.values() if client.user_key == tables.NOBODY]
        for user in users:
            if user.crowded or len(user.clients) > CLIENTS_KEPT:
                apart += self._set_apart(user)
        self._many(_CLIENT_UNPACK, self._packed)
        self._many(_CLIENT_REPLACE, [rows.client_row(client) for client in sorted(apart, key=_key)])
        self._many("INSERT INTO traces (trace_id, root_position) VALUES (?, ?)", sorted(self._new_traces.items()))
        self._write_users(users, time)
        self.groups.write(self._connection)
        for who, user in self._at_hand.items():
            if user.crowded or not (user.stored or user.clients):
                self._users.forget(who)
            else:
                self._users.put(who, _pack(user))
        self._begin(self._connection)
        return {who: user.status for who, user in touched}

    def _set_apart(self, user: User) -> list[Client]:
        """The clients of a user that has many which must have rows of their own; the others are in the user's row."""
        held = _held(list(user.clients.values()), set())
        was_crowded, user.crowded = user.crowded, len(held) > CLIENTS_PACKED
        if user.crowded:
            known = self._clients if was_crowded else {one.client_key for one in user.clients.values()}
            return [one for one in user.clients.values() if one.client_key in known]
        if was_crowded:
            self._packed += [(one.client_key,) for one in held]
        others = [one for one in user.clients.values() if one not in held]
        user.clients = {one.client_id: one for one in held}
        left = [one.state.left_online_us for one in others]
        user.left_elsewhere_us = max((at for at in [user.left_elsewhere_us, *left] if at is not None), default=None)
        return others

    def _write_users(self, users: list[User], time: LeaseTime) -> None:
        fresh, new, moved, touched, tokens = [], [], [], [], []
        for user in users:
            since_us, reason, token_us, platform, lease_us = self._standing(user)
            ends_us = None if lease_us is None else lease_us - time.skipped_us(user.last_seen_at_us)
            late = ends_us is not None and ends_us < time.now_us
            check_us = user.lease_check_us
            if ends_us is None or late:
                check_us = None if ends_us is None else -ends_us
            elif check_us is None or not 0 <= check_us <= ends_us:
                check_us = ends_us
            group = self.groups.key(user.app_id, user.status, platform, reason, late)
            if group != user.group_key:
                self.groups.move(user.group_key, group)
                user.group_key, user.moved = group, True
            if check_us != user.lease_check_us:
                user.lease_check_us, user.moved = check_us, True
            rest = (
                user.status,
                since_us,
                reason,
                platform,
                lease_us,
                user.last_seen_at_us,
                user.last_position,
                None if user.crowded else rows.pack(list(user.clients.values())),
                user.left_elsewhere_us,
            )
            if not user.stored:
                fresh.append(user)
                place = (user.changed_position, group, check_us)
                new.append((*rest, *place, token_us, user.user_key, user.app_id, user.user_id))
            elif user.moved:
                moved.append((*rest, user.changed_position, group, check_us, user.user_key))
            else:
                touched.append((*rest, user.user_key))
            if user.stored and token_us != user.token_expires_at_us:
                tokens.append((token_us, user.user_key))
            user.stored, user.moved, user.token_expires_at_us = True, False, token_us
        self._many(_USER_INSERT, new)
        search.index(self._connection, [(user.user_key, user.user_id) for user in fresh])
        self._many(_USER_MOVED, moved)
        self._many(_USER_TOUCHED, touched)
        self._many(_USER_ENDS, tokens)

    def _standing(self, user: User) -> tuple[int | None, str | None, int | None, str | None, int | None]:
        """Since when and why the user has its status; the token's expiry and the platform; the end of its lease."""
        own = list(user.clients.values())
        if not own:  # the server alone has spoken of this user
            return None, None, None, None, None
        decisive = own[0]
        found = presence([client.state for client in own], left_online_us=user.left_elsewhere_us)
        if decisive.state is not found.decided_by:
            decisive = next((client for client in own if client.state is found.decided_by), None) or max(own, key=_seen)
        lease_us = None
        for client in own:
            if client.state.status != NOT_LOGGED_IN:
                until_us = self._leases.until_us(client.last_seen_at_us, sends_heartbeats=client.sends_heartbeats)
                lease_us = until_us if lease_us is None else max(lease_us, until_us)
        return found.since_us, found.reason, decisive.state.token_expires_at_us, decisive.platform, lease_us

    def _starts_trace(self, user: User, event: Event, position: int) -> bool:
        """Whether a connection state change is the first of its trace."""
        user.rooted = trace_id = _trace_of(event)
        return self._begin_trace(trace_id, position)

    def _begin_trace(self, trace_id: bytes, position: int) -> bool:
        """Gives the trace its root, unless it has one."""
        if trace_id not in self._unrooted:
            return False
        self._unrooted.discard(trace_id)
        self._new_traces[trace_id] = position
        return True

    def _fold_anew(self, client: Client, late: Event) -> login_state.Transition:
        """The event came after newer ones: the state is folded anew from the client's part of the log."""
        key = client.client_key
        if key not in self._logs:
            self._logs[key] = client_log(self._connection, self._clients[key][1])
        stored = self._logs[key]
        if stored is None:
            # What it would have to be put in order with is gone: it is on the record, and changes nothing.
            return login_state.UNKNOWN
        own = (one for one in self._applied if one.client_id == late.client_id and _is_of_one_user(one, late))
        history = [*stored, *own]
        made = login_state.transition(login_state.fold(one for one in history if one.order < late.order), late)
        client.state = login_state.fold([*history, late])
        return made

    def _gather(self, user: User) -> None:
        """Puts all clients of a user at hand: the moment of one went back, so that another may decide now."""
        for client in self._clients_of("user_key IN ({})", [user.user_key]):
            if client.client_id not in user.clients:
                user.clients[client.client_id] = client
                if not user.crowded:
                    self._packed.append((client.client_key,))
        user.left_elsewhere_us = None

    def _new_client(self, user: User, client_id: bytes) -> Client:
        client = Client(
            client_key=self._next_client,
            client_id=client_id,
            user_key=user.user_key,
            state=LoginState(),
            last_seen_at_us=0,
        )
        self._next_client += 1
        user.clients[client_id] = client
        return client

    def _load_users(self, wanted: dict[UserId, set[bytes]]) -> list[tuple[User, bytes]]:
        """``wanted`` names clients of each user that must be at hand if they exist; those that are not there yet."""
        # A join, because SQLite would read the whole index for a pair of columns IN a list.
        sql = (
            "WITH wanted (app_id, user_id) AS (VALUES {}) SELECT user_key, app_id, user_id, status, last_seen_at_us,"
            " last_position, changed_position, group_key, lease_check_us, clients, left_elsewhere_us,"
            " token_expires_at_us"
            " FROM wanted CROSS JOIN user_status USING (app_id, user_id)"
        )
        unknown: list[tuple[User, bytes]] = []
        crowded: dict[int, User] = {}
        for row in self._select(sql, wanted, mark="(?, ?)"):
            clients = [] if row[9] is None else rows.unpack(row[9])
            user = User(
                user_key=row[0],
                app_id=row[1],
                user_id=row[2],
                stored=True,
                clients={client.client_id: client for client in clients},
                left_elsewhere_us=row[10],
                crowded=row[9] is None,
                status=row[3],
                last_seen_at_us=row[4],
                last_position=row[5],
                changed_position=row[6],
                group_key=row[7],
                lease_check_us=row[8],
                token_expires_at_us=row[11],
            )
            who = (user.app_id, user.user_id)
            self._at_hand[who] = user
            if user.crowded:
                crowded[user.user_key] = user
            else:
                unknown += [(user, client_id) for client_id in wanted[who] if client_id not in user.clients]
        if crowded:
            self._load_crowded(crowded, wanted)
        for app_id, user_id in sorted(who for who in wanted if who not in self._at_hand):
            user = User(user_key=self._next_user, app_id=app_id, user_id=user_id, clients={})
            self._at_hand[app_id, user_id] = user
            self._next_user += 1
        return unknown

    def _load_crowded(self, crowded: dict[int, User], wanted: dict[UserId, set[bytes]]) -> None:
        clients: dict[int, list[Client]] = defaultdict(list)
        for client in self._clients_of("user_key IN ({})", crowded):
            clients[client.user_key].append(client)
        for user_key, own in clients.items():
            user = crowded[user_key]
            user.clients = {one.client_id: one for one in _held(own, wanted[user.app_id, user.user_id])}
            left = [one.state.left_online_us for one in own if one.client_id not in user.clients]
            user.left_elsewhere_us = max((at for at in left if at is not None), default=None)

    def _load_clients(self, unknown: list[tuple[User, bytes]]) -> None:
        """Clients that may have rows of their own are packed with the others of their user again."""
        users = {user.user_key: user for user, _ in unknown if user.stored}
        for client in self._clients_of("client_id IN ({})", {client_id for _, client_id in unknown}):
            user = users.get(client.user_key)
            if user is None or client.client_id in user.clients:
                continue
            user.clients[client.client_id] = client
            self._packed.append((client.client_key,))
            sql = "SELECT MAX(left_online_us) FROM clients WHERE user_key = ? AND client_key NOT IN ({})"
            keys = [one.client_key for one in user.clients.values()]
            found = self._connection.exec_driver_sql(sql.format(", ".join(map(str, keys))), (user.user_key,))
            user.left_elsewhere_us = found.scalar_one()

    def _load_strays(self, client_ids: list[bytes]) -> None:
        for client in self._clients_of(f"user_key = {tables.NOBODY} AND client_id IN ({{}})", client_ids):
            self._at_hand[client.client_id] = User(user_key=tables.NOBODY, clients={client.client_id: client})
        for client_id in client_ids:
            if client_id not in self._at_hand:
                self._at_hand[client_id] = User(user_key=tables.NOBODY, clients={})

    def _load_traces(self, trace_ids: Collection[bytes]) -> None:
        found = self._select("SELECT trace_id FROM traces WHERE trace_id IN ({})", trace_ids)
        self._unrooted = set(trace_ids).difference(row[0] for row in found)

    def _clients_of(self, which: str, values: Collection[Any]) -> Iterator[Client]:
        sql = f"SELECT {rows.columns(tables.clients)} FROM clients WHERE {which}"
        return (rows.client_of(row) for row in self._select(sql, values))

    def _select(self, sql: str, values: Collection[Any], *, mark: str = "?") -> Iterator[Sequence[Any]]:
        """Rows of ``sql`` with its {} filled by a mark a value, in runs that fit one statement."""
        ordered = sorted(values)
        for start in range(0, len(ordered), CHUNK):
            some = ordered[start : start + CHUNK]
            flat = tuple(part for value in some for part in (value if isinstance(value, tuple) else (value,)))
            filled = sql.format(", ".join([mark] * len(some)))
            yield from self._connection.exec_driver_sql(filled, flat).all()

    def _many(self, sql: str, values: list[tuple[Any, ...]]) -> None:
        if values:
            self._connection.exec_driver_sql(sql, values)


_CLIENT_REPLACE: Final = rows.insert(tables.clients).replace("INSERT", "INSERT OR REPLACE", 1)
_CLIENT_UNPACK: Final = "DELETE FROM clients WHERE client_key = ?"
_KEPT: Final = ("user_key", "app_id", "user_id")
_INDEXED: Final = ("changed_position", "group_key", "lease_check_us")
_REST: Final = tuple(
    column.name
    for column in tables.user_status.columns
    if column.name not in {*_KEPT, *_INDEXED, "token_expires_at_us"}
)
_USER_INSERT: Final = (
    f"INSERT INTO user_status ({', '.join((*_REST, *_INDEXED, 'token_expires_at_us', *_KEPT))})"
    f" VALUES ({', '.join('?' * len(tables.user_status.columns))})"
)
# An index is written anew when one of its columns is set, even to what it was: so there are three.
_USER_MOVED: Final = (
    f"UPDATE user_status SET {', '.join(f'{name} = ?' for name in (*_REST, *_INDEXED))} WHERE user_key = ?"
)
_USER_ENDS: Final = "UPDATE user_status SET token_expires_at_us = ? WHERE user_key = ?"
_USER_TOUCHED: Final = f"UPDATE user_status SET {', '.join(f'{name} = ?' for name in _REST)} WHERE user_key = ?"


def _trace_of(event: Event) -> bytes:
    return event.session_id or event.client_id


def _describe(client: Client, event: Event) -> None:
    """The client is what its newest event says it is, as far as that says it."""
    if event.platform is not None:
        client.platform = event.platform
    if event.sdk_name is not None:
        client.sdk_name = event.sdk_name
    if event.sdk_version is not None:
        client.sdk_version = event.sdk_version
    if event.app_version is not None:
        client.app_version = event.app_version
    if event.device_id is not None:
        client.device_id = event.device_id


def _held(clients: list[Client], wanted: set[bytes]) -> list[Client]:
    """Of all clients of a user those that may decide anything, and those that are wanted."""
    ended = [client for client in clients if client.state.status == NOT_LOGGED_IN]
    deciding = {client.client_id for client in clients if client.state.status != NOT_LOGGED_IN} | wanted
    if ended:
        deciding.add(max(ended, key=lambda one: (one.state.since_us or 0, one.state.last_id)).client_id)
        deciding.add(max(clients, key=_seen).client_id)
    return [client for client in clients if client.client_id in deciding]


def _key(client: Client) -> int:
    return client.client_key


def _user_key(touched: tuple[UserId, User]) -> int:
    return touched[1].user_key


def _seen(client: Client) -> tuple[int, int]:
    return (client.last_seen_at_us, client.client_key)


def _is_of_one_user(one: Event, other: Event) -> bool:
    return one.user_id == other.user_id and (one.user_id is None or one.app_id == other.app_id)


def _next_key(connection: sa.Connection, column: sa.Column[Any]) -> int:
    sql = f"SELECT COALESCE(MAX({column.name}), 0) + 1 FROM {column.table.name}"
    return int(connection.exec_driver_sql(sql).scalar_one())


def client_log(connection: sa.Connection, head: int | None) -> list[Event] | None:
    """A client's part of the log, from the position ``head`` back; None where its beginning is gone."""
    if head is None:
        return []
    sql = (
        "WITH RECURSIVE chain (position) AS (SELECT ? UNION ALL SELECT previous_client_position"
        " FROM chain JOIN events USING (position) WHERE previous_client_position IS NOT NULL)"
        f" SELECT {rows.columns(tables.events, of='events')} FROM chain JOIN events USING (position)"
    )
    found = connection.exec_driver_sql(sql, (head,)).all()
    if not any(row.previous_client_position is None for row in found):
        return None
    return [rows.stored_event(row).event for row in found]
