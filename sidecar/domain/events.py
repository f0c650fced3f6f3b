"""An event as a client reported it: the unit that Zimwatch stores, shows and exports."""

from __future__ import annotations

from typing import Any, Final

import msgspec

# Types that code refers to; sidecar/ingest/wire_types.py has all that clients may send.
CONNECTION_STATE_CHANGED: Final = "connection_state_changed"
TOKEN_WILL_EXPIRE: Final = "token_will_expire"  # noqa: S105 - the SDK's callback, not a password
TOKEN_RENEWED: Final = "token_renewed"  # noqa: S105
LOGIN: Final = "login"
LOGIN_RESULT: Final = "login_result"
LOGOUT: Final = "logout"
API_ERROR: Final = "api_error"
HEARTBEAT: Final = "heartbeat"
# Reported by ZEGO's server; clients may not send it.
SERVER_USER_ACTION: Final = "server_user_action"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of one client.

    ``id``, ``client_id`` and ``session_id`` are a UUID's 16 bytes. ``*_us`` are microseconds since the Unix epoch, UTC.
    ``occurred_at_us`` is by the sender's clock; ``moment_us`` is by ours (see :mod:`sidecar.domain.moment`), and is the
    one that is compared and shown.
    ``connection_state`` and ``connection_event`` are canonical names (see :mod:`sidecar.domain.sdk_words`) and are
    set for ``connection_state_changed`` (a heartbeat sets the state alone). ``details`` holds the type's other
    fields by their wire names; a time among them is ``token_expires_at_us``. ``proven``: whether the app's backend
    vouched for the user; None where that cannot be said: the app has no keys for it, or the event names no user.
    """

    id: bytes
    type: str
    occurred_at_us: int
    received_at_us: int
    moment_us: int
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
    reporter_name: str | None = None
    reporter_version: str | None = None
    proven: bool | None = None

    @property
    def order(self) -> tuple[int, bytes]:
        """Its place among its client's events: by ``seq``, then by id for a faulty sender that repeats one."""
        return (self.seq, self.id)
