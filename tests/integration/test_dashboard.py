"""The pages as the server renders them."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from yarl import URL

from dashboard.page import user_path
from dashboard.words import words_for
from sidecar.domain.connection import EVENTS
from sidecar.domain.status import STATUSES
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import wire_event


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Zimwatch]:
    async with zimwatch(tmp_path) as running:
        yield running


async def page(running: Zimwatch, path: str) -> tuple[int, str]:
    async with running.http.get(URL(running.url + path, encoded=True)) as response:
        return response.status, await response.text()


async def test_a_page_may_run_no_script_but_its_own(running: Zimwatch) -> None:
    async with running.http.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
        text = await response.text()
    found = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert found is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert set(re.findall(r'<script nonce="([^"]+)"', text)) == {found[1]}
    assert not re.search(r"<script(?! nonce)|style=|<style|\son[a-z]+=", text)


async def test_with_no_data_the_overview_teaches_and_then_comes_alive(running: Zimwatch) -> None:
    _, text = await page(running, "/")
    assert "ZimTap.install" in text
    await running.send([wire_event()])
    _, text = await page(running, "/")
    assert "ZimTap.install" not in text
    assert "alice" in text


async def test_the_overview_tells_how_many_alerts_fire(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="carol", state=0, event=4)])
    _, text = await page(running, "/")
    assert '<a href="/alerts?state=firing">1 alert fires</a>' in text


async def test_a_user_that_was_kicked_out_is_explained(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="carol", state=0, event=4)])
    status, text = await page(running, "/users/1234567890/carol")
    assert status == 200
    assert "Not logged in" in text
    assert "Another device logged in with the same account" in text
    assert "please change your password" in text
    assert "2026-11-23 14:03:20 UTC" in text


async def test_a_user_that_was_never_seen_is_said_to_be_so(running: Zimwatch) -> None:
    status, text = await page(running, "/users/1234567890/nobody")
    assert status == 404
    assert "Not logged in" in text
    assert "never seen" in text


async def test_a_filter_that_cannot_be_meant_is_named_on_the_page(running: Zimwatch) -> None:
    status, text = await page(running, "/users?status=%3Cb%3E")
    assert status == 400
    assert "There is no status “&lt;b&gt;”." in text


@pytest.mark.parametrize(
    "user_id",
    ["<script>alert(1)</script>", "\"'><img src=x>", "a/b", "100%", "\u202egnp.exe", "🙂" * 100, "a" * 10_000, "."],
)
async def test_no_user_id_breaks_a_page(running: Zimwatch, user_id: str) -> None:
    await running.send([wire_event(user_id=user_id, extended_data=user_id)])
    for path in ("/", "/users", user_path(1234567890, user_id)):
        status, text = await page(running, path)
        assert status == 200
        assert "<script>alert" not in text
        assert "<img" not in text
    assert quote(user_id, safe="") in text or user_id == "."


async def test_a_long_timeline_goes_on_on_another_page(running: Zimwatch) -> None:
    client = str(uuid.uuid4())
    await running.send([wire_event(client_id=client, seq=seq, state=2 + seq % 2) for seq in range(1, 61)])
    _, first = await page(running, "/users/1234567890/alice")
    older = re.search(r'href="\?(before=\d+)"', first)
    assert older is not None
    _, second = await page(running, f"/users/1234567890/alice?{older[1]}")
    assert first.count("connection state changed") == 50
    assert second.count("connection state changed") == 10


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("reason", [None, *EVENTS, "99"])
def test_there_are_words_for_every_status_and_reason(status: str, reason: str | None) -> None:
    words = words_for(status, reason)
    assert all((words.reason, words.say, words.advice))
