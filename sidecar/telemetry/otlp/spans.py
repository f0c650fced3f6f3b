"""Encodes each connection_state_changed as one OTLP span, with the same ids every time.

The trace is the session (the client where there is no session); its first event is the root, and the others are the
root's children. Ids are derived from the trace and the event alone, so that a repeated attempt sends the same span.

The bytes are encoded here and not by OpenTelemetry's SDK, which takes many times as long; a test compares them with
the SDK's encoder on random spans. Format: https://github.com/open-telemetry/opentelemetry-proto,
``trace/v1/trace.proto``; a field is its tag, for text and messages the length, and the value.
"""

from __future__ import annotations

import struct
from binascii import hexlify
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN_CONTEXT

from sidecar.domain import rfc3339, sdk_words
from sidecar.domain.units import SECOND_US
from sidecar.domain.user_naming import PLAIN, UserNaming
from sidecar.store.values import PendingSpan
from sidecar.telemetry.otlp import attributes as names

DESCRIPTIONS: Final = {
    sdk_words.KICKED_OUT: "Kicked out: another device logged in with this user ID",
    sdk_words.TOKEN_EXPIRED: "The token expired and no new one was passed to renewToken in time",
    sdk_words.LOGIN_TIMEOUT: "The login timed out: the SDK could not reach ZIM",
    sdk_words.UNREGISTERED: "The user was unregistered",
}
SCOPE: Final = "zimwatch"
_LATEST_NS: Final = 2**64 - 1
_TIMES: Final = struct.Struct("<BQBQ").pack
_DOUBLE: Final = struct.Struct("<d").pack


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_LENGTHS: Final = tuple(_varint(number) for number in range(4096))


def _sized(value: bytes) -> bytes:
    """The value, preceded by its length."""
    size = len(value)
    return (_LENGTHS[size] if size < len(_LENGTHS) else _varint(size)) + value


def _attribute(key: str, value: bytes) -> bytes:
    """The field ``attributes`` of a span: a KeyValue whose AnyValue is the bytes ``value``."""
    return b"\x4a" + _sized(b"\x0a" + _sized(key.encode()) + b"\x12" + _sized(value))


def _text(key: str, value: str) -> bytes:
    return _attribute(key, b"\x0a" + _sized(value.encode()))


def _head(key: str, size: int, tag: bytes) -> bytes:
    """The constant prefix of an attribute whose value has ``size`` bytes."""
    return _attribute(key, tag + bytes(size))[: -size or None]


_UUID_BYTES: Final = 36
_EVENT_ID: Final = _head(names.EVENT_ID, _UUID_BYTES, b"\x0a\x24")
_SESSION_ID: Final = _head(names.SESSION_ID, _UUID_BYTES, b"\x0a\x24")
_CLIENT_ID: Final = _head(names.CLIENT_ID, _UUID_BYTES, b"\x0a\x24")
_DURATION: Final = _head(names.PREVIOUS_STATE_DURATION, 8, b"\x21")
# Indexed by the length of a short text.
_USER_IDS: Final = tuple(_head(names.USER_ID, size, b"\x0a" + _LENGTHS[size]) for size in range(100))
_EXTENDED: Final = tuple(_head(names.EXTENDED_DATA, size, b"\x0a" + _LENGTHS[size]) for size in range(100))
_BEGIN: Final = b"\x2a" + _sized(names.SPAN_NAME.encode()) + b"\x30\x01"  # kind = SPAN_KIND_INTERNAL
_FLAGS: Final = b"\x85\x01\x00\x01\x00\x00"  # has_is_remote: the parent is local
_UNSET: Final = b"\x7a\x00" + _FLAGS
_ENDS: Final = {
    event: b"\x7a" + _sized(b"\x12" + _sized(sentence.encode()) + b"\x18\x02") + _FLAGS
    for event, sentence in DESCRIPTIONS.items()
}


def _uuid(value: bytes) -> bytes:
    digits = hexlify(value)
    return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])


def span_id(kind: bytes, value: bytes) -> bytes:
    """Eight bytes derived from ``kind`` and ``value``."""
    digest = blake2b(kind + value, digest_size=8).digest()
    # The last bit is set, because an id of zeros is invalid.
    return digest if digest[7] & 1 else digest[:7] + bytes((digest[7] | 1,))


def event_span_id(app_id: int, event_id: bytes) -> bytes:
    """The id of a span that is not its trace's root. Events of two apps may share an id, even in one trace."""
    return span_id(b"event", app_id.to_bytes(8, "big") + event_id)


@lru_cache(maxsize=4096)
def _common(app_id: int, *texts: str | None) -> bytes:
    """The attributes with few distinct values, which most spans share."""
    pairs = zip(COMMON, texts, strict=True)
    return _attribute(names.APP_ID, b"\x18" + _varint(app_id)) + b"".join(
        _text(name, text) for name, text in pairs if text is not None
    )


COMMON: Final = (
    names.CONNECTION_STATE,
    names.CONNECTION_EVENT,
    names.PREVIOUS_STATE,
    names.USER_STATUS,
    names.PLATFORM,
    names.SDK_NAME,
    names.SDK_VERSION,
)


def span_of(pending: PendingSpan, users: UserNaming = PLAIN) -> bytes:
    """The field ``spans`` of a ScopeSpans: one finished span that starts and ends at its event's moment."""
    session_id, event, user_id = pending.session_id, pending.connection_event, pending.user_id
    trace_id = session_id or pending.client_id
    root_id = span_id(b"root", trace_id)
    at_ns = min(max(0, pending.moment_us) * 1_000, _LATEST_NS)
    parts = [
        b"\x0a\x10",
        trace_id,
        b"\x12\x08",
        root_id if pending.starts_trace else event_span_id(pending.app_id, pending.id) + b"\x22\x08" + root_id,
        _BEGIN,
        _TIMES(0x39, at_ns, 0x41, at_ns),
        _common(
            pending.app_id,
            pending.connection_state,
            event,
            pending.previous_state,
            pending.user_status,
            pending.platform,
            pending.sdk_name,
            pending.sdk_version,
        ),
        _EVENT_ID,
        _uuid(pending.id),
        _CLIENT_ID,
        _uuid(pending.client_id),
    ]
    if session_id is not None:
        parts += (_SESSION_ID, _uuid(session_id))
    if user_id is not None and users.is_plain:
        text = user_id.encode()
        parts += (_USER_IDS[len(text)], text) if len(text) < len(_USER_IDS) else (_text(names.USER_ID, user_id),)
    elif user_id is not None and (hashed := users.hash(pending.app_id, user_id)) is not None:
        parts.append(_text(names.USER_HASH, hashed))
    if pending.previous_state_duration_us is not None:
        parts += (_DURATION, _DOUBLE(pending.previous_state_duration_us / SECOND_US))
    if pending.occurred_at_us != pending.moment_us:
        parts.append(_text(names.OCCURRED_AT, rfc3339.text(pending.occurred_at_us)))
    if pending.extended_data is not None:
        text = pending.extended_data.encode()
        short = len(text) < len(_EXTENDED)
        parts += (_EXTENDED[len(text)], text) if short else (_text(names.EXTENDED_DATA, pending.extended_data),)
    parts.append(_ENDS.get(event, _UNSET) if event else _UNSET)
    return field(b"".join(parts))


def field(encoded: bytes) -> bytes:
    """An encoded span, or log record, as the repeated field of its scope's message."""
    return b"\x12" + _sized(encoded)


class Envelope:
    """The constant part of a request: resource and scope."""

    def __init__(self, resource: Resource) -> None:
        # As the SDK encodes it, from a request with one empty span.
        (whole,) = encode_spans([ReadableSpan("", context=INVALID_SPAN_CONTEXT, resource=resource)]).resource_spans
        self._resource = b"\x0a" + _sized(whole.resource.SerializeToString(deterministic=True))
        self._scope = b"\x0a" + _sized(b"\x0a" + _sized(SCOPE.encode()))
        self._schema = b"\x1a" + _sized(resource.schema_url.encode()) if resource.schema_url else b""

    def request(self, spans: Iterable[bytes]) -> bytes:
        """An ExportTraceServiceRequest with these spans, or one of log records, whose fields have the same numbers."""
        scope_spans = b"\x12" + _sized(self._scope + b"".join(spans))
        return b"\x0a" + _sized(self._resource + scope_spans + self._schema)
