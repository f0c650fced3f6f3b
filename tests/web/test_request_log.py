"""The log lines of requests: a bounded number, and a sum of the others."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry import trace

from sidecar import logs
from sidecar.settings import LogSettings
from sidecar.web import problem
from sidecar.web.request_log import WINDOW_S, RequestLog
from tests.support import virtual
from tests.support.clocks import Machine
from tests.support.running import zimwatch
from tests.support.tokens import new_token

MOST = 3
FLOOD = 1_000


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged about requests so far."""
    root = logging.getLogger()
    before, stream = (list(root.handlers), root.level), StringIO()
    logs.configure(LogSettings(format="json"), stream)
    yield lambda: [
        line
        for text in stream.getvalue().splitlines()
        if (line := json.loads(text))["logger"] in {"zimwatch.request", "sidecar.web.problem"}
    ]
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def noted(log: RequestLog, route: str, status: int = 200, duration_ms: float = 1.0) -> None:
    log.note(logging.INFO, method="GET", route=route, status=status, duration_ms=duration_ms)


def on_virtual_time(main: Coroutine[Any, Any, None]) -> None:
    virtual.run(Machine(), main)


def test_a_sum_has_the_ids_of_no_request(lines: Callable[[], Any]) -> None:
    async def main() -> None:
        log = RequestLog(LogSettings(requests_a_minute=MOST))
        span = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False))
        with trace.use_span(span):
            for _ in range(MOST + 1):
                noted(log, "/v1/users")
        await asyncio.sleep(WINDOW_S + 1)

    on_virtual_time(main())
    assert ["trace_id" in line for line in lines()] == [True] * MOST + [False]


def test_requests_past_the_limit_are_summed_up_a_minute_after_the_first(lines: Callable[[], Any]) -> None:
    async def main() -> None:
        log = RequestLog(LogSettings(requests_a_minute=MOST))
        for number in range(FLOOD):
            noted(log, "/v1/users", duration_ms=float(number))
        noted(log, "/v1/alerts")
        assert [line["event"] for line in lines()] == ["request"] * (MOST + 1)
        await asyncio.sleep(WINDOW_S + 1)
        noted(log, "/v1/users")
        log.close()

    on_virtual_time(main())
    (summary,) = [line for line in lines() if line["event"] != "request"]
    assert (summary["route"], summary["count"], summary["slowest_ms"]) == ("/v1/users", FLOOD - MOST, FLOOD - 1)
    assert [line["route"] for line in lines()[MOST:]] == ["/v1/alerts", "/v1/users", "/v1/users"]


def test_refusals_count_for_their_status_whatever_their_route(lines: Callable[[], Any]) -> None:
    async def main() -> None:
        log = RequestLog(LogSettings(requests_a_minute=MOST))
        for number in range(FLOOD):
            noted(log, f"/route/{number % 50}", 401)
            noted(log, f"/route/{number % 50}", 429)
        log.close()

    on_virtual_time(main())
    sums = {line["status"]: line["count"] for line in lines() if line["event"] != "request"}
    assert sums == {401: FLOOD - MOST, 429: FLOOD - MOST}
    assert len(lines()) == 2 * (MOST + 1)


def test_every_request_is_in_a_line_or_in_a_sum(lines: Callable[[], Any]) -> None:
    async def main() -> None:
        log = RequestLog(LogSettings(requests_a_minute=MOST))
        for number in range(FLOOD):
            noted(log, "/v1/users", 200 if number % 3 else 503)
            await asyncio.sleep(0.5)
        log.close()

    on_virtual_time(main())
    assert sum(line.get("count", 1) for line in lines()) == FLOOD
    windows = FLOOD * 0.5 / WINDOW_S + 1
    assert len(lines()) <= 2 * (MOST + 1) * windows


def test_a_limit_of_zero_leaves_the_sums_alone(lines: Callable[[], Any]) -> None:
    async def main() -> None:
        log = RequestLog(LogSettings(requests_a_minute=0))
        noted(log, "/v1/users")
        log.close()

    on_virtual_time(main())
    assert [(line["event"], line["count"]) for line in lines()] == [("more requests", 1)]


def test_what_is_below_the_level_is_not_even_counted(lines: Callable[[], Any]) -> None:
    async def main() -> None:
        log = RequestLog(LogSettings(requests_a_minute=MOST))
        for _ in range(FLOOD):
            log.note(logging.DEBUG, method="GET", route="/livez", status=200, duration_ms=1.0)
        log.close()

    on_virtual_time(main())
    assert lines() == []


async def test_a_flood_of_refused_requests_takes_a_bounded_part_of_the_log_and_the_rest_is_summed_up_at_the_stop(
    tmp_path: Path, lines: Callable[[], Any]
) -> None:
    async with zimwatch(tmp_path) as running:
        await new_token(running.store, "ingest")
        for _ in range(MOST * 30):
            assert (await running.send([]))[0] == 401
        written = len(lines())
    limit = LogSettings().requests_a_minute
    assert written == limit
    assert lines()[-1]["status"] == 401
    assert lines()[-1]["count"] == MOST * 30 - limit


async def test_the_lines_of_one_request_have_one_trace_and_those_of_another_have_another(
    tmp_path: Path, lines: Callable[[], Any]
) -> None:
    async with zimwatch(tmp_path) as running:
        await running.get("/v1/users")
        await running.get("/v1/users")
    traces = [line["trace_id"] for line in lines()]
    assert len(traces) == len(set(traces)) == 2


def test_an_error_of_every_request_is_logged_once_a_minute_for_each_place_that_fails(
    lines: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    monkeypatch.setattr(problem, "_lines", {})
    monkeypatch.setattr(problem, "steady_us", machine.steady)

    def failed(raising: Callable[[], object]) -> None:
        try:
            raising()
        except Exception as error:  # noqa: BLE001 - as the middleware does
            problem.of(error)

    def number() -> int:
        return int("mallory")

    def missing() -> int:
        return dict[str, int]()["mallory"]

    for _ in range(FLOOD):
        failed(number)
        failed(missing)
    machine.passes(60)
    failed(number)
    assert [(line["exception"][0]["exc_type"], line["unlogged"]) for line in lines()] == [
        ("ValueError", 0),
        ("KeyError", 0),
        ("ValueError", FLOOD - 1),
    ]
