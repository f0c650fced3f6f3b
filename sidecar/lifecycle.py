"""The life of the process: its event loop, its background tasks, and its stop.

A background task is started again when it ends, whatever ended it, and its problem is shown until it is healthy.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

import msgspec
import structlog
from opentelemetry import metrics

from sidecar.domain.retry import Backoff
from sidecar.domain.texts import Sentence, Text, verbatim
from sidecar.domain.units import MS_US, SECOND_US
from sidecar.errors import ZimwatchError

BACKOFF = Backoff(first_us=500 * MS_US, longest_us=30 * SECOND_US)
# A process that cannot stop by itself, as without memory, is ended by an alarm: what was acknowledged is on disk.
STOP_ALARM_S: Final = 20
# Objects created before the garbage collector looks for cycles among them. A commit creates tens of thousands that have
# none, and with Python's own 700 the collector takes a tenth of the time.
GC_THRESHOLDS: Final = (50_000, 20, 20)
# After running for so long since its restart a task counts as healthy.
HEALTHY_AFTER_S = 5.0
FAILED: Final = Sentence("background.failed", "%(task)s failed and is started again: %(why)s")
_ENDED: Final = Sentence("background.ended", "it ended by itself")

T = TypeVar("T")

_log = structlog.stdlib.get_logger(__name__)
_restarts = metrics.get_meter("zimwatch").create_counter(
    "zimwatch.background.restarts", description="Background tasks that had ended and were started again, by task"
)


class Task(msgspec.Struct, eq=False, kw_only=True):
    """``run`` is called for each start; after ``stop``, where there is one, it ends by itself.

    ``is_needed``: see :class:`Background`.
    """

    name: str
    run: Callable[[], Awaitable[object]]
    stop: Callable[[], None] | None = None
    is_needed: bool = True
    problem: Text | None = None


class Background:
    """The background tasks of one event loop. Zimwatch is not ready while one that is needed fails."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def problems(self, *, of_needed: bool = False) -> list[Text]:
        """A sentence for each task that failed and is not healthy yet; with ``of_needed`` only of needed ones."""
        return [
            FAILED(task=one.name, why=one.problem)
            for one in self._tasks
            if one.problem is not None and (one.is_needed or not of_needed)
        ]

    @contextlib.asynccontextmanager
    async def running(self, *tasks: Task, finish_s: float = 0.0) -> AsyncIterator[None]:
        """Runs them for as long as the context is open. Those with a ``stop`` then have ``finish_s`` to end."""
        stopping = asyncio.Event()
        running = [asyncio.create_task(self._keep(one, stopping), name=one.name) for one in tasks]
        self._tasks += tasks
        try:
            yield
        finally:
            stopping.set()
            finishing = []
            for one, task in zip(tasks, running, strict=True):
                self._tasks.remove(one)
                if one.stop is None:
                    task.cancel()
                else:
                    one.stop()
                    finishing.append(task)
            if finishing:
                await asyncio.wait(finishing, timeout=finish_s)
            for task in finishing:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _keep(self, kept: Task, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        _restarts.add(0, {"task": kept.name})  # from the start, so that the first restart is an increase
        while True:
            begun_s = loop.time()
            healthy = loop.call_later(HEALTHY_AFTER_S, _set_healthy, kept)
            error = await _ended(kept)
            healthy.cancel()
            if stopping.is_set():
                return
            lived_s = loop.time() - begun_s
            failures = 1 if lived_s * SECOND_US > BACKOFF.longest_us else failures + 1
            pause_s = BACKOFF.pause_us(failures) / SECOND_US
            kept.problem = _why(error)
            unexpected = None if isinstance(error, ZimwatchError | OSError) else error
            _log.error(
                "a background task failed and is started again",
                task=kept.name,
                problem=str(kept.problem),
                pause_s=pause_s,
                exc_info=unexpected,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)
                return
            _restarts.add(1, {"task": kept.name})


async def _ended(kept: Task) -> BaseException | None:
    """Runs the task to its end; returns its error, also a cancellation that did not come from :class:`Background`."""
    try:
        await kept.run()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return error
    except Exception as error:  # noqa: BLE001 - the top of a task that must not end
        return error
    return None


def _why(error: BaseException | None) -> Text:
    if isinstance(error, ZimwatchError):
        return error.text
    return _ENDED() if error is None else verbatim(str(error) or type(error).__name__)


def _set_healthy(kept: Task) -> None:
    kept.problem = None


def run(main: Coroutine[object, object, T]) -> T:
    """Runs ``main`` to its end in a new event loop, uvloop's where that is installed."""
    if hasattr(signal, "SIGHUP"):  # Windows has none
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # from the start: it is for those who call at_hangup
    gc.set_threshold(*GC_THRESHOLDS)
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # it has no build for Windows
        import uvloop  # noqa: PLC0415

        new_event_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            return runner.run(main)
        finally:
            signal.alarm(0)


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT, which also set the alarm. Call it in the running event loop."""
    stop = asyncio.Event()

    def begin() -> None:
        signal.alarm(STOP_ALARM_S)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, begin)
    return stop


def at_hangup(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Runs ``work`` at each SIGHUP, in the running event loop; never where the system has no such signal."""
    if not hasattr(signal, "SIGHUP"):
        return
    running: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = asyncio.create_task(work(), name="at a hangup")
        running.add(task)
        task.add_done_callback(running.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)


class Restartable:
    """Something that runs as a context, and can be ended and begun again while that is open."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self._start = start
        self._stack = contextlib.AsyncExitStack()

    async def begin(self) -> None:
        """Begins it."""
        await self._stack.enter_async_context(self._start())

    async def end(self) -> None:
        """Ends it, if it runs."""
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Ends it, and begins it again when this context is closed, also after an error."""
        await self.end()
        try:
            yield
        finally:
            await self.begin()


@contextlib.asynccontextmanager
async def restartable(start: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[Restartable]:
    """Runs what ``start`` gives for as long as the context is open."""
    restarted = Restartable(start)
    await restarted.begin()
    try:
        yield restarted
    finally:
        await restarted.end()
