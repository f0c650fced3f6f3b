"""A background task is started again whatever ended it, and failing tasks are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import structlog

from sidecar import lifecycle
from sidecar.domain.retry import Backoff
from sidecar.domain.units import HOUR_US, MS_US
from sidecar.errors import ZimwatchError
from sidecar.lifecycle import Background, Task


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "BACKOFF", Backoff(first_us=MS_US, longest_us=2 * MS_US))
    monkeypatch.setattr(lifecycle, "HEALTHY_AFTER_S", 0.01)


class Failing:
    """Ends in another way each time, then runs until it is cancelled."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends = list(ends)
        self.starts = 0
        self.lasts = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        if self.ends:
            end = self.ends.pop(0)
            if end is not None:
                raise end
            return
        self.lasts.set()
        await asyncio.Event().wait()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - a timer of the loop changes it
            await asyncio.sleep(0.001)


async def test_whatever_ends_a_task_it_is_started_again_and_healthy_after_a_while() -> None:
    ends = (OSError(24, "Too many open files"), MemoryError(), None, asyncio.CancelledError(), ZimwatchError("refused"))
    background, work = Background(), Failing(*ends)
    with structlog.testing.capture_logs() as logged:
        async with background.running(Task(name="relay", run=work.run)):
            await work.lasts.wait()
            assert [str(one) for one in background.problems(of_needed=True)] == [
                "relay failed and is started again: refused"
            ]
            await until(lambda: not background.problems())
        assert work.starts == len(ends) + 1
    errors = [line for line in logged if line["log_level"] == "error"]
    assert [line["task"] for line in errors] == ["relay"] * len(ends)
    assert [line["exc_info"] is None for line in errors] == [True, False, True, False, True]


async def test_a_task_that_is_not_needed_is_named_and_keeps_nothing_from_being_ready() -> None:
    background, work = Background(), Failing(ValueError("no token"))
    async with background.running(Task(name="canary", run=work.run, is_needed=False)):
        await until(lambda: bool(background.problems()))
        assert background.problems(of_needed=True) == []
    assert background.problems() == []


async def test_those_that_can_stop_do_so_side_by_side_and_the_others_are_cancelled() -> None:
    background, stop = Background(), [asyncio.Event(), asyncio.Event()]
    ended: list[str] = []

    def stopping(number: int) -> Task:
        async def run() -> None:
            await stop[number].wait()
            await stop[1 - number].wait()  # only together with the other one
            ended.append("stopped")

        return Task(name=f"sender {number}", run=run, stop=stop[number].set)

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async with background.running(stopping(0), stopping(1), Task(name="rules", run=for_ever), finish_s=30):
        await asyncio.sleep(0)
    assert sorted(ended) == ["cancelled", "stopped", "stopped"]


async def test_a_stop_ends_the_pause_before_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "BACKOFF", Backoff(first_us=HOUR_US, longest_us=HOUR_US))
    background, work = Background(), Failing(ValueError("no"))
    async with background.running(Task(name="relay", run=work.run, stop=lambda: None), finish_s=30):
        await until(lambda: bool(background.problems()))
    assert work.starts == 1
