"""Devices that report through an old tap or port are counted, and each says what it reports through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import LOGIN, SERVER_USER_ACTION, Event
from sidecar.store import Store
from sidecar.store.users import as_of, old_reporters, user_reads
from sidecar.store.users.old_reporters import MOST_OF_AN_APP, OldReporter
from tests.support.clocks import DAY_S, Machine
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone

pytestmark = pytest.mark.both_engines("soak")

OLD: Final[dict[str, Any]] = {"reporter_name": "zim-tap", "reporter_version": "0.0.9"}
CURRENT: Final[dict[str, Any]] = {"reporter_name": "zim-tap", "reporter_version": old_reporters.CURRENT}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    machine = Machine()
    opened = Store.open(url_of(tmp_path), clock=machine.clock, steady=machine.steady)
    yield opened
    await opened.close()


def connected(user_id: str | None, device: str = "phone", at: float = 0, app_id: int = APP_ID, **fields: Any) -> Event:
    return Phone(user_id, device, app_id).says("CONNECTED", "SUCCESS", at, **fields)


async def found(store: Store, at: float = 0, apps: AppIds = None) -> list[OldReporter]:
    return await store.read(old_reporters.since_yesterday, BEGIN_US + int(at * 1_000_000), apps)


async def test_each_device_is_counted_once_and_only_if_its_reporter_is_old(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", 0, **OLD), alice.event(LOGIN, 1, **OLD)])
    await store.append([alice.event(LOGIN, 2, **OLD), connected("alice", "desk", **OLD), connected("bob", **CURRENT)])
    await store.append([connected("carol"), connected(None, **OLD), Phone("dave").event(SERVER_USER_ACTION, 0)])
    await store.append([connected("erin", app_id=7, reporter_name="zimwatch-ios", reporter_version="0.0.8")])
    assert await found(store) == [OldReporter("zim-tap", "0.0.9", 2), OldReporter("zimwatch-ios", "0.0.8", 1)]
    assert await found(store, apps=frozenset({7})) == [OldReporter("zimwatch-ios", "0.0.8", 1)]


async def test_days_before_yesterday_are_not_counted_and_not_kept(store: Store) -> None:
    for day in range(4):
        await store.append([connected(f"user-{day}", at=day * DAY_S, **OLD)])
        assert await found(store, day * DAY_S) == [OldReporter("zim-tap", "0.0.9", min(day + 1, 2))]
    kept = await store.read(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM old_reporters").scalar())
    assert kept == 2


async def test_made_up_versions_are_few(store: Store) -> None:
    many = [connected(f"user-{n}", **(OLD | {"reporter_version": f"0.0.{n}"})) for n in range(MOST_OF_AN_APP + 20)]
    await store.append(many)
    await store.append([connected("alice", **(OLD | {"reporter_version": "0.0.3"}))])
    kept = await store.read(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM old_reporters").scalar())
    assert kept == MOST_OF_AN_APP
    assert (await found(store))[0] == OldReporter("zim-tap", "0.0.3", 2), "one that is known counts on"


async def test_a_session_says_what_it_reports_through_after_a_rebuild_and_in_the_past_too(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", 0, **OLD)])
    await store.append([alice.event(LOGIN, 1), alice.event(LOGIN, 2, **CURRENT), alice.event(LOGIN, 3)])

    async def now() -> tuple[str | None, str | None]:
        detail = await store.read(user_reads.user, APP_ID, "alice", store.now())
        assert detail is not None
        return detail.sessions[0].reporter_name, detail.sessions[0].reporter_version

    assert await now() == ("zim-tap", old_reporters.CURRENT)
    await store.rebuild()
    assert await now() == ("zim-tap", old_reporters.CURRENT)
    then = await store.read(as_of.user_as_of, APP_ID, "alice", BEGIN_US + 1_500_000, store.now(), limit=9)
    assert then.detail is not None
    (session,) = then.detail.sessions
    assert (session.reporter_name, session.reporter_version) == ("zim-tap", "0.0.9")
