"""A span says what its event said, with ids that follow from the event alone."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from sidecar.domain.events import Event
from sidecar.store.records import PendingSpan
from sidecar.telemetry.spans import span_of
from tests.support.events import BEGIN_US, Phone, made_id

NOBODY = Resource({})


def span_from(event: Event, *, is_root: bool = False, trace_id: bytes | None = None) -> ReadableSpan:
    pending = PendingSpan(
        position=1,
        event=event,
        trace_id=trace_id or event.session_id or event.client_id,
        is_root=is_root,
        previous_state=None,
        previous_state_duration_us=None,
        user_status=None,
        attempts=0,
    )
    return span_of(pending, NOBODY)


def ids(span: ReadableSpan) -> tuple[int, int, int | None]:
    return span.context.trace_id, span.context.span_id, span.parent and span.parent.span_id


def test_what_is_not_known_is_left_out() -> None:
    event = Phone(None).says("CONNECTED", "SUCCESS", at=1)
    assert span_from(event).attributes == {
        "zim.event.id": str(uuid.UUID(bytes=event.id)),
        "zim.app.id": event.app_id,
        "zim.client.id": str(uuid.UUID(bytes=event.client_id)),
        "zim.connection.state": "CONNECTED",
        "zim.connection.event": "SUCCESS",
        "zim.extended_data": "",
        "zim.platform": "Web",
    }


def test_it_starts_and_ends_when_the_event_occurred_in_nanoseconds() -> None:
    span = span_from(Phone("alice").says("CONNECTED", "SUCCESS", at=1.5))
    assert span.start_time == span.end_time == (BEGIN_US + 1_500_000) * 1_000


def test_the_trace_is_the_session_and_every_child_names_the_root() -> None:
    alice = Phone("alice")
    alice.login(at=0)
    first, second = alice.says("CONNECTED", "SUCCESS", at=1), alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2)
    root, child = span_from(first, is_root=True), span_from(second)
    assert alice.session_id is not None
    assert root.context.trace_id == child.context.trace_id == int.from_bytes(alice.session_id, "big")
    assert root.parent is None
    assert child.parent is not None
    assert child.parent.span_id == root.context.span_id != child.context.span_id


@given(
    event_id=st.binary(min_size=16, max_size=16), trace_id=st.binary(min_size=16, max_size=16), is_root=st.booleans()
)
def test_the_ids_are_the_same_on_every_attempt_and_never_zero(
    event_id: bytes, trace_id: bytes, *, is_root: bool
) -> None:
    made = [
        span_from(Phone(user_id).event("connection_state_changed", at, id=event_id), is_root=is_root, trace_id=trace_id)
        for user_id, at in (("alice", 1), ("bob", 2))
    ]
    assert ids(made[0]) == ids(made[1])
    assert made[0].context.span_id != 0


def test_events_of_one_trace_have_ids_of_their_own() -> None:
    alice = Phone("alice")
    events = [alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=second) for second in range(100)]
    assert len({span_from(event).context.span_id for event in events}) == len(events)


@pytest.mark.parametrize("event", ["KICKED_OUT", "TOKEN_EXPIRED", "LOGIN_TIMEOUT", "UNREGISTERED"])
def test_a_failure_is_an_error_with_a_sentence(event: str) -> None:
    status = span_from(Phone("carol").says("DISCONNECTED", event, at=1)).status
    assert status.status_code is StatusCode.ERROR
    assert status.description is not None
    assert " " in status.description


@pytest.mark.parametrize("event", ["SUCCESS", "ACTIVE_LOGIN", "LOGIN_INTERRUPTED", "77", "SomethingNew"])
def test_anything_else_leaves_the_status_unset(event: str) -> None:
    status = span_from(Phone("alice").says("DISCONNECTED", event, at=1)).status
    assert (status.status_code, status.description) == (StatusCode.UNSET, None)


def test_an_unknown_state_stays_as_it_came() -> None:
    attributes = span_from(Phone("alice", name="tablet").says("99", "SomethingNew", at=1)).attributes
    assert attributes is not None
    assert (attributes["zim.connection.state"], attributes["zim.connection.event"]) == ("99", "SomethingNew")


def test_without_a_session_the_trace_is_the_client() -> None:
    assert span_from(Phone("dave").says("CONNECTED", "SUCCESS", at=1)).context.trace_id == int.from_bytes(
        made_id("dave/phone"), "big"
    )
