"""Log lines are JSON unless stderr is a terminal, and have the ids of their trace."""

from __future__ import annotations

import io
import json
import logging

import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from sidecar import logs
from sidecar.settings import LogSettings

TRACE_ID = 0x0102030405060708090A0B0C0D0E0F10
SPAN_ID = 0x0102030405060708


def test_a_line_is_json_with_its_time_level_and_logger_where_stderr_is_no_terminal() -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(), stream)
    structlog.stdlib.get_logger("sidecar.app").info("serving", url="http://127.0.0.1:8790")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["logger"]) == ("serving", "info", "sidecar.app")
    assert line["url"] == "http://127.0.0.1:8790"
    assert line["timestamp"].endswith("Z")
    assert "trace_id" not in line


def test_a_line_within_a_span_carries_its_ids_from_any_logger() -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(format="json"), stream)
    span = NonRecordingSpan(SpanContext(TRACE_ID, SPAN_ID, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(span):
        structlog.stdlib.get_logger("sidecar").warning("ours")
        logging.getLogger("aiohttp").warning("%s", "theirs")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs"]
    assert {line["trace_id"] for line in lines} == {f"{TRACE_ID:032x}"}
    assert {line["span_id"] for line in lines} == {f"{SPAN_ID:016x}"}


def test_a_person_at_a_terminal_gets_no_json() -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(format="console"), stream)
    structlog.stdlib.get_logger("sidecar").info("serving", port=8790)
    assert "serving" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_what_is_below_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(level="warning"), stream)
    structlog.stdlib.get_logger("sidecar").info("quiet")
    assert stream.getvalue() == ""


def test_an_error_is_one_line_with_its_traceback_in_it() -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(format="json"), stream)
    try:
        int("mallory was here")
    except ValueError:
        structlog.stdlib.get_logger("sidecar").exception("failed")
    (text,) = stream.getvalue().splitlines()
    assert "mallory was here" in json.dumps(json.loads(text)["exception"])
