"""What a centre knows of its edges: the list, the alert, the metrics; and what an edge counts as lost to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.domain.edges import HEARD_WITHIN_US, Edge
from sidecar.domain.lease import LeaseTime, Stretch
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.store import Retention, Store
from sidecar.store.log import forwarding
from tests.support.databases import url_of
from tests.support.edges import edge_and_centre
from tests.support.events import BEGIN_US, Phone
from tests.support.running import zimwatch
from tests.support.timeline import us
from tests.support.tokens import new_token


def edge(seen: float, name: str) -> Edge:
    return Edge(name=name, token_id=1, seen_at_us=us(seen), waiting=0, behind_us=0)


def test_no_edge_was_silent_while_nothing_could_be_heard() -> None:
    # Zimwatch was down for a day.
    begun_us = BEGIN_US + DAY_US
    time = LeaseTime(BEGIN_US + 2 * MINUTE_US, (Stretch(0, 0), Stretch(begun_us, DAY_US - MINUTE_US)))
    last = Edge("edge-1", 1, BEGIN_US, 0, 0)
    assert time.machine_us - last.seen_at_us > DAY_US
    assert last.behind_now_us(time) == 2 * MINUTE_US


@pytest.mark.parametrize(("silent_us", "behind_us"), [(HEARD_WITHIN_US, 0), (2 * MINUTE_US, 2 * MINUTE_US)])
def test_between_two_reports_an_edge_is_not_behind(silent_us: int, behind_us: int) -> None:
    time = LeaseTime.without_skips(BEGIN_US + silent_us)
    assert Edge("edge-1", 1, BEGIN_US, 0, 0).behind_now_us(time) == behind_us


def values(metrics: str) -> dict[tuple[str, str | None], float]:
    """By name, and by the edge if there is one."""
    samples = (sample for family in text_string_to_metric_families(metrics) for sample in family.samples)
    return {(one.name, one.labels.get("edge")): one.value for one in samples}


async def test_edges_are_bounded_and_forgotten_after_a_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "EDGES_MOST", 3)
    async with zimwatch(tmp_path) as running:
        for at in range(5):
            await running.store.write(forwarding.report, edge(at, f"edge-{at}"))
        found = await running.store.read(forwarding.edges)
        assert [one.name for one in found] == ["edge-2", "edge-3", "edge-4"]
        await running.store.write(forwarding.report, edge(8 * 86_400, "edge-9"))
        assert [one.name for one in await running.store.read(forwarding.edges)] == ["edge-9"]


async def test_people_who_see_every_app_see_the_edges_and_what_each_is_behind(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        token, secret = await new_token(running.store, "forward", name="pods in Frankfurt")
        _, operator = await new_token(running.store, "write")
        _, limited = await new_token(running.store, "write", 7)
        query = "?edge=edge-1&edge_waiting=1200&edge_behind_s=3600.5"
        assert (await running.send([], query, Authorization=f"Bearer {secret}"))[0] == 200
        async with running.http.get("/settings", headers={"Authorization": f"Bearer {operator}"}) as response:
            page = await response.text()
        assert "pods in Frankfurt" in page
        assert "1,200 events wait there" in page
        async with running.http.get("/settings", headers={"Authorization": f"Bearer {limited}"}) as response:
            assert "edge-1" not in await response.text()
        async with running.http.get("/metrics", headers={"Authorization": f"Bearer {operator}"}) as response:
            found = values(await response.text())
        assert found["zimwatch_edge_behind_seconds", "edge-1"] == 3600.5
        assert found["zimwatch_edge_behind_events", "edge-1"] == 1200
        assert found["zimwatch_edges", None] == 1
        (known,) = await running.store.read(forwarding.edges)
        assert known.token_id == token.id


async def test_an_edge_has_its_own_metrics(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path) as (here, _):
        async with here.http.get("/metrics") as response:
            found = values(await response.text())
        assert found["zimwatch_edge_behind_seconds", "edge-1"] == 0
        assert found["zimwatch_edge_removed_events", None] == 0


async def test_what_the_retention_deletes_before_it_was_forwarded_is_counted(tmp_path: Path) -> None:
    now_us = BEGIN_US
    store = Store.open(url_of(tmp_path), clock=lambda: now_us, retention=Retention(events_us=HOUR_US, apps_us={7: 60}))
    await store.write(forwarding.begin)
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at) for at in range(4)])
    await store.append([Phone("bob", app_id=7).says("CONNECTED", "SUCCESS", 5)])
    await store.write(forwarding.advance, 2)
    await store.append([alice.says("CONNECTED", "SUCCESS", 6)])
    now_us += 2 * HOUR_US
    while await store.prune(despite_jump=True):
        pass
    state = await store.read(forwarding.state)
    assert state is not None
    assert (state.removed, state.waiting) == (3, 1)
    await store.close()
