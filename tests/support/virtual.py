"""One thread on virtual time: an event loop that skips what nobody does, and threads that it simulates.

Time passes only while everything waits, so a run does not depend on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from math import ceil
from typing import Any, ParamSpec, TypeVar

from sidecar.domain.units import SECOND_US
from sidecar.system.threads import Step, Worker
from tests.support.clocks import Machine

P = ParamSpec("P")
T = TypeVar("T")


class _Skipping(selectors.SelectSelector):
    """Lets the clocks pass on to the next timer in place of waiting for it."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # A loop has a socket of its own to be woken by other threads. Where it is the only one, nobody is to be asked.
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0) if len(self.get_map()) > 1 else []
        if not ready and timeout is None:
            raise RuntimeError("all tasks wait for something that never comes")
        if not ready and timeout:
            self._machine.passes(ceil(timeout * SECOND_US) / SECOND_US)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is the steady clock of ``machine``."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(_Skipping(machine))
        self._machine = machine

    def time(self) -> float:
        return self._machine.steady() / SECOND_US

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """There is one thread: nobody has to be woken."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """What a pool is given runs at once, so that nobody has to wait for another thread."""
        if not isinstance(executor, _AtOnce):
            return super().run_in_executor(executor, func, *args)
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - who waits for it gets it
            done.set_exception(error)
        return done


class OneThread:
    """A :class:`sidecar.system.threads.Threads` without any: what a pool is given runs at once, workers take turns.

    ``after_s`` gives how long a worker that was woken waits for its turn, as if it were busy until then.
    """

    def __init__(self, after_s: Callable[[], float] = lambda: 0.0) -> None:
        self._after_s = after_s

    def pool(self, name: str, size: int) -> Executor:  # noqa: ARG002 - there is one, and it is this one
        return _AtOnce()

    def worker(self, name: str, step: Step) -> Worker:  # noqa: ARG002 - same
        return _Turns(step, self._after_s)


class _AtOnce(Executor):
    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - who waits for it gets it
            done.set_exception(error)
        return done


class _Turns:
    def __init__(self, step: Step, after_s: Callable[[], float]) -> None:
        self._step = step
        self._after_s = after_s
        self._is_woken = False
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._is_closed = False
        self.wake()

    def wake(self) -> None:
        if not self._is_closed and not self._is_woken:
            self._is_woken = True
            self._cancel()
            self._next = self._loop.call_later(self._after_s(), self._turn)

    def close(self) -> None:
        self._is_closed = True
        self._cancel()
        while self._step() == 0:
            pass

    def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _turn(self) -> None:
        self._next, self._is_woken = None, False
        after_s = self._step()
        if after_s == 0:
            self.wake()
        elif after_s is not None and not self._is_woken:
            self._next = self._loop.call_later(after_s, self._turn)


def run(machine: Machine, main: Coroutine[Any, Any, T]) -> T:
    """What ``main`` gives, run on virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(machine)) as runner:
        return runner.run(main)
