"""What the store takes and gives: plain values, no SQL in them. ``*_us`` is microseconds since the Unix epoch, UTC."""

from __future__ import annotations

import msgspec

from sidecar.domain.events import Event
from sidecar.domain.server_view import Disagreement, ServerView
from sidecar.domain.status import Status


class Rejected(msgspec.Struct, frozen=True):
    """One event that was refused, kept for inspection. ``body`` is its JSON, cut at 4 KiB."""

    received_at_us: int
    index: int
    event_id: str | None
    error: str
    body: str


class Appended(msgspec.Struct, frozen=True):
    """The answer to an append: sent after the commit."""

    accepted: int
    duplicates: int


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``q`` is a substring of the user id; ``cursor`` is ``UserPage.next_cursor`` of the page before."""

    status: Status | None = None
    q: str | None = None
    app_id: int | None = None
    platform: str | None = None
    reason: str | None = None
    unconfirmed: bool | None = None
    disagreement: bool | None = None
    cursor: int | None = None
    limit: int = 50


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``user_status`` as of a moment. ``position`` is that of the event which last changed the row."""

    app_id: int
    user_id: str
    status: Status
    since_us: int | None
    reason: str | None
    unconfirmed: bool
    token_expires_at_us: int | None
    last_seen_at_us: int
    platform: str | None
    position: int
    server: ServerView | None
    disagreement: Disagreement | None


class UserPage(msgspec.Struct, frozen=True):
    """Newest change first."""

    users: list[UserRow]
    next_cursor: int | None


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One client of a user in its latest login. ``outages`` counts changes to offline, not RECONNECTING events."""

    client_id: bytes
    session_id: bytes | None
    status: Status
    since_us: int | None
    reason: str | None
    connection_state: str | None
    unconfirmed: bool
    login_at_us: int | None
    token_expires_at_us: int | None
    last_seen_at_us: int
    outages: int
    platform: str | None
    sdk_name: str | None
    sdk_version: str | None
    app_version: str | None
    device_id: str | None


class UserDetail(msgspec.Struct, frozen=True):
    """A user and its clients, those that are live first, then the newest change first."""

    user: UserRow
    sessions: list[SessionRow]


class StoredEvent(msgspec.Struct, frozen=True):
    """An event with the position it was committed at."""

    position: int
    event: Event


class Summary(msgspec.Struct, frozen=True):
    """Users as counts. The unconfirmed ones are counted under their status too; nobody who is not live is one."""

    online: int
    offline: int
    not_logged_in: int
    unconfirmed_online: int
    unconfirmed_offline: int

    @property
    def unconfirmed(self) -> int:
        """All whose live clients have been silent for longer than their lease."""
        return self.unconfirmed_online + self.unconfirmed_offline


class PendingSpan(msgspec.Struct, frozen=True, gc=False):
    """A span that is owed to the collector: what its event's row says of it.

    ``starts_trace`` tells the trace's first event, which is its root, from its children.
    """

    position: int
    id: bytes
    occurred_at_us: int
    client_id: bytes
    app_id: int
    session_id: bytes | None = None
    user_id: str | None = None
    platform: str | None = None
    sdk_name: str | None = None
    sdk_version: str | None = None
    connection_state: str | None = None
    connection_event: str | None = None
    extended_data: str | None = None
    previous_state: str | None = None
    previous_state_duration_us: int | None = None
    user_status: Status | None = None
    starts_trace: bool = False

    @property
    def trace_id(self) -> bytes:
        """The 16 bytes of the session id, of the client id where there is no session."""
        return self.session_id or self.client_id


class Loss(msgspec.Struct, frozen=True):
    """Spans that the collector does not have and will not be offered again.

    ``kind``: ``refused`` (the collector will not have this one: ``position`` and ``event_id`` name it), ``rejected``
    (it took a request but for so many of its spans, and did not say which), ``expired`` (owed for too long, or no
    longer in the log).
    """

    lost_at_us: int
    kind: str
    spans: int
    position: int | None
    event_id: bytes | None
    problem: str


class Backlog(msgspec.Struct, frozen=True):
    """How much is owed to the collector. ``oldest_us`` is when the oldest of it was received."""

    spans: int
    oldest_us: int | None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token without its secret."""

    id: int
    scope: str  # ingest | read | write
    app_id: int | None  # None: every app
    hint: str  # the secret's first characters, to recognise it by
    created_at_us: int
    expires_at_us: int | None
    revoked_at_us: int | None


class Commit(msgspec.Struct, frozen=True):
    """Published after each commit that changed something that is shown: (app_id, user_id) pairs and ids, each once.

    ``position`` is that of its newest event; 0 where it had none. ``alerted`` are the users that ``alerts`` are about,
    and ``ledger`` tells that something else of the alerts changed: a silence, or what could not be delivered.
    """

    position: int
    users: tuple[tuple[int, str], ...] = ()
    alerts: tuple[int, ...] = ()
    alerted: tuple[tuple[int, str], ...] = ()
    ledger: bool = False
