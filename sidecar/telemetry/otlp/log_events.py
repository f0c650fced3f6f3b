"""Encodes changes and episodes as log records with an event name, as OpenTelemetry wants events to be sent.

They name the span that they are about. Sessions are ``session.start`` and ``session.end``, by OpenTelemetry's semantic
conventions. Format: https://github.com/open-telemetry/opentelemetry-proto, ``logs/v1/logs.proto``.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence

import msgspec
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from sidecar.domain.episodes import Episode, LogKind, Reported, found_at
from sidecar.domain.units import SECOND_US
from sidecar.domain.user_naming import UserNaming
from sidecar.store.log.settled_events import SETTLE_US, Settled
from sidecar.telemetry.otlp import attributes as names
from sidecar.telemetry.otlp.episode_spans import attributes_of, episode_span_id, event_id_of, key_value
from sidecar.telemetry.otlp.spans import field


class LogEvent(msgspec.Struct, frozen=True):
    """A log record to be exported: ``event`` gives its moment and attributes, besides ``more``."""

    name: str
    event: Reported
    span_id: bytes
    has_failed: bool = False
    more: dict[str, str | float] = {}

    @property
    def position(self) -> int:
        """Its event's."""
        return self.event.position

    @property
    def id(self) -> bytes:
        """Its event's."""
        return self.event.id

    @property
    def trace_id(self) -> bytes:
        """Its event's."""
        return self.event.trace_id


def log_events(settled: Sequence[Settled], kinds: Collection[LogKind]) -> Iterator[LogEvent]:
    """The log events of these kinds that follow from the settled events."""
    for event, history in settled:
        found = found_at(event, history, SETTLE_US) if history else None
        if found and found.begins_session and "session" in kinds and event.session_id is not None:
            before = found.previous_session_id
            more: dict[str, str | float] = {}
            if before is not None:
                more[names.PREVIOUS_SESSION_ID] = str(uuid.UUID(bytes=before))
            yield LogEvent(names.SESSION_START, event, episode_span_id("session", event), more=more)
        if event.is_change and "change" in kinds:
            yield LogEvent(names.SPAN_NAME, event, event_id_of(event), event.has_failed)
        for episode in found.ended if found else ():
            if episode.kind in kinds and (episode.kind != "session" or event.session_id is not None):
                yield _ended(episode)


def _ended(episode: Episode) -> LogEvent:
    name = names.SESSION_END if episode.kind == "session" else names.EPISODES[episode.kind]
    duration_s = max(0, episode.end.moment_us - episode.start.moment_us) / SECOND_US
    span_id = episode_span_id(episode.kind, episode.start)
    return LogEvent(name, episode.end, span_id, episode.has_failed, {names.DURATION: duration_s})


def log_record(pending: LogEvent, users: UserNaming) -> bytes:
    """The field ``log_records`` of a ScopeLogs."""
    event = pending.event
    number, text = (
        (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR")
        if pending.has_failed
        else (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO")
    )
    record = LogRecord(
        time_unix_nano=max(0, event.moment_us) * 1_000,
        observed_time_unix_nano=max(0, event.received_at_us) * 1_000,
        severity_number=number,
        severity_text=text,
        event_name=pending.name,
        attributes=[key_value(key, value) for key, value in (attributes_of(event, users) | pending.more).items()],
        flags=1,  # sampled, as all spans are
        trace_id=pending.trace_id,
        span_id=pending.span_id,
    )
    return field(record.SerializeToString(deterministic=True))
