"""Settings are read again by SIGHUP and by the call, in a real process; those that are not valid change nothing."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import aiohttp

from sidecar.settings import KEYS, Settings
from sidecar.settings.live import LIVE, take_over
from sidecar.settings.load import load
from tests.support.called import SECRET, Called, listening
from tests.support.commands import zimwatch
from tests.support.process import serving
from tests.support.wire import fresh_event

ONE, OTHER, THIRD = "https://one.example.com", "https://other.example.com", "https://third.example.com"
FEWER = "[server]\nmax_connections = 100\n"
WRONG = '[ingest]\nmax_body_bytes = "many"\napps = [1, -1]\n[retention]\nevens = "1d"\n'


def origins(*listed: str) -> str:
    return f"[ingest]\nallowed_origins = {list(listed)}\n"


def hook(url: str) -> str:
    return f"""
[alerts]
allowed_hosts = ["127.0.0.1"]
[[alerts.receivers]]
name = "ops"
type = "webhook"
url = "{url}"
secret = "{SECRET}"
"""


async def may_send(http: aiohttp.ClientSession, origin: str) -> bool:
    async with http.options("/v1/events", headers={"Origin": origin}) as answer:
        return answer.status == 204


async def reload(http: aiohttp.ClientSession) -> tuple[int, Any]:
    async with http.post("/v1/admin/reload") as answer:
        return answer.status, await answer.json()


async def kick(http: aiohttp.ClientSession, user_id: str) -> None:
    event = fresh_event(user_id=user_id, state=0, event="KickedOut")
    async with http.post("/v1/events", json=[event]) as answer:
        assert (await answer.json())["accepted"] == 1


async def test_a_process_reads_its_settings_again_by_call_and_by_signal(tmp_path: Path) -> None:
    file = tmp_path / "zimwatch.toml"
    file.write_text(origins(ONE))
    async with (
        listening(Called()) as called,
        serving(tmp_path) as (address, process),
        aiohttp.ClientSession(address) as http,
    ):
        assert [await may_send(http, one) for one in (ONE, OTHER)] == [True, False]

        file.write_text(FEWER + origins(OTHER) + hook(f"{called.url}/hook"))
        status, answer = await reload(http)
        assert (status, answer["after_restart"]) == (200, ["server.max_connections"])
        assert answer["changed"] == ["ingest.allowed_origins", "alerts.allowed_hosts", "alerts.receivers"]
        assert [await may_send(http, one) for one in (ONE, OTHER)] == [False, True]
        await kick(http, "carol")
        assert [one["alert"]["user_id"] for one in await called.wait(1)] == ["carol"]
        async with http.get("/settings", headers={"Accept": "text/html"}) as page:
            text = await page.text()
            assert OTHER in text
            # What is set comes first, with its source; a default is a line below.
            assert re.search(r"<code>alerts.allowed_hosts</code></th>.*zimwatch\.toml", text, re.DOTALL)
            assert "<code>alerts.max_age</code>" not in text
            assert "\nalerts.max_age = " in text

        file.write_text(WRONG)
        checked = await zimwatch("check-config", folder=tmp_path)
        status, answer = await reload(http)
        assert (status, answer["detail"]) == (409, "the settings are not valid, and nothing was changed")
        assert len(answer["problems"]) == 3
        assert all(problem in checked.err for problem in answer["problems"])
        process.send_signal(signal.SIGHUP)
        await kick(http, "dave")
        await called.wait(2)
        assert await may_send(http, OTHER)

        file.write_text(origins(THIRD))
        process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while not await may_send(http, THIRD):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
        await kick(http, "erin")
        status, answer = await reload(http)
        assert answer == {"changed": [], "after_restart": []}
        assert len(called.taken) == 2  # the receiver is in the settings no longer
        async with http.get("/v1/audit") as response:
            rows = [one for one in (await response.json())["entries"] if one["action"] == "settings.reloaded"]
        assert [one["actor"] for one in rows] == ["local", "SIGHUP", "local"]
        assert "ingest.allowed_origins" in rows[1]["details"]["changed"]
    assert "not valid" in (tmp_path / "serve.log").read_text()


def test_a_section_keeps_its_identity_and_what_needs_a_restart_keeps_its_value(tmp_path: Path) -> None:
    settings: Settings = load(None, {}, {}).settings
    ingest, server = settings.ingest, settings.server
    (tmp_path / "z.toml").write_text(origins(ONE) + "max_waiting = '9s'\n")
    changes = take_over(settings, load(tmp_path / "z.toml", {}, {}).settings)
    assert settings.ingest is ingest
    assert (ingest.allowed_origins, ingest.max_waiting) == ((ONE,), "5s")
    assert settings.server is server
    assert (changes.changed, changes.after_restart) == (("ingest.allowed_origins",), ("ingest.max_waiting",))
    # What other settings share by default is not changed with it.
    assert Settings().ingest.allowed_origins == load(None, {}, {}).settings.ingest.allowed_origins == ()


def test_what_may_change_is_said_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    part = text.partition("## Without a restart")[2].partition("\n## ")[0]
    named = {word for word in part.split("`")[1::2] if "." in word}
    every = {key for key in KEYS for name in named if key == name or name == f"{key.partition('.')[0]}.*"}
    assert every == LIVE
