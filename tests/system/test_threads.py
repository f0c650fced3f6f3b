"""One suite for real worker threads and those simulated on the tests' event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from typing import Any

import pytest

from sidecar.system.threads import RealThreads, Threads, run_in
from tests.support import virtual
from tests.support.clocks import Machine

Run = Callable[[Coroutine[Any, Any, None]], None]


def real(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def in_one_thread(main: Coroutine[Any, Any, None]) -> None:
    virtual.run(Machine(), main)


@pytest.fixture(params=[(real, RealThreads()), (in_one_thread, virtual.OneThread())], ids=["threads", "one thread"])
def played(request: pytest.FixtureRequest) -> tuple[Run, Threads]:
    found: tuple[Run, Threads] = request.param
    return found


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.001)


def test_a_step_is_called_with_the_items_added_before_each_wake(played: tuple[Run, Threads]) -> None:
    run, threads = played
    waiting: list[int] = []
    done: list[int] = []

    def step() -> float | None:
        done.extend(waiting.pop(0) for _ in range(len(waiting)))
        return None

    async def main() -> None:
        worker = threads.worker("test", step)
        for number in range(200):
            waiting.append(number)
            worker.wake()
            if number % 3 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(done) == 200)
        worker.close()

    run(main())
    assert done == list(range(200))


def test_a_step_is_called_again_after_the_pause_that_it_returns(played: tuple[Run, Threads]) -> None:
    run, threads = played
    given: list[float | None] = [0, 0, 0.001, 0, 0.001, None]
    left = list(given)

    async def main() -> None:
        worker = threads.worker("test", lambda: left.pop(0) if left else None)
        await until(lambda: not left)
        worker.close()

    run(main())


def test_items_added_before_the_close_are_processed_and_nothing_is_called_after_it(played: tuple[Run, Threads]) -> None:
    run, threads = played
    waiting: list[int] = []
    calls: list[int] = []

    def step() -> float | None:
        calls.append(len(waiting))
        if waiting:
            waiting.pop()
        return 0 if waiting else 0.001

    async def main() -> None:
        for number in range(20):
            worker = threads.worker("test", step)
            await asyncio.sleep(0.001 * (number % 3))
            waiting.extend(range(5))
            worker.close()
            assert waiting == []
            ended = len(calls)
            worker.wake()
            await asyncio.sleep(0.002)
            assert len(calls) == ended

    run(main())


def test_a_pool_returns_and_raises_like_the_function(played: tuple[Run, Threads]) -> None:
    run, threads = played

    async def main() -> None:
        with threads.pool("test", 2) as pool:
            assert await asyncio.gather(*(run_in(pool, divmod, number, 3) for number in range(4))) == [
                (0, 0),
                (0, 1),
                (0, 2),
                (1, 0),
            ]
            with pytest.raises(ZeroDivisionError):
                await run_in(pool, divmod, 1, 0)
            assert not wait([pool.submit(divmod, 1, 1)]).not_done

    run(main())


def test_an_item_added_while_a_step_ends_is_processed_although_the_worker_closes() -> None:
    waiting: list[int] = []
    done: list[int] = []
    took, may_end = threading.Event(), threading.Event()

    def step() -> float | None:
        done.extend(waiting)
        waiting.clear()
        took.set()
        may_end.wait(30)
        return None

    worker: Any = RealThreads().worker("test", step)
    assert took.wait(30)
    waiting.append(1)
    closing = threading.Thread(target=worker.close)
    closing.start()
    while not worker._is_closing:
        pass
    may_end.set()
    closing.join(30)
    assert (done, waiting) == ([1], [])
