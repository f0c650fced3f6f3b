"""How looks reach the audit log: many in a transaction, and none is shown that cannot be recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.access.audit import Recorder, recorder
from sidecar.access.audit.refused import KINDS_MOST, MANY, Refused
from sidecar.errors import StoreUnavailableError
from sidecar.settings import ServerSettings
from sidecar.store import Store
from sidecar.store.access import audit_reads
from sidecar.store.access.audit_reads import AuditFilter
from sidecar.store.access.audit_values import AuditAction, Entry
from tests.support.audited import entry
from tests.support.counted import statements
from tests.support.events import BEGIN_US


class Away(Store):
    """A store whose database cannot commit while ``is_away``."""

    is_away = False

    async def write(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.is_away:
            raise StoreUnavailableError("away")
        return await super().write(work, *args, **kwargs)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Away]:
    store = Away.open(f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=lambda: BEGIN_US)
    assert isinstance(store, Away)
    yield store
    await store.close()


@pytest.fixture
def recording(store: Away) -> Recorder:
    return Recorder(store, ServerSettings(), lambda: BEGIN_US)


async def ids(store: Store) -> list[str | None]:
    """The ids of the requests in the log, oldest first."""
    found = await store.read(audit_reads.page, AuditFilter(limit=100_000))
    return [row.request_id for row in reversed(found.rows)]


async def test_looks_are_written_together_and_cost_no_statement_of_their_own(store: Away, recording: Recorder) -> None:
    with statements() as executed:
        for at in range(100):
            await recording.look([entry(at)])
        assert executed == []
        await recording.flush()
    assert len([one for one in executed if "audit" in one or "FROM keys" in one]) == 5
    assert await ids(store) == [f"r{at}" for at in range(100)]


async def test_looks_wait_while_the_database_is_away_and_are_refused_once_too_many_wait(
    store: Away, recording: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "WAITING_MOST", 10)
    store.is_away = True
    for at in range(10):
        await recording.look([entry(at)])
    with pytest.raises(StoreUnavailableError, match="the audit log cannot be written"):
        await recording.look([entry(11)])
    store.is_away = False
    await recording.look([entry(12)])
    await recording.flush()
    assert await ids(store) == [*(f"r{at}" for at in range(10)), "r12"]


async def test_what_waits_is_written_when_the_recorder_is_stopped(store: Away, recording: Recorder) -> None:
    running = asyncio.create_task(recording.run())
    await recording.look([entry(1)])
    recording.stop()
    await running
    assert await ids(store) == ["r1"]


async def test_refused_requests_are_counted_and_no_flood_of_them_fills_the_log() -> None:
    kept: list[Entry] = []
    refused = Refused(kept.extend)
    for number in range(1_000):
        fields = {"action": AuditAction.REFUSED, "address": f"192.0.2.{number % 200}", "details": {"status": 401}}
        refused.note([entry(number, None, **fields)])
    refused.close()
    assert len(kept) <= 2 * (KINDS_MOST + 1)
    assert sum(int(one.details.get("times", 1)) for one in kept) == 1_000
    assert {one.actor for one in kept} == {"dana, by token 3", MANY}
