"""Memory is returned when the process has grown, and only then."""

from __future__ import annotations

import asyncio
import signal

import pytest

from sidecar import lifecycle, memory
from sidecar.web import problem


async def test_memory_of_an_overload_is_returned_once() -> None:
    # Pages at each look; what is left after a trim is read as well.
    seen = iter([100, 90, 95, 105, 300, 120, 130, 143, 100, 100])
    trims: list[int] = []
    looked = 0

    def resident() -> int:
        nonlocal looked
        looked += 1
        try:
            return next(seen)
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await memory.give_back(resident, lambda: trims.append(looked), every_s=0)
    # At the start, at 300 of 90, not at 130 of 120, not at 143 of 120 (a fifth more is 144).
    assert trims == [1, 5]


def test_this_process_can_read_its_size_and_trim() -> None:
    assert memory._resident_pages() > 1_000
    memory._trim()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=repr)
def test_without_memory_a_request_gets_503_with_retry_after(error: Exception) -> None:
    answer = problem.of(error)
    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert problem.of(RuntimeError("another")).status == 500


async def test_a_stop_that_does_not_end_is_ended_by_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[int] = []
    monkeypatch.setattr(signal, "alarm", alarms.append)
    stop = lifecycle.stop_signal()
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 30)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
    assert alarms == [lifecycle.STOP_ALARM_S]
