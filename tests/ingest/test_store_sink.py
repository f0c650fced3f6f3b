"""Events observed in the server's own process, while the database cannot commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.clock import now_us
from sidecar.domain.events import Event
from sidecar.errors import StoreUnavailableError
from sidecar.ingest import StoreSink
from sidecar.store import Store, log_positions
from sidecar.store.log import rejected_events
from sidecar.store.values import Appended, Rejected
from tests.conformance.watching import eventually
from tests.support.wire import wire_event


async def test_a_failed_commit_is_retried_and_the_rest_is_committed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=now_us)
    refusals = 2
    commit = store.append

    async def append(events: Sequence[Event], rejected: Sequence[Rejected] = ()) -> Appended:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StoreUnavailableError("the disk is full", retry_after_s=0)
        return await commit(events, rejected)

    monkeypatch.setattr(store, "append", append)
    sink = StoreSink(store, now_us)
    work = asyncio.create_task(sink.run())
    sink.put(wire_event(seq=1))
    sink.put(wire_event(seq=2))

    async def stored() -> bool:
        return await store.read(log_positions.newest_position) == 2

    await eventually(stored)
    sink.put(wire_event(seq=3, type="no such type"))
    sink.put(wire_event(seq=4))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert await store.read(log_positions.newest_position) == 3
    assert [one.error for one in await store.read(rejected_events.newest, 9)]
    await store.close()
