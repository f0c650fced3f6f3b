"""Who may do what: the one table of roles and actions.

People have one of four roles; an API token has a scope, which is a role of its own. To add an action: a line in
:class:`Action`, and its place in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Action(StrEnum):
    """What a route needs its principal to be allowed."""

    INGEST = "ingest"
    """Send events."""
    FORWARD = "forward"
    """Send events whose moment another Zimwatch has settled."""
    SEE_COUNTS = "see_counts"
    """See numbers of users and alerts, without any user's id."""
    SEE_USERS = "see_users"
    """See users, their events and findings, alerts, and rejected events."""
    SHARE = "share"
    """Sign a link by which anyone can read one user's history for a while."""
    WATCH = "watch"
    """Watch a user."""
    ACKNOWLEDGE = "acknowledge"
    """Acknowledge alerts."""
    SILENCE = "silence"
    """Make and end silences."""
    CHANNELS = "channels"
    """Send test messages, and messages that were given up."""
    SETTINGS = "settings"
    """See the settings in force."""
    RELOAD = "reload"
    """Have the settings read again."""
    TOKENS = "tokens"
    """Create, list and revoke tokens."""
    ACCOUNTS = "accounts"
    """Create, change and disable accounts."""
    AUDIT = "audit"
    """Read the audit log."""
    EXPORT_USER = "export_user"
    """Export everything that is held of a user."""
    ERASE = "erase"
    """Erase everything that is held of a user."""


class Role(StrEnum):
    """A person's role, or the scope of a token."""

    VIEWER = "viewer"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"
    INGEST = "ingest"
    READ = "read"
    WRITE = "write"
    FORWARD = "forward"
    LOCAL = "local"
    """Requests from this machine while nobody was ever given access: it could read the database file anyway."""


PEOPLE: Final = (Role.VIEWER, Role.SUPPORT, Role.OPERATOR, Role.ADMIN)
"""The roles of people. Each may do what the one before it may."""
SCOPES: Final = (Role.INGEST, Role.READ, Role.WRITE, Role.FORWARD)
"""The scopes of tokens; none is an administrator."""

_VIEWER: Final = frozenset({Action.SEE_COUNTS})
_READ: Final = _VIEWER | {Action.SEE_USERS, Action.SHARE}
_SUPPORT: Final = _READ | {Action.ACKNOWLEDGE, Action.WATCH}
_OPERATOR: Final = _SUPPORT | {Action.SILENCE, Action.CHANNELS, Action.SETTINGS, Action.RELOAD, Action.TOKENS}
_ADMIN: Final = _OPERATOR | {Action.ACCOUNTS, Action.AUDIT, Action.EXPORT_USER, Action.ERASE}

POLICY: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {
        Role.VIEWER: _VIEWER,
        Role.SUPPORT: _SUPPORT,
        Role.OPERATOR: _OPERATOR,
        Role.ADMIN: _ADMIN,
        Role.INGEST: frozenset({Action.INGEST}),
        Role.READ: _READ,
        Role.WRITE: _OPERATOR,
        Role.FORWARD: frozenset({Action.INGEST, Action.FORWARD}),
        Role.LOCAL: frozenset(Action),
    }
)

_OF_OPERATORS: Final = (Role.INGEST, Role.READ, Role.WRITE)
GRANTS: Final[Mapping[Role, tuple[Role, ...]]] = MappingProxyType(
    {
        Role.OPERATOR: _OF_OPERATORS,
        Role.WRITE: _OF_OPERATORS,
        Role.ADMIN: SCOPES,
        Role.LOCAL: SCOPES,
    }
)
"""The scopes of tokens that one may make. A token of scope forward is believed about times, so it needs an admin."""


def roles_with(action: Action, among: tuple[Role, ...]) -> tuple[Role, ...]:
    """Those of the roles that may do it, in their order."""
    return tuple(role for role in among if action in POLICY[role])
