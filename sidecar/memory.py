"""Returns memory to the system after an overload."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from sidecar.system.threads import THREADS, Threads, run_in

LOOK_EVERY_S: Final = 5.0
# Growth since the last time from which a trim is worth some milliseconds.
GREW: Final = 1.2
_STATM: Final = Path("/proc/self/statm")


def _resident_pages() -> int:
    """Resident pages of this process; 0 where the system has no such file."""
    with contextlib.suppress(OSError):
        return int(_STATM.read_bytes().split()[1])
    return 0


def _trim() -> None:
    """Without this glibc's allocator keeps free memory in an arena for each thread: man 3 malloc_trim."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another allocator
        ctypes.CDLL(None).malloc_trim(0)


async def give_back(
    resident: Callable[[], int] = _resident_pages,
    trim: Callable[[], None] = _trim,
    *,
    threads: Threads = THREADS,
    every_s: float = LOOK_EVERY_S,
) -> NoReturn:
    """Every few seconds, trims free memory if the process has grown; until cancelled."""
    least = 0
    with threads.pool("zimwatch-memory", 1) as pool:
        while True:
            if resident() > least * GREW:
                await run_in(pool, trim)
                least = resident()
            await asyncio.sleep(every_s)
