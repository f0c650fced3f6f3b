"""The child that exports spans, by itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sidecar.system import processes
from tests.support.stores import opened

STUCK = """
import asyncio, sys
from pathlib import Path
from sidecar.store import engines
from sidecar.telemetry import relay_child

class Relay:
    async def run(self):
        print("runs", flush=True)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

relay_child.SpanRelay.to = lambda *_: Relay()
with engines.reading(sys.argv[1]) as connect:
    asyncio.run(relay_child.main(connect))
"""


async def test_it_ends_with_its_parent_whatever_its_export_waits_for(tmp_path: Path) -> None:
    await opened(tmp_path).close()
    child = await processes.start([sys.executable, "-c", STUCK, f"sqlite:///{tmp_path / 'zimwatch.db'}"], {})
    assert child.stdin is not None
    assert child.stdout is not None
    assert await child.stdout.readline() == b"runs\n"
    child.stdin.close()
    try:
        async with asyncio.timeout(30):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
