"""Spans are encoded as by OpenTelemetry's SDK, with ids that are derived from the event."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from sidecar.domain import rfc3339
from sidecar.domain.events import Event
from sidecar.store.values import PendingSpan
from sidecar.telemetry.otlp import spans
from sidecar.telemetry.otlp.spans import Envelope, span_of
from tests.support.events import BEGIN_US, Phone, made_id
from tests.support.otlp_receiver import attributes

ENVELOPE = Envelope(Resource({}))


def pending_of(event: Event, *, is_root: bool = False) -> PendingSpan:
    fields = {name: getattr(event, name) for name in PendingSpan.__struct_fields__ if hasattr(event, name)}
    return PendingSpan(position=1, **fields, starts_trace=is_root)


def decoded(*encoded: bytes) -> list[Span]:
    (of_resource,) = ExportTraceServiceRequest.FromString(ENVELOPE.request(encoded)).resource_spans
    (of_scope,) = of_resource.scope_spans
    return list(of_scope.spans)


def span_from(event: Event, *, is_root: bool = False) -> Span:
    (span,) = decoded(span_of(pending_of(event, is_root=is_root)))
    return span


def by_the_sdk(pending: PendingSpan, resource: Resource) -> ReadableSpan:
    """The same span built with the SDK; only the ids come from the code under test."""

    def context(span_id: bytes) -> SpanContext:
        trace_id = int.from_bytes(pending.trace_id, "big")
        return SpanContext(trace_id, int.from_bytes(span_id, "big"), is_remote=False, trace_flags=TraceFlags(1))

    def text(value: bytes | None) -> str | None:
        return None if value is None else str(uuid.UUID(bytes=value))

    root = spans.span_id(b"root", pending.trace_id)
    duration_us = pending.previous_state_duration_us
    off_us = pending.occurred_at_us - pending.moment_us
    values = {
        "zim.app.id": pending.app_id,
        "zim.connection.state": pending.connection_state,
        "zim.connection.event": pending.connection_event,
        "zim.connection.previous_state": pending.previous_state,
        "zim.user.status": pending.user_status,
        "zim.platform": pending.platform,
        "zim.sdk.name": pending.sdk_name,
        "zim.sdk.version": pending.sdk_version,
        "zim.event.id": text(pending.id),
        "zim.client.id": text(pending.client_id),
        "session.id": text(pending.session_id),
        "user.id": pending.user_id,
        "zim.connection.previous_state.duration": None if duration_us is None else duration_us / 1_000_000,
        "zim.occurred_at": None if off_us == 0 else rfc3339.text(pending.occurred_at_us),
        "zim.extended_data": pending.extended_data,
    }
    failure = spans.DESCRIPTIONS.get(pending.connection_event or "")
    return ReadableSpan(
        name="zim.connection_state_changed",
        context=context(root if pending.starts_trace else spans.event_span_id(pending.app_id, pending.id)),
        parent=None if pending.starts_trace else context(root),
        resource=resource,
        attributes={name: value for name, value in values.items() if value is not None},
        status=Status(StatusCode.ERROR, failure) if failure else Status(StatusCode.UNSET),
        start_time=pending.moment_us * 1_000,
        end_time=pending.moment_us * 1_000,
        instrumentation_scope=InstrumentationScope("zimwatch"),
    )


A_TRACE_ID = st.binary(min_size=16, max_size=16).filter(any)
TEXT = st.text(max_size=300).map(lambda text: text * 20 if text.startswith("0") else text)
EVENTS = [*spans.DESCRIPTIONS, "SUCCESS", "77"]
PENDING = st.builds(
    PendingSpan,
    position=st.integers(1, 2**62),
    id=A_TRACE_ID,
    occurred_at_us=st.integers(-(2**63), 2**63 - 1) | st.just(BEGIN_US),
    moment_us=st.integers(946_684_800_000_000, 7_258_118_400_000_000 - 1) | st.just(BEGIN_US),
    client_id=A_TRACE_ID,
    app_id=st.integers(0, 2**63 - 1),
    session_id=st.none() | A_TRACE_ID,
    user_id=st.none() | TEXT,
    platform=st.none() | TEXT,
    sdk_name=st.none() | TEXT,
    sdk_version=st.none() | TEXT,
    connection_state=st.none() | TEXT,
    connection_event=st.none() | TEXT | st.sampled_from(EVENTS),
    extended_data=st.none() | TEXT,
    previous_state=st.none() | TEXT,
    previous_state_duration_us=st.none() | st.integers(0, 2**53),
    user_status=st.sampled_from([None, "online", "offline", "not_logged_in"]),
    starts_trace=st.booleans(),
)


@given(pending=st.lists(PENDING, min_size=1, max_size=5), about=st.dictionaries(st.text(min_size=1), TEXT, max_size=3))
def test_the_bytes_equal_those_of_the_sdks_encoder(pending: list[PendingSpan], about: dict[str, Any]) -> None:
    resource = Resource(about, schema_url="https://opentelemetry.io/schemas/1.41.0" if about else None)
    expected = encode_spans([by_the_sdk(one, resource) for one in pending])
    made = Envelope(resource).request(span_of(one) for one in pending)
    assert made == expected.SerializeToString(deterministic=True)


def ids(span: Span) -> tuple[bytes, bytes, bytes]:
    return span.trace_id, span.span_id, span.parent_span_id


def test_unknown_attributes_are_left_out() -> None:
    event = Phone(None).says("CONNECTED", "SUCCESS", at=1)
    assert attributes(span_from(event)) == {
        "zim.event.id": str(uuid.UUID(bytes=event.id)),
        "zim.app.id": event.app_id,
        "zim.client.id": str(uuid.UUID(bytes=event.client_id)),
        "zim.connection.state": "CONNECTED",
        "zim.connection.event": "SUCCESS",
        "zim.extended_data": "",
        "zim.platform": "Web",
    }


def test_a_span_starts_and_ends_at_its_events_moment() -> None:
    span = span_from(Phone("alice").says("CONNECTED", "SUCCESS", at=1.5))
    assert span.start_time_unix_nano == span.end_time_unix_nano == (BEGIN_US + 1_500_000) * 1_000


def test_the_trace_is_the_session_and_its_first_span_is_the_parent_of_the_others() -> None:
    alice = Phone("alice")
    alice.login(at=0)
    first, second = alice.says("CONNECTED", "SUCCESS", at=1), alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2)
    root, child = span_from(first, is_root=True), span_from(second)
    assert alice.session_id is not None
    assert root.trace_id == child.trace_id == alice.session_id
    assert root.parent_span_id == b""
    assert child.parent_span_id == root.span_id != child.span_id


@given(event_id=A_TRACE_ID, session_id=A_TRACE_ID, is_root=st.booleans())
def test_the_ids_are_the_same_on_every_attempt_and_never_zero(
    event_id: bytes, session_id: bytes, *, is_root: bool
) -> None:
    made = [
        span_from(
            Phone(user_id).event("connection_state_changed", at, id=event_id, session_id=session_id), is_root=is_root
        )
        for user_id, at in (("alice", 1), ("bob", 2))
    ]
    assert ids(made[0]) == ids(made[1])
    assert any(made[0].span_id)


def test_span_ids_are_unique_within_a_trace() -> None:
    alice = Phone("alice")
    events = [alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=second) for second in range(100)]
    assert len({span_from(event).span_id for event in events}) == len(events)


@given(event_id=A_TRACE_ID, session_id=A_TRACE_ID)
def test_events_of_two_apps_with_the_same_id_have_different_span_ids(event_id: bytes, session_id: bytes) -> None:
    fields = {"id": event_id, "session_id": session_id}
    made = [
        span_from(Phone("alice", app_id=app_id).event("connection_state_changed", 1, **fields)) for app_id in (1, 2)
    ]
    assert made[0].span_id != made[1].span_id


@pytest.mark.parametrize("event", ["KICKED_OUT", "TOKEN_EXPIRED", "LOGIN_TIMEOUT", "UNREGISTERED"])
def test_a_failure_has_status_error_and_a_description(event: str) -> None:
    status = span_from(Phone("carol").says("DISCONNECTED", event, at=1)).status
    assert status.code == StatusMessage.STATUS_CODE_ERROR
    assert " " in status.message


@pytest.mark.parametrize("event", ["SUCCESS", "ACTIVE_LOGIN", "LOGIN_INTERRUPTED", "77", "SomethingNew"])
def test_any_other_event_leaves_the_status_unset(event: str) -> None:
    status = span_from(Phone("alice").says("DISCONNECTED", event, at=1)).status
    assert (status.code, status.message) == (StatusMessage.STATUS_CODE_UNSET, "")


def test_an_unknown_state_is_kept_as_sent() -> None:
    sent = attributes(span_from(Phone("alice", name="tablet").says("99", "SomethingNew", at=1)))
    assert (sent["zim.connection.state"], sent["zim.connection.event"]) == ("99", "SomethingNew")


def test_without_a_session_the_trace_is_the_client() -> None:
    assert span_from(Phone("dave").says("CONNECTED", "SUCCESS", at=1)).trace_id == made_id("dave/phone")
