"""The navigation at the top of each page, and its keys."""

from __future__ import annotations

from typing import Final

import msgspec

from dashboard.text.language import marked
from sidecar.access.policy import Action


class Entry(msgspec.Struct, frozen=True):
    """``tab`` is what a view calls itself to be marked as current; ``key`` opens the page after ``g``.

    It is shown to those who may do what its page needs.
    """

    tab: str
    path: str
    text: str
    key: str
    needed: Action


ENTRIES: Final = (
    Entry("overview", "/", marked("Overview"), "o", Action.SEE_COUNTS),
    Entry("users", "/users", marked("Users"), "u", Action.SEE_USERS),
    Entry("alerts", "/alerts", marked("Alerts"), "a", Action.SEE_USERS),
    Entry("silences", "/silences", marked("Silences"), "i", Action.SEE_USERS),
    Entry("settings", "/settings", marked("Settings"), "s", Action.SETTINGS),
)
