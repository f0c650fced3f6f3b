"""One event as a client reported it: the unit of everything that Zimwatch stores, shows and exports."""

from __future__ import annotations

from typing import Any, Final

import msgspec

CONNECTION_STATE_CHANGED: Final = "connection_state_changed"
TOKEN_WILL_EXPIRE: Final = "token_will_expire"  # noqa: S105 - the SDK's callback, not a password
TOKEN_RENEWED: Final = "token_renewed"  # noqa: S105
LOGIN: Final = "login"
LOGIN_RESULT: Final = "login_result"
LOGOUT: Final = "logout"
API_ERROR: Final = "api_error"
HEARTBEAT: Final = "heartbeat"
# What ZEGO's server said, not a client: it is on the record, and no client may send it.
SERVER_USER_ACTION: Final = "server_user_action"

# The types that clients send.
TYPES: Final = (
    CONNECTION_STATE_CHANGED,
    TOKEN_WILL_EXPIRE,
    TOKEN_RENEWED,
    LOGIN,
    LOGIN_RESULT,
    LOGOUT,
    API_ERROR,
    HEARTBEAT,
)


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one client said happened, at one moment of its own clock.

    ``id``, ``client_id`` and ``session_id`` are a UUID's 16 bytes. ``*_us`` are microseconds since the Unix epoch, UTC.
    ``connection_state`` and ``connection_event`` are canonical names (see :mod:`sidecar.domain.connection`) and are
    set for ``connection_state_changed`` (a heartbeat sets the state alone). ``details`` holds the type's other
    fields by their wire names; a time among them is ``token_expires_at_us``.
    """

    id: bytes
    type: str
    occurred_at_us: int
    received_at_us: int
    client_id: bytes
    seq: int
    app_id: int
    session_id: bytes | None = None
    user_id: str | None = None
    platform: str | None = None
    sdk_name: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None
    device_id: str | None = None
    connection_state: str | None = None
    connection_event: str | None = None
    extended_data: str | None = None
    details: dict[str, Any] = {}

    @property
    def order(self) -> tuple[int, bytes]:
        """Where the event stands among its client's: by ``seq``; the id breaks the tie of a faulty sender."""
        return (self.seq, self.id)
