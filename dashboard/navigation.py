"""The navigation at the top of each page, and its keys."""

from __future__ import annotations

from typing import Final

import msgspec

from dashboard.text.language import marked


class Entry(msgspec.Struct, frozen=True):
    """``tab`` is what a view calls itself to be marked as current; ``key`` opens the page after ``g``."""

    tab: str
    path: str
    text: str
    key: str


ENTRIES: Final = (
    Entry("overview", "/", marked("Overview"), "o"),
    Entry("users", "/users", marked("Users"), "u"),
    Entry("alerts", "/alerts", marked("Alerts"), "a"),
    Entry("silences", "/silences", marked("Silences"), "i"),
    Entry("settings", "/settings", marked("Settings"), "s"),
)
