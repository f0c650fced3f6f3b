"""The names by which an alert is matched. Imports nothing, as the settings need them at each start of a command."""

from __future__ import annotations

from typing import Final

WATCHED_BY: Final = "watched_by"
"""The label of an alert about a watched user: who watches."""

MATCHED: Final = (
    "kind",
    "severity",
    "app_id",
    "user_id",
    "platform",
    "sdk_version",
    "app_version",
    "device_id",
    "part",
    "flapping",
    WATCHED_BY,
)
