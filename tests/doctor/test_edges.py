"""The doctor finds why an edge does not pass its events on, at the edge and at its centre."""

from __future__ import annotations

from pathlib import Path

from sidecar.clock import now_us
from sidecar.doctor import Result
from sidecar.domain.edges import Edge
from sidecar.domain.units import HOUR_US
from sidecar.settings import ForwardSettings, Settings
from sidecar.store.log import forwarding
from tests.doctor.test_doctor import problems, results, settings_of
from tests.support.edges import EDGE_NAME, edge_and_centre, log_of, rows, until_it_has
from tests.support.events import APP_ID
from tests.support.process import free_port
from tests.support.running import zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

CHECKS = {"centre", "forwarding", "edges"}


async def found(settings: Settings) -> dict[str, Result]:
    return {one.check: one for one in await results(settings) if one.check in CHECKS}


async def test_an_edge_and_its_centre_that_are_well_need_nothing(tmp_path: Path) -> None:
    async with edge_and_centre(tmp_path) as (edge, centre):
        await edge.send([fresh_event(app_id=APP_ID)])
        await until_it_has(tmp_path / "centre", 1)
        before = rows(tmp_path / "centre", "SELECT name FROM edges")
        _, secret = await new_token(centre.store, "forward")
        settings = settings_of(tmp_path / "edge", forward=ForwardSettings(url=centre.url, token=secret))
        at_edge = await found(settings)
        assert {check: one.level for check, one in at_edge.items()} == {"centre": "ok", "forwarding": "ok"}
        assert at_edge["forwarding"].text == "the centre has every event"
        at_centre = await found(settings_of(tmp_path / "centre"))
        assert {check: one.text for check, one in at_centre.items()} == {"edges": "1 report, and none is far behind"}
        assert rows(tmp_path / "centre", "SELECT name FROM edges") == before == [{"name": EDGE_NAME}]
        assert len(log_of(tmp_path / "centre")) == 1


async def test_a_server_without_edges_that_is_none_is_not_checked_for_them(tmp_path: Path) -> None:
    async with zimwatch(tmp_path):
        assert await found(settings_of(tmp_path)) == {}


async def test_a_centre_that_is_away_or_refuses_the_token_is_a_problem(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as centre:

        async def verdict(url: str, secret: str) -> Result:
            (one,) = await problems(settings_of(tmp_path, forward=ForwardSettings(url=url, token=secret)))
            assert one.check == "centre"
            return one

        _, ingest = await new_token(centre.store, "ingest")
        _, reading = await new_token(centre.store, "read")
        assert "is not of scope forward" in (await verdict(centre.url, ingest)).text
        assert "HTTP 403" in (await verdict(centre.url, reading)).text
        assert "HTTP 401" in (await verdict(centre.url, f"{ingest[:-4]}AAAA")).text
        away = f"http://127.0.0.1:{free_port()}"
        assert "does not take events now" in (await verdict(away, ingest)).text
        strange = await verdict(f"{centre.url}/livez?", ingest)
        assert "HTTP 4" in strange.text or "is no Zimwatch" in strange.text


async def test_events_that_wait_for_long_are_a_problem(tmp_path: Path) -> None:
    forward = ForwardSettings(url=f"http://127.0.0.1:{free_port()}", token="x")
    settings = settings_of(tmp_path, forward=forward)
    assert "forwarding" not in await found(settings)
    async with zimwatch(tmp_path, forward=forward) as edge:
        await edge.send([fresh_event(app_id=APP_ID) for _ in range(3)])
        (waits,) = [one for one in await results(settings) if one.check == "forwarding"]
        assert (waits.level, "3 events wait for the centre" in waits.text) == ("ok", True)
    later = [one for one in await problems(settings, clock=lambda: now_us() + HOUR_US) if one.check == "forwarding"]
    assert [one.text.rpartition(" for ")[0] for one in later] == ["3 events wait for the centre, the oldest"]


async def test_edges_that_are_far_behind_are_a_problem_at_their_centre(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as centre:
        for name, behind_us in (("near", 0), ("far", 2 * HOUR_US), ("farther", 3 * HOUR_US)):
            await centre.store.write(forwarding.report, Edge(name, 1, now_us(), 5, behind_us))
        (one,) = await problems(settings_of(tmp_path))
        assert (one.check, one.text) == ("edges", "2 of 3 are behind; farther for 3 h")
