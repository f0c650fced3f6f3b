"""The values of the audit log: what was done, to what, and what is read back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class AuditAction(StrEnum):
    """What was done. The value is stored and exported, and never changes."""

    ACCOUNT_CHANGED = "account.changed"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_SEEN = "alert.seen"
    ALERTS_LISTED = "alerts.listed"
    AUDIT_CUT = "audit.cut"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_SEEN = "audit.seen"
    BACKUP_MADE = "backup.made"
    BACKUP_RESTORED = "backup.restored"
    CHAT_COMMAND = "chat.command"
    DATABASE_COPIED = "database.copied"
    DATABASE_PRUNED = "database.pruned"
    DATABASE_REBUILT = "database.rebuilt"
    HAND_OFF_MADE = "hand_off.made"
    HAND_OFF_OPENED = "hand_off.opened"
    MESSAGE_SENT_AGAIN = "message.sent_again"
    MESSAGES_LISTED = "messages.listed"
    OVERVIEW_SEEN = "overview.seen"
    REFUSED = "request.refused"
    REJECTED_LISTED = "rejected.listed"
    SEARCHED = "users.searched"
    SETTINGS_RELOADED = "settings.reloaded"
    SETTINGS_SEEN = "settings.seen"
    SIGNED_IN = "session.begun"
    SIGNED_OUT = "session.ended"
    SILENCE_ENDED = "silence.ended"
    SILENCE_MADE = "silence.made"
    SILENCES_LISTED = "silences.listed"
    STREAM_OPENED = "stream.opened"
    TEST_MESSAGE_SENT = "test_message.sent"
    TOKEN_CHECKED = "zim_token.checked"  # noqa: S105 - no secret
    TOKEN_MADE = "token.made"  # noqa: S105 - same
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - same
    TOKEN_ROTATED = "token.rotated"  # noqa: S105 - same
    USER_ERASED = "user.erased"
    USER_EXPORTED = "user.exported"
    USER_SEEN = "user.seen"
    USERS_EXPORTED = "users.exported"
    USERS_LISTED = "users.listed"
    WATCH_ENDED = "watch.ended"
    WATCH_MADE = "watch.made"
    WATCHES_LISTED = "watches.listed"


class User(msgspec.Struct, frozen=True):
    """A user as the subject. It is stored as a keyed pseudonym."""

    app_id: int
    user_id: str


class SearchText(msgspec.Struct, frozen=True):
    """What was searched for, which may be the id of a user. It is stored as a keyed pseudonym."""

    text: str


Subject = User | SearchText | str
"""What it was done to. A text is stored as it is, such as ``alert 12``, and never has the id of a user."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, before it is in the log.

    ``actor`` is who, with the proof; ``address`` is where from. ``details`` are names, numbers and flags, never ids of
    users or free text about them.
    """

    at_us: int
    actor: str
    action: AuditAction
    subject: Subject | None = None
    address: str | None = None
    request_id: str | None = None
    details: Mapping[str, str | int | bool] = {}


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the log. ``subject`` is as stored; ``app_id`` and ``user_id`` are its readable form, if that is kept.

    A search has no ``app_id``, and its text is ``user_id``. ``hash`` is in lower-case hexadecimal digits.
    """

    id: int
    at_us: int
    actor: str
    action: str
    subject: str | None
    app_id: int | None
    user_id: str | None
    address: str | None
    request_id: str | None
    details: str | None
    hash: str


class Head(msgspec.Struct, frozen=True):
    """The end of the chain: its newest row. ``id`` is 0 before the first one."""

    id: int
    at_us: int
    hash: str

    def __str__(self) -> str:
        """The form in which it is logged, exported and saved."""
        return f"{self.id}:{self.hash}"
