"""Events as an edge passes them on: wire version 1, with the moment that it settled. The inverse of decoding."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from sidecar.domain import rfc3339
from sidecar.domain.events import CONNECTION_STATE_CHANGED, HEARTBEAT, Event

_encode = msgspec.json.Encoder().encode


def body_of(event: Event) -> bytes:
    """Its JSON, in which every time has its microseconds."""
    sent: dict[str, Any] = {
        "id": _uuid(event.id),
        "type": event.type,
        "occurred_at": rfc3339.exact_text(event.occurred_at_us),
        "observed_at": rfc3339.exact_text(event.moment_us),
        "client_id": _uuid(event.client_id),
        "seq": event.seq,
        "app_id": event.app_id,
    }
    if event.session_id is not None:
        sent["session_id"] = _uuid(event.session_id)
    for name in ("user_id", "platform", "app_version", "device_id", "proven"):
        if (value := getattr(event, name)) is not None:
            sent[name] = value
    if event.sdk_name is not None or event.sdk_version is not None:
        sent["sdk"] = {"name": event.sdk_name, "version": event.sdk_version}
    if event.reporter_name is not None or event.reporter_version is not None:
        sent["reporter"] = {"name": event.reporter_name, "version": event.reporter_version}
    if event.type == CONNECTION_STATE_CHANGED:
        sent |= {"state": event.connection_state, "event": event.connection_event}
        sent["extended_data"] = event.extended_data
    elif event.type == HEARTBEAT:
        sent["state"] = event.connection_state
    for name, value in event.details.items():
        sent[name.removesuffix("_us")] = rfc3339.exact_text(value) if _is_time(name, value) else value
    return _encode(sent)


def _is_time(name: str, value: object) -> bool:
    return name.endswith("_us") and isinstance(value, int)


def _uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))
