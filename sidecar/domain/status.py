"""The status words, and the rule from the SDK's page that leads to them.

Source: ZEGOCLOUD, In-app Chat, "Manage user login", section "Determine user login status".
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from sidecar.domain import connection

Status = Literal["online", "offline", "not_logged_in"]

ONLINE: Final = "online"
OFFLINE: Final = "offline"
NOT_LOGGED_IN: Final = "not_logged_in"
STATUSES: Final[tuple[Status, ...]] = get_args(Status)

# CONNECTING is in no row of the page's table, and its sample code leaves the status as it was. So do we.
STATUS_OF_STATE: Final[dict[str, Status]] = {
    connection.CONNECTED: ONLINE,
    connection.RECONNECTING: OFFLINE,
    connection.DISCONNECTED: NOT_LOGGED_IN,
}
