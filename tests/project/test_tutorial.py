"""The tutorial, as it is printed, in a fresh clone: each block in a shell, then the browser as it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.chromium import chromium

ROOT = Path(__file__).parents[2]
BLOCKS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = {"zimwatch serve": 8790, "http.server": 8000}
"""A block with one of these words serves on that port until the end."""
LISTENS_WITHIN_S = 60

pytestmark = [pytest.mark.soak, pytest.mark.browser, pytest.mark.node]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def _run(block: str, folder: Path) -> None:
    shell = await asyncio.create_subprocess_exec("bash", "-ec", block, cwd=folder)
    assert await shell.wait() == 0, block


@contextlib.asynccontextmanager
async def _served(block: str, folder: Path, port: int) -> AsyncIterator[None]:
    assert _free(port), f"something else listens on {port}, the port of the tutorial"
    process = await asyncio.create_subprocess_exec("bash", "-ec", block, cwd=folder, start_new_session=True)
    try:
        async with asyncio.timeout(LISTENS_WITHIN_S):
            while _free(port):  # noqa: ASYNC110 - what is awaited is in another process
                await asyncio.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def test_a_fresh_clone_leads_to_a_user_on_the_dashboard(tmp_path: Path) -> None:
    clone = tmp_path / "zimwatch"
    await _run(f"git clone --quiet {ROOT} zimwatch", tmp_path)
    blocks = BLOCKS.findall((clone / "docs/tutorial.md").read_text(encoding="utf-8"))
    folder = clone  # of the terminal: a block may change it
    async with contextlib.AsyncExitStack() as serving:
        for block in blocks:
            port = next((port for words, port in PORTS.items() if words in block), None)
            if port:
                await serving.enter_async_context(_served(block, folder, port))
                continue
            await _run(block, folder)
            for into in re.findall(r"^cd (\S+)$", block, re.MULTILINE):
                folder /= into
        page = await (await serving.enter_async_context(chromium())).new_page()
        await _log_in_and_look_up(page)


async def _log_in_and_look_up(page: Page) -> None:
    await page.goto("http://127.0.0.1:8000/")
    for label, text in (("AppID", "1"), ("User ID", "alice"), ("Token", "no-token")):
        await page.get_by_placeholder(label).fill(text)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("output")).not_to_be_empty()
    await page.goto("http://127.0.0.1:8790/")
    await page.keyboard.press("/")
    await page.keyboard.type("alice")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="alice")).to_be_visible()
    await expect(page.locator(".user-head")).to_contain_text("Not logged in")
    await expect(page.locator(".user-head .finding").first).to_contain_text("The login was refused")
