"""The values that the store accepts and returns. ``*_us`` is microseconds since the Unix epoch, UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar

import msgspec
import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import Event
from sidecar.domain.lease import Stretch
from sidecar.domain.outside_text import one_line
from sidecar.domain.server_view import Disagreement, ServerView
from sidecar.domain.session import Session
from sidecar.domain.status import Status
from sidecar.domain.texts import Text

UserId = tuple[int, str]
Owner = UserId | bytes
"""Whose an event is: a user's, or before any login the client's, by its id."""
"""App and user id."""


class Rejected(msgspec.Struct, frozen=True):
    """A rejected event, kept for inspection. ``body`` is its JSON, cut at 4 KiB.

    ``app_id`` is the app that its token is bound to, else the one that it names, if that can be read.
    """

    received_at_us: int
    index: int
    event_id: str | None
    error: str
    body: str
    app_id: int | None = None


class RejectedCount(msgspec.Struct, frozen=True):
    """How many events were rejected, and their most frequent error; None if there are none."""

    count: int
    error: str | None


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What one event changed.

    ``previous_state`` is the client's connection state before it, in the order of ``seq``, and how long it lasted; both
    None unless the event is a connection_state_changed. ``previous_status`` and ``status`` are the user's before and
    after it, None without a user.
    """

    previous_user_position: int | None
    previous_client_position: int | None
    starts_trace: bool
    previous_state: str | None
    previous_state_duration_us: int | None
    previous_status: Status | None
    status: Status | None


class Applied(msgspec.Struct, frozen=True, gc=False):
    """An accepted event, its position in the log, and its effect."""

    event: Event
    position: int
    effect: Effect


class Appended(msgspec.Struct, frozen=True):
    """The answer to an append, sent after the commit.

    ``refused``: the index of each event that was refused, and why. ``heartbeat_after_s``: the interval between
    heartbeats that the clients are given, 0 for none. ``renewed``: the heartbeats of known clients.
    """

    accepted: int
    duplicates: int
    refused: tuple[tuple[int, str], ...] = ()
    heartbeat_after_s: int = 0
    renewed: tuple[Event, ...] = ()


class Occurrence(msgspec.Struct, frozen=True):
    """When something last happened to a user within the time asked for, and how often."""

    last_us: int
    times: int


class Total(msgspec.Struct, frozen=True):
    """How many users match a query, and of how many events, if it is about events; ``is_least``: or more."""

    users: int
    events: int | None = None
    is_least: bool = False


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user as of a moment. ``position`` is that of the event which last changed it.

    ``happened`` is set in lists of users to whom something happened.
    """

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
    server: ServerView | None = None
    disagreement: Disagreement | None = None
    happened: Occurrence | None = None


class UserDetail(msgspec.Struct, frozen=True):
    """A user and its clients: the live ones first, then by the newest change."""

    user: UserRow
    sessions: list[Session]


class StoredEvent(msgspec.Struct, frozen=True):
    """An event and its position in the log."""

    position: int
    event: Event


class Summary(msgspec.Struct, frozen=True):
    """The counts of users. Unconfirmed users are live, and count under their status too."""

    online: int
    offline: int
    not_logged_in: int
    unconfirmed_online: int
    unconfirmed_offline: int

    @property
    def unconfirmed(self) -> int:
        """The users whose live clients have all been silent for longer than their lease."""
        return self.unconfirmed_online + self.unconfirmed_offline


class PendingSpan(msgspec.Struct, frozen=True, gc=False):
    """A span to be exported, as columns of its event's row. ``starts_trace``: it is the root of its trace."""

    position: int
    id: bytes
    occurred_at_us: int
    moment_us: int
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
        """The 16 bytes of the session id, or of the client id without a session."""
        return self.session_id or self.client_id


class Loss(msgspec.Struct, frozen=True):
    """Spans that the collector does not have and will not be sent again.

    ``kind``: ``refused`` (the collector refused this span: ``position`` and ``event_id`` name it), ``rejected`` (it
    rejected so many spans of a request, without naming them), ``expired`` (pending for too long, or deleted from the
    log).
    """

    lost_at_us: int
    kind: str
    spans: int
    position: int | None
    event_id: bytes | None
    problem: str


class Backlog(msgspec.Struct, frozen=True):
    """How many spans are pending. ``oldest_us`` is when the oldest was received."""

    spans: int
    oldest_us: int | None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token without its secret. ``last_used_at_us`` is as last recorded, an hour late at most."""

    id: int
    scope: str  # ingest | read | write | forward
    name: str = ""
    apps: frozenset[int] | None  # None: every app
    origins: tuple[str, ...] = ()  # of pages that may send with it; empty: as the settings say
    hint: str  # the secret's first characters, to recognise it by
    created_at_us: int
    made_by: str = ""
    made_by_token: int | None = None
    made_by_account: int | None = None
    made_by_identity: str | None = None  # the key of somebody whom a provider or a proxy named
    expires_at_us: int | None
    revoked_at_us: int | None
    last_used_at_us: int | None = None
    replaced_by: int | None = None  # the id of its successor
    ends_with: int | None = None  # the id of the token before it that rotated itself

    def state(self, now_us: int) -> Literal["good", "expired", "revoked"]:
        """Whether it is accepted."""
        if self.revoked_at_us is not None:
            return "revoked"
        return "expired" if self.expires_at_us is not None and self.expires_at_us <= now_us else "good"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person who signs in by name and password. ``apps`` are the only ones that it may see, None for every one."""

    id: int
    name: str
    role: str
    apps: frozenset[int] | None
    created_at_us: int
    password_changed_at_us: int | None  # None until it has a password
    signed_in_at_us: int | None
    disabled_at_us: int | None
    has_totp: bool

    @property
    def called(self) -> str:
        """Its name in the audit log, as who did something and as what something was done to."""
        return f"account {self.name}"


class OutsideIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom an identity provider named, with the role that Zimwatch gives them.

    ``checked_at_us`` is when the provider last confirmed it.
    """

    issuer: str
    subject: str
    name: str
    role: str
    apps: frozenset[int] | None
    checked_at_us: int

    @property
    def key(self) -> str:
        """What its sessions and tokens have in common."""
        return identity_key(self.issuer, self.subject)

    @property
    def called(self) -> str:
        """Its name in the audit log, as who did something and as what something was done to."""
        return identity_called(self.issuer, self.subject)


def identity_key(issuer: str, subject: str) -> str:
    """See :attr:`OutsideIdentity.key`."""
    return f"outside {issuer} {subject}"


def identity_called(issuer: str, subject: str) -> str:
    """See :attr:`OutsideIdentity.called`."""
    return one_line(f"{subject} at {issuer}")


SessionOwner = Token | Account | OutsideIdentity


class BrowserSession(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in. ``name`` is as entered at sign-in with a token, unverified; empty if none was.

    ``address`` and ``browser`` (its User-Agent) are those of the sign-in. ``ended`` is why it was ended early.
    """

    id: int
    name: str
    address: str
    browser: str
    created_at_us: int
    seen_at_us: int
    owner: SessionOwner
    ended: Text | None = None


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """``grows_bytes_a_day`` and ``full_in_days`` are estimated from the last day's events; None without any.

    ``wal_bytes`` is the size of the write-ahead log beside the file. ``free_bytes``: None where the disk is another
    machine's.
    """

    name: str
    file_bytes: int
    wal_bytes: int
    free_bytes: int | None
    events: int
    events_last_day: int
    grows_bytes_a_day: int | None
    full_in_days: float | None


T = TypeVar("T")


class Commit(msgspec.Struct, frozen=True):
    """What a commit changed, published after it: users and ids of alerts, each once.

    ``position`` is that of its newest event, 0 without any. ``alerted`` are the users of ``alerts``. ``alert_log``:
    something else of the alert log changed, as a silence or a failed delivery. ``access``: a token, an account or a
    browser session changed. ``erased``: the data of a user is gone, and nothing in memory may bring it back.
    ``stretches`` of lease time begin. ``missed``: commits of other nodes were not announced here, so that anything may
    have changed.
    """

    position: int = 0
    users: tuple[UserId, ...] = ()
    alerts: tuple[int, ...] = ()
    alerted: tuple[UserId, ...] = ()
    alert_log: bool = False
    access: bool = False
    erased: bool = False
    stretches: tuple[Stretch, ...] = ()
    missed: bool = False

    @classmethod
    def of_all(cls, parts: Iterable[Commit | None]) -> Commit | None:
        """The changes of one transaction, merged; None if there are none."""
        changed = [part for part in parts if part is not None]
        if len(changed) < 2:  # noqa: PLR2004 - nothing to merge
            return changed[0] if changed else None
        return cls(
            max(part.position for part in changed),
            tuple(dict.fromkeys(user for part in changed for user in part.users)),
            tuple(sorted({alert for part in changed for alert in part.alerts})),
            tuple(dict.fromkeys(user for part in changed for user in part.alerted)),
            any(part.alert_log for part in changed),
            any(part.access for part in changed),
            any(part.erased for part in changed),
            tuple(stretch for part in changed for stretch in part.stretches),
        )


class Publishing(msgspec.Struct, Generic[T], frozen=True):
    """The result of a unit of work that publishes ``changes`` after its commit; its caller gets ``result``.

    Nothing is published if the transaction fails.
    """

    result: T
    changes: Commit | None

    @classmethod
    def of_all(cls, parts: Iterable[Publishing[T]]) -> Publishing[list[T]]:
        """Several units of work as one."""
        parts = list(parts)
        return Publishing([part.result for part in parts], Commit.of_all(part.changes for part in parts))


class StoreGauge(msgspec.Struct, frozen=True):
    """A metric read from the database: its values by ``label``, of these apps.

    ``shown`` makes them of what ``read`` returns, which is called once for all gauges that share it; None if it returns
    them. Without a label there is one value, under "". ``is_of_apps``: readers limited to some apps may see it.
    """

    name: str
    description: str
    read: Callable[[sa.Connection, int, AppIds], Any]  # now in microseconds
    shown: Callable[[Any], Mapping[str, float]] | None = None
    label: str = ""
    unit: str = ""
    is_of_apps: bool = False
