"""What is known of one client of a user at a moment."""

from __future__ import annotations

import msgspec

from sidecar.domain.status import Status


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A client of a user in its latest login. ``outages`` counts changes to offline, not RECONNECTING events.

    ``lease_us``: for how long it may be silent.
    """

    client_id: bytes
    session_id: bytes | None
    status: Status
    since_us: int | None
    reason: str | None
    connection_state: str | None
    lease_us: int
    unconfirmed: bool
    login_at_us: int | None
    token_expires_at_us: int | None
    last_seen_at_us: int
    outages: int
    platform: str | None
    sdk_name: str | None
    sdk_version: str | None
    app_version: str | None
    device_id: str | None
    clock_off_us: int
    reporter_name: str | None = None
    reporter_version: str | None = None
