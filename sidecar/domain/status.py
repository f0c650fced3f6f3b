"""The statuses, and the rule of the SDK's documentation that maps connection states to them.

Source: ZEGOCLOUD, In-app Chat, "Manage user login", section "Determine user login status".
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from sidecar.domain import sdk_words

Status = Literal["online", "offline", "not_logged_in"]

ONLINE: Final = "online"
OFFLINE: Final = "offline"
NOT_LOGGED_IN: Final = "not_logged_in"
STATUSES: Final[tuple[Status, ...]] = get_args(Status)

# CONNECTING is missing: the page's table has no row for it, and its sample code leaves the status unchanged.
STATUS_OF_STATE: Final[dict[str, Status]] = {
    sdk_words.CONNECTED: ONLINE,
    sdk_words.RECONNECTING: OFFLINE,
    sdk_words.DISCONNECTED: NOT_LOGGED_IN,
}
