"""Events of wire version 1, as an app would send them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any


def wire_event(**fields: Any) -> dict[str, Any]:
    """A complete connection_state_changed, with ``fields`` in the place of its own."""
    event = {
        "id": str(uuid.uuid4()),
        "type": "connection_state_changed",
        "occurred_at": "2026-11-23T14:03:20.123Z",
        "client_id": "5b1c3c5e-2b58-4d39-9d51-0d4e1f6b7a10",
        "seq": 1,
        "session_id": None,
        "app_id": 1234567890,
        "user_id": "alice",
        "state": 2,
        "event": "Success",
        "extended_data": "{}",
    }
    return event | fields


def fresh_event(**fields: Any) -> dict[str, Any]:
    """The same, as if it had just happened: what is old calls nobody."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return wire_event(occurred_at=now, client_id=str(uuid.uuid4())) | fields


def without(name: str) -> dict[str, Any]:
    """A complete event but for one field."""
    event = wire_event()
    del event[name]
    return event
