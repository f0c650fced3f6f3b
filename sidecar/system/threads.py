"""The threads of the server: a pool for blocking calls, and a worker that repeats one step.

``tests/support/virtual.py`` implements both on an event loop, in one thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Step = Callable[[], float | None]
"""Returns the seconds until its next call: 0 at once, None not before :meth:`Worker.wake`. It must not raise."""


class Worker(Protocol):
    """Calls one step repeatedly, never twice at a time."""

    def wake(self) -> None:
        """Has the step called soon, once for any number of wakes until then. From any thread."""

    def close(self) -> None:
        """Calls the step until it returns anything but 0, then ends. Blocks until then."""


class Threads(Protocol):
    """Runs functions that would block the event loop."""

    def pool(self, name: str, size: int) -> Executor:
        """An executor of ``size`` threads. To be shut down."""

    def worker(self, name: str, step: Step) -> Worker:
        """Starts to call ``step``. To be closed."""


async def run_in(pool: Executor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs ``work`` in the pool, and returns its result."""
    return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *args, **kwargs))


class _ThreadWorker:
    """A thread of its own."""

    def __init__(self, name: str, step: Step) -> None:
        self._step = step
        self._is_closing = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._is_closing = True
        self.wake()
        self._thread.join()

    def _run(self) -> None:
        while True:
            is_last = self._is_closing  # read first, so that this step sees all that came before close()
            after_s = self._step()
            if after_s == 0:
                continue
            if is_last:
                return
            self._woken.wait(after_s)
            self._woken.clear()


class RealThreads:
    """The threads of this process."""

    def pool(self, name: str, size: int) -> Executor:
        """See :class:`Threads`."""
        return ThreadPoolExecutor(size, name)

    def worker(self, name: str, step: Step) -> Worker:
        """See :class:`Threads`."""
        return _ThreadWorker(name, step)


THREADS: Final[Threads] = RealThreads()
