"""The pages as the server renders them."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from dashboard.page import user_path
from dashboard.words import words_for
from sidecar.domain.connection import EVENTS
from sidecar.domain.status import STATUSES
from sidecar.settings import ZegoSettings
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import wire_event
from tests.support.zego import SECRET, user_action


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


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "sentence"),
    [
        ("/nowhere", {}, 404, "There is nothing at this address."),
        ("/users/1234567890", {}, 404, "There is nothing at this address."),
        ("/users", {"Host": "attacker.example"}, 421, "This Host is not one of this server's"),
        ("/", {"X-Forwarded-For": "203.0.113.9"}, 401, "A token is needed"),
        ("/users", {"Authorization": "Bearer zw_guess"}, 401, "The token is unknown, revoked or expired."),
    ],
)
async def test_a_browser_gets_a_page_for_an_error_and_a_program_a_problem_document(
    running: Zimwatch, path: str, headers: dict[str, str], status: int, sentence: str
) -> None:
    async with running.http.get(path, headers=BROWSER | headers) as response:
        text = html.unescape(await response.text())
        assert (response.status, response.content_type) == (status, "text/html")
        assert ("WWW-Authenticate" in response.headers) is (status == 401)
        assert sentence in text
        assert "/v1/stream" not in text
    async with running.http.get(path, headers=headers) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")


async def test_an_error_on_a_machines_path_is_a_problem_document_even_in_a_browser(running: Zimwatch) -> None:
    async with running.http.get("/v1/users?status=x", headers=BROWSER) as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")


ZEGO = ZegoSettings(callback_secrets=(f"{APP_ID}:{SECRET}",))


async def told_by_zego(running: Zimwatch, action: int, at: float = 0, **fields: Any) -> None:
    async with running.http.post("/v1/callbacks/zego", json=user_action(action, at=at, **fields)) as response:
        assert response.status == 200


async def test_what_zegos_server_says_stands_beside_the_status_and_on_the_timeline(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, zego=ZEGO, machine=machine) as running:
        await running.send([wire_event()])
        await told_by_zego(running, 0)
        await told_by_zego(running, 1, at=9, logout_reason="<b>bye</b>", os="IOS_PHONE")
        _, text = await page(running, f"/users/{APP_ID}/alice")
        assert "server says</h2>" in text
        assert "<strong>Logged out</strong> since 2026-11-23 14:00:09 UTC" in text
        assert "&lt;b&gt;bye&lt;/b&gt;" in text
        assert "iPhone" in text
        assert text.count('class="by-server"') == 2
        assert "disagree" not in text
        machine.passes(60)
        _, text = await page(running, f"/users/{APP_ID}/alice")
        assert "Devices and server disagree" in text
        assert "has seen the user log out" in text
        assert "You are connected." not in text
        for path in ("/", "/users", "/users?disagreement=true"):
            assert "server disagrees" in (await page(running, path))[1]
        assert "No user fits" in (await page(running, "/users?disagreement=false"))[1]


async def test_of_a_user_that_the_server_alone_knows_it_is_said_that_no_device_reports(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, zego=ZEGO, machine=Machine()) as running:
        await told_by_zego(running, 0, user_id="bob")
        status, text = await page(running, f"/users/{APP_ID}/bob")
        assert status == 200
        assert "No device has reported a connection here" in text
        assert "Not logged in" in text


async def test_a_user_that_fell_silent_is_not_said_to_be_connected(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine) as running:
        await running.send([wire_event(), wire_event(type="heartbeat", seq=2)])
        assert "You are connected." in (await page(running, f"/users/{APP_ID}/alice"))[1]
        machine.passes(46)
        await running.store.tend()
        for path in (f"/users/{APP_ID}/alice", "/users?unconfirmed=true"):
            _, text = await page(running, path)
            assert "was connected when it was last heard" in text
            assert "The SDK is connected." not in text
            assert "You are connected." not in text
        assert "No user fits" in (await page(running, "/users?unconfirmed=false"))[1]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("reason", [None, *EVENTS, "99"])
def test_there_are_words_for_every_status_and_reason(status: str, reason: str | None) -> None:
    words = words_for(status, reason)
    assert all((words.reason, words.say, words.advice))
