"""A newcomer's first half hour with a shared installation, as in a container behind nginx with TLS and its defaults."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.called import certificate
from tests.support.pages import is_stream, opened, settled
from tests.support.process import DATABASE, free_port, serving
from tests.support.proxies import proxy
from tests.support.wire import fresh_event

pytestmark = pytest.mark.nginx

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


async def token(folder: Path, scope: str) -> str:
    """Made by the command, as an administrator does before the server may listen on every address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "token", "create", "--scope", scope),
        *("--database-url", f"sqlite:///{folder / DATABASE}"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()


async def fits(page: Page) -> None:
    """Nothing moved, was refused, or has to be scrolled for sideways."""
    await settled(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


@pytest.mark.parametrize("device", [DESK, PHONE], ids=["at a desk", "on a phone"])
async def test_a_newcomer_signs_in_reads_acknowledges_silences_and_signs_out(
    browser: Browser, tmp_path: Path, device: dict[str, Any]
) -> None:
    ingest, write = await token(tmp_path, "ingest"), await token(tmp_path, "write")
    port, tls = free_port(), certificate(tmp_path, "127.0.0.1")
    settings = {
        "ZIMWATCH_SERVER__HOST": "0.0.0.0",  # noqa: S104 - as in a container
        "ZIMWATCH_SERVER__PUBLIC_URL": f"https://127.0.0.1:{port}",
    }
    async with (
        serving(tmp_path, settings) as (upstream, _),
        proxy("nginx", tmp_path, int(upstream.rpartition(":")[2]), port, certificate=tls) as address,
        aiohttp.ClientSession(upstream, headers={"Authorization": f"Bearer {ingest}"}) as app,
    ):

        async def report(user_id: str, **fields: Any) -> None:
            async with app.post("/v1/events", json=[fresh_event(user_id=user_id, **fields)]) as response:
                assert (response.status, (await response.json())["rejected"]) == (200, [])

        await report("carol", state=0, event=4)
        complaints: list[str] = []
        page = await opened(browser, complaints, ignore_https_errors=True, **device)

        # Signs in, and comes to where the link led.
        await page.goto(f"{address}/users?q=caro")
        await fits(page)
        await page.get_by_label("Name").fill("dana")
        await page.get_by_label("Password or token").fill(write)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(f"{address}/users?q=caro")
        (cookie,) = await page.context.cookies()
        assert cookie["name"].startswith("__Host-")
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")

        # Reads why, and sees what changes meanwhile.
        await page.get_by_role("link", name="carol", exact=True).click()
        await expect(page.get_by_role("heading", name="carol")).to_be_visible()
        await fits(page)
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_text("1 alert firing")).to_be_visible()
        async with page.expect_response(is_stream):
            await page.reload()
        await report("dave", state=0, event=5)
        await expect(page.get_by_text("2 alerts firing")).to_be_visible()
        await fits(page)

        # Takes the alert on.
        await page.get_by_role("link", name="Alerts", exact=True).click()
        await page.get_by_role("link", name="carol").first.click()
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_text("dana, by token 2").first).to_be_visible()
        await fits(page)

        # Keeps the next one quiet for an hour.
        await page.get_by_role("link", name="Silences").click()
        await page.get_by_label("User id").fill("dave")
        await page.get_by_label("Why").fill("he tests his phone")
        await page.get_by_role("button", name="Silence").click()
        await expect(page.get_by_role("cell", name="he tests his phone")).to_be_visible()
        await expect(page.get_by_text("dana, by token 2")).to_be_visible()
        await fits(page)

        # Signs out, after which going back shows nothing.
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(f"{address}/sign-in")
        assert await page.context.cookies() == []
        await page.go_back()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert complaints == []
