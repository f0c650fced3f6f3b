"""Spans with a duration of a running server at a real OTLP receiver: their ids, links and times, and each once."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from sidecar.settings import TelemetrySettings
from sidecar.store.log import settled_events
from sidecar.store.values import Loss
from tests.support.clocks import Machine
from tests.support.otlp_receiver import attributes, receiving
from tests.support.running import zimwatch
from tests.support.wire import wire_event

SESSION = "0192d3f0-6b7a-7c10-8d51-0d4e1f6b7a10"
ALL = TelemetrySettings(duration_spans=("login", "outage", "session"))
CONNECTED, RECONNECTING, DISCONNECTED = 2, 3, 0


@pytest.fixture
def past() -> Machine:
    """A machine whose clock is behind, so that its events settled long ago for the child."""
    machine = Machine()
    machine.passes(20)
    return machine


def happened(seq: int, **fields: Any) -> dict[str, Any]:
    at = f"2026-11-23T14:00:{seq:02}.500Z"
    return wire_event(seq=seq, session_id=SESSION, occurred_at=at, **fields)


def day() -> list[dict[str, Any]]:
    """Alice logs in, is offline from the third to the fifth second, and is kicked out in the seventh."""
    return [
        happened(1, type="login", offline_login=False),
        happened(2, state=CONNECTED, event=0),
        happened(3, state=RECONNECTING, event=3),
        happened(4, state=RECONNECTING, event=3),
        happened(5, state=CONNECTED, event=0),
        happened(7, state=DISCONNECTED, event=4),
    ]


def by_name(spans: list[Span]) -> dict[str, Span]:
    found = {span.name: span for span in spans if span.name != "zim.connection_state_changed"}
    assert sorted(found) == sorted(span.name for span in spans if span.name != "zim.connection_state_changed")
    return found


def seconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


async def test_a_day_has_a_login_an_outage_and_a_session_linked_to_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: Machine
) -> None:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        async with zimwatch(tmp_path, environ, machine=past, telemetry=ALL) as running:
            sent = day()
            await running.send([sent[at] for at in (3, 5, 0, 2, 4, 1)])  # in no order
            spans = await receiver.wait_for(spans=8, within_s=60)
        login, outage, session = (by_name(spans)[f"zim.{kind}"] for kind in ("login", "outage", "session"))
        of_events = {
            attributes(span)["zim.event.id"]: span for span in spans if span.name == "zim.connection_state_changed"
        }
        assert [seconds(span) for span in (login, outage, session)] == [1, 2, 6]
        assert {span.trace_id for span in spans} == {uuid.UUID(SESSION).bytes}
        (root,) = [span for span in of_events.values() if not span.parent_span_id]
        assert {span.parent_span_id for span in (login, outage, session)} == {root.span_id}
        linked: dict[str, list[dict[str, Any]]] = {
            "zim.login": [sent[1]],
            "zim.outage": [sent[2], sent[4]],
            "zim.session": [sent[5]],  # the call of login has no span
        }
        for span in (login, outage, session):
            ids = [of_events[event["id"]].span_id for event in linked[span.name]]
            assert [(link.trace_id, link.span_id) for link in span.links] == [(span.trace_id, one) for one in ids]
        assert attributes(session) == {
            "zim.event.id": sent[5]["id"],
            "zim.app.id": 1234567890,
            "user.id": "alice",
            "session.id": SESSION,
            "zim.client.id": sent[5]["client_id"],
            "zim.connection.state": "DISCONNECTED",
            "zim.connection.event": "KICKED_OUT",
        }
        assert [one.status.code for one in (login, outage)] == [Status.STATUS_CODE_UNSET] * 2
        assert session.status.code == Status.STATUS_CODE_ERROR
        assert "another device" in session.status.message

        # After a restart nothing is sent again but what follows from new events, however late others are.
        async with zimwatch(tmp_path, environ, machine=past, telemetry=ALL) as running:
            past.passes(100)
            await running.send([happened(6, state=CONNECTED, event=0)])
            bob = {"user_id": "bob", "client_id": str(uuid.uuid4()), "session_id": str(uuid.uuid4())}
            call = wire_event(type="login", offline_login=False, **bob)
            await running.send([call, wire_event(type="login_result", seq=2, code=6000103, **bob)])
            spans = await receiver.wait_for(spans=11, within_s=60)
        (failed,) = [span for span in spans[8:] if span.name == "zim.login"]
        assert (failed.status.code, failed.parent_span_id, len(failed.links)) == (Status.STATUS_CODE_ERROR, b"", 0)
        assert attributes(failed)["zim.result.code"] == 6000103
        assert sorted(span.name for span in spans[8:]) == ["zim.connection_state_changed", "zim.login", "zim.session"]


async def test_a_refused_attempt_is_repeated_with_the_same_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, past: Machine
) -> None:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        receiver.failures = 2
        only = TelemetrySettings(duration_spans=("outage",))
        async with zimwatch(tmp_path, environ, machine=past, telemetry=only) as running:
            await running.send(day())
            spans = await receiver.wait_for(spans=6, within_s=60)
        assert list(by_name(spans)) == ["zim.outage"]
        refused = [span for span in receiver.refused if span.name == "zim.outage"]
        assert all(span == by_name(spans)["zim.outage"] for span in refused)


async def test_without_the_setting_there_is_no_cursor_and_with_it_only_new_events_count(
    tmp_path: Path, past: Machine
) -> None:
    async with zimwatch(tmp_path, machine=past) as running:
        await running.send(day())
        at = {"now_us": past.clock() + 10**9, "max_age_us": 10**15}
        assert await running.store.read(lambda c: settled_events.claim(c, "c", 0, 10, **at)) == ([], 0)
        await running.store.write(lambda c: settled_events.begin(c, "c", is_on=True))
        assert (await running.store.read(lambda c: settled_events.claim(c, "c", 0, 10, **at)))[0] == []
        await running.send([happened(8, type="login", offline_login=False)])
        ((event, history),), through = await running.store.read(lambda c: settled_events.claim(c, "c", 0, 10, **at))
        assert (event.type, event.seq, through, len(history)) == ("login", 8, 7, 7)
        await running.store.write(
            lambda c: settled_events.acknowledge(c, "c", 7, [Loss(1, "refused", 1, 7, b"x", "no")])
        )
        assert await running.store.read(lambda c: settled_events.claim(c, "c", 0, 10, **at)) == ([], 7)
        at["now_us"] = past.clock()
        await running.send([happened(9, state=CONNECTED, event=0)])
        assert (await running.store.read(lambda c: settled_events.claim(c, "c", 0, 10, **at)))[0] == []
        await running.store.write(lambda c: settled_events.begin(c, "c", is_on=False))
