"""Encodes episodes as spans with a duration: ``zim.login``, ``zim.outage`` and ``zim.session``.

They are in the trace of their session, beside the spans of its events, and link to those of their first and last event.
An id is derived from the first event, so that a repeated attempt sends the same span.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from sidecar.domain.episodes import Episode, Kind, Reported, found_at
from sidecar.domain.user_naming import UserNaming
from sidecar.store.log.settled_events import SETTLE_US, Settled
from sidecar.telemetry.otlp import attributes as names
from sidecar.telemetry.otlp.spans import DESCRIPTIONS, event_span_id, field, span_id

# The parent is local; see OTLP's SpanFlags.
_FLAGS: Final = 0x100
_FAILED: Final = "The login was refused"


class EpisodeSpan(msgspec.Struct, frozen=True):
    """A span to be exported. ``has_root``: its trace has spans of events, of which the first is its parent."""

    episode: Episode
    has_root: bool

    @property
    def position(self) -> int:
        """That of the event with which it ended."""
        return self.episode.end.position

    @property
    def id(self) -> bytes:
        """The id of that event."""
        return self.episode.end.id

    @property
    def trace_id(self) -> bytes:
        """As that of a :class:`sidecar.store.values.PendingSpan`."""
        return self.episode.start.trace_id


def ended_spans(settled: Iterable[Settled], kinds: Iterable[Kind]) -> Iterator[EpisodeSpan]:
    """The spans of these kinds that ended with one of the events."""
    wanted = frozenset(kinds)
    for event, history in settled:
        if history:
            trace_id = event.trace_id
            has_root = any(one.is_change and one.trace_id == trace_id for one in history)
            for episode in found_at(event, history, SETTLE_US).ended:
                if episode.kind in wanted:
                    yield EpisodeSpan(episode, has_root)


def episode_span(pending: EpisodeSpan, users: UserNaming) -> bytes:
    """The field ``spans`` of a ScopeSpans."""
    start, end = pending.episode.start, pending.episode.end
    trace_id, begin_ns = pending.trace_id, max(0, start.moment_us) * 1_000
    kind = pending.episode.kind
    span = Span(
        trace_id=trace_id,
        span_id=episode_span_id(kind, start),
        parent_span_id=span_id(b"root", trace_id) if pending.has_root else b"",
        name=names.EPISODES[kind],
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=begin_ns,
        end_time_unix_nano=max(begin_ns, end.moment_us * 1_000),  # a client's clock may be set back in between
        attributes=[key_value(key, value) for key, value in attributes_of(end, users).items()],
        links=[
            Span.Link(trace_id=trace_id, span_id=event_id_of(one), flags=_FLAGS)
            for one in (start, end)
            if one.is_change
        ],
        flags=_FLAGS,
    )
    if pending.episode.has_failed:
        message = DESCRIPTIONS.get(end.connection_event or "", _FAILED if kind == "login" else "")
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=message))
    return field(span.SerializeToString(deterministic=True))


def episode_span_id(kind: Kind, start: Reported) -> bytes:
    """The id of an episode's span, whether it is exported or not."""
    return span_id(kind.encode(), start.app_id.to_bytes(8, "big") + start.id)


def event_id_of(event: Reported) -> bytes:
    """The id of the span of a connection_state_changed."""
    return span_id(b"root", event.trace_id) if event.starts_trace else event_span_id(event.app_id, event.id)


def attributes_of(event: Reported, users: UserNaming) -> dict[str, str | float]:
    """The attributes that an event has in spans and logs alike."""
    user_id = event.user_id
    naming = names.USER_ID if users.is_plain else names.USER_HASH
    shown = user_id if user_id is None or users.is_plain else users.hash(event.app_id, user_id)
    found: dict[str, str | float | None] = {
        names.EVENT_ID: str(uuid.UUID(bytes=event.id)),
        names.APP_ID: event.app_id,
        naming: shown,
        names.CLIENT_ID: str(uuid.UUID(bytes=event.client_id)),
        names.SESSION_ID: None if event.session_id is None else str(uuid.UUID(bytes=event.session_id)),
        names.CONNECTION_STATE: event.connection_state,
        names.CONNECTION_EVENT: event.connection_event,
        names.RESULT_CODE: event.code,
        names.PLATFORM: event.platform,
        names.SDK_NAME: event.sdk_name,
        names.SDK_VERSION: event.sdk_version,
    }
    return {key: value for key, value in found.items() if value is not None}


def key_value(key: str, value: str | float) -> KeyValue:
    """An attribute."""
    if isinstance(value, str):
        return KeyValue(key=key, value=AnyValue(string_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(double_value=value))
