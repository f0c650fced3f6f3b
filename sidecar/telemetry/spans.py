"""One span for each connection_state_changed, with the same ids whenever it is made.

The trace is the session (the client where there is no session); its first event is the root, and the others are the
root's children. Ids follow from the trace and the event alone, so that an attempt repeated is the same span.
"""

from __future__ import annotations

import uuid
from hashlib import blake2b
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from sidecar.domain import connection
from sidecar.store.records import PendingSpan
from sidecar.telemetry import attributes as names

_SCOPE: Final = InstrumentationScope("zimwatch")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_DESCRIPTIONS: Final = {
    connection.KICKED_OUT: "Kicked out: another device logged in with this user ID",
    connection.TOKEN_EXPIRED: "The token expired and no new one was passed to renewToken in time",
    connection.LOGIN_TIMEOUT: "The login timed out: the SDK could not reach ZIM",
    connection.UNREGISTERED: "The user was unregistered",
}


def _span_id(*parts: bytes) -> int:
    # The last bit is set, because the id of all zeros is no id.
    return int.from_bytes(blake2b(b"".join(parts), digest_size=8).digest(), "big") | 1


def span_of(pending: PendingSpan, resource: Resource) -> ReadableSpan:
    """The finished span of an event; it starts and ends when the event occurred."""
    trace_id = int.from_bytes(pending.trace_id, "big")
    root_id = _span_id(b"root", pending.trace_id)
    own_id = root_id if pending.is_root else _span_id(b"event", pending.event.id)
    occurred_ns = pending.event.occurred_at_us * 1_000
    failure = _DESCRIPTIONS.get(pending.event.connection_event or "")
    return ReadableSpan(
        name=names.SPAN_NAME,
        context=SpanContext(trace_id, own_id, is_remote=False, trace_flags=_SAMPLED),
        parent=None if pending.is_root else SpanContext(trace_id, root_id, is_remote=False, trace_flags=_SAMPLED),
        resource=resource,
        attributes=_attributes(pending),
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, failure) if failure else Status(StatusCode.UNSET),
        start_time=occurred_ns,
        end_time=occurred_ns,
        instrumentation_scope=_SCOPE,
    )


def _attributes(pending: PendingSpan) -> dict[str, AttributeValue]:
    event = pending.event
    duration_us = pending.previous_state_duration_us
    told: dict[str, AttributeValue | None] = {
        names.EVENT_ID: str(uuid.UUID(bytes=event.id)),
        names.APP_ID: event.app_id,
        names.USER_ID: event.user_id,
        names.SESSION_ID: None if event.session_id is None else str(uuid.UUID(bytes=event.session_id)),
        names.CLIENT_ID: str(uuid.UUID(bytes=event.client_id)),
        names.CONNECTION_STATE: event.connection_state,
        names.CONNECTION_EVENT: event.connection_event,
        names.PREVIOUS_STATE: pending.previous_state,
        names.PREVIOUS_STATE_DURATION: None if duration_us is None else duration_us / 1_000_000,
        names.USER_STATUS: pending.user_status,
        names.EXTENDED_DATA: event.extended_data,
        names.PLATFORM: event.platform,
        names.SDK_NAME: event.sdk_name,
        names.SDK_VERSION: event.sdk_version,
    }
    return {name: value for name, value in told.items() if value is not None}
