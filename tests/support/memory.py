"""How much memory something takes, as Python counts it."""

from __future__ import annotations

import contextlib
import gc
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Gives a function for the bytes allocated since the context began."""
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def rss_bytes(pid: int) -> int:
    """What a process holds in memory, as Linux counts it."""
    found = re.search(r"VmRSS:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024
