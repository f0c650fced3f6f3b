"""A PostgreSQL that accepts connections and never answers, and one whose transactions do not end."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sidecar.errors import StoreUnavailableError
from sidecar.store.postgres import care, connections, locks
from sidecar.store.postgres.driver import DriverConnection
from tests.store.test_postgres import until_accepted
from tests.support import databases
from tests.support.databases import url_of
from tests.support.events import Phone
from tests.support.running import Zimwatch, zimwatch
from tests.support.silent_proxy import SilentProxy
from tests.support.stores import opened
from tests.support.wire import wire_event

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("on_postgresql")]


@pytest.fixture
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, shorter."""
    monkeypatch.setattr(DriverConnection, "answers_within_s", 1)
    monkeypatch.setattr(care, "WRITE_S", 2)
    monkeypatch.setattr(care, "LOCK_S", 1)
    monkeypatch.setattr(connections, "READ_S", 1)
    monkeypatch.setattr(connections, "ANSWER_S", 1)


async def sends(running: Zimwatch, user_id: str) -> tuple[int, bool]:
    """Status, and whether the answer says when to try again."""
    async with running.http.post("/v1/events", json=[wire_event(user_id=user_id)]) as response:
        return response.status, "Retry-After" in response.headers


async def becomes_ready(running: Zimwatch, status: int) -> None:
    async with asyncio.timeout(60):
        while True:
            if (await running.get("/readyz"))[0] == status:
                return
            await asyncio.sleep(0.05)


async def becomes_accepted(running: Zimwatch, user_id: str) -> None:
    async with asyncio.timeout(60):
        while True:
            if await sends(running, user_id) == (200, False):
                return
            await asyncio.sleep(0.1)


@pytest.mark.soak
@pytest.mark.usefixtures("_in_a_hurry")
async def test_a_server_that_never_answers_is_given_up_and_works_again_by_itself(tmp_path: Path) -> None:
    behind = conninfo_to_dict(url_of(tmp_path / "behind"))
    proxy = SilentProxy((str(behind["host"]), int(behind["port"] or 0)))
    url = f"postgresql://{behind['user']}@127.0.0.1:{proxy.port}/{behind['dbname']}"
    with contextlib.closing(proxy), databases.on(url, tmp_path):
        async with zimwatch(tmp_path) as running:
            assert await sends(running, "alice") == (200, False)
            with proxy.silent():
                async with asyncio.timeout(60):
                    assert await sends(running, "bob") == (503, True)
                await becomes_ready(running, 503)
            await becomes_ready(running, 200)
            await becomes_accepted(running, "carol")
            assert (await running.get("/v1/users"))[0] == 200


async def test_a_transaction_that_holds_up_all_others_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOCK_S", 1)
    store = opened(tmp_path)
    try:
        with psycopg.connect(url_of(tmp_path), application_name="a long report") as other:
            other.execute(locks.COMMIT_IN_ORDER.encode())
            with pytest.raises(StoreUnavailableError, match=rf"process {other.info.backend_pid} \(a long report\)"):
                await store.append([Phone("alice").login(0)])
            assert "a long report" in str(store.problem)
        assert (await until_accepted(store, [Phone("alice").login(0)])).accepted == 1
    finally:
        await store.close()
