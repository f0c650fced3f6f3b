"""The navigation at the top of each page, and its keys."""

from __future__ import annotations

from typing import Final

import msgspec

from dashboard.text.language import marked
from sidecar.access.policy import Action


class Link(msgspec.Struct, frozen=True):
    """A link for those who may do what its page needs."""

    path: str
    text: str
    needed: Action


class Entry(Link, frozen=True):
    """``tab`` is what a view calls itself to be marked as current; ``key`` opens the page after ``g``."""

    tab: str
    key: str


ENTRIES: Final = (
    Entry("/", marked("Overview"), Action.SEE_COUNTS, "overview", "o"),
    Entry("/users", marked("Users"), Action.SEE_USERS, "users", "u"),
    Entry("/alerts", marked("Alerts"), Action.SEE_USERS, "alerts", "a"),
    Entry("/silences", marked("Silences"), Action.SEE_USERS, "silences", "i"),
    Entry("/settings", marked("Settings"), Action.SETTINGS, "settings", "s"),
)
SETTINGS: Final = (
    Link("/settings", marked("Settings"), Action.SETTINGS),
    Link("/tokens", marked("Tokens"), Action.TOKENS),
    Link("/accounts", marked("Accounts"), Action.ACCOUNTS),
    Link("/audit", marked("Audit log"), Action.AUDIT),
)
"""The pages of the tab ``settings``."""
