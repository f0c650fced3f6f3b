"""The tutorial's blocks in a shell, as they are printed, in a fresh clone, and what it says to do in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Page, expect

from tests.support.chromium import chromium

ROOT: Final = Path(__file__).parents[2]
ADDRESS: Final = "http://127.0.0.1:8790"
Way = Literal["Python", "Docker"]
_PORTS: Final = {"zimwatch serve": 8790, "docker run": 8790, "http.server": 8000}
"""A block with one of these words serves on that port until the end."""
_BLOCKS: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ONLY: Final = re.compile(r"^(?:### With|Only with) (Python|Docker)\b", re.MULTILINE)
_PARTS: Final = re.compile(r"^(?=#|Only with |```sh\n)", re.MULTILINE)
_LISTENS_WITHIN_S: Final = 60
_PASSWORD: Final = "a tutorial in five minutes"


def blocks(text: str, way: Way) -> list[str]:
    """The blocks for who goes this way.

    A heading ``### With …`` is for all blocks up to the next heading, the words ``Only with …`` for the next block.
    """
    kept, section, only = [], None, None
    for part in _PARTS.split(text):
        stated = _ONLY.match(part)
        if part.startswith("#"):
            section = stated and stated[1]
        elif stated:
            only = stated[1]
        for block in _BLOCKS.findall(part):
            if (only or section) in {None, way}:
                kept.append(block)
            only = None
    return kept


async def walk(way: Way, folder: Path, environ: Mapping[str, str] | None = None) -> None:
    """Clones into ``folder``, runs the blocks, and logs ``alice`` in. AssertionError for what is not as printed."""
    await _run(f"git clone --quiet {ROOT} zimwatch", folder, environ)
    at = folder / "zimwatch"  # the folder of the terminal: a block may change it
    async with contextlib.AsyncExitStack() as serving:
        page = await (await serving.enter_async_context(chromium())).new_page()
        for block in blocks((at / "docs/tutorial.md").read_text(encoding="utf-8"), way):
            port = next((port for words, port in _PORTS.items() if words in block), None)
            if port is None:
                await _run(block, at, environ)
            else:
                printed = folder / f"{port}.txt"
                await serving.enter_async_context(_served(block, at, port, printed, environ))
                if "docker run" in block:
                    await _make_account(page, await _link(printed))
            for into in re.findall(r"^cd (\S+)$", block, re.MULTILINE):
                at /= into
        await _log_in_and_look_up(page)


async def _run(block: str, folder: Path, environ: Mapping[str, str] | None) -> None:
    shell = await asyncio.create_subprocess_exec("bash", "-ec", block, cwd=folder, env=environ)
    assert await shell.wait() == 0, block


@contextlib.asynccontextmanager
async def _served(
    block: str, folder: Path, port: int, printed: Path, environ: Mapping[str, str] | None
) -> AsyncIterator[None]:
    assert _free(port), f"something else listens on {port}, the port of the tutorial"
    with printed.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            "bash", "-ec", block, cwd=folder, env=environ, stdout=output, start_new_session=True
        )
    try:
        async with asyncio.timeout(_LISTENS_WITHIN_S):
            while _free(port):  # noqa: ASYNC110 - what is awaited is in another process
                await asyncio.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def _link(printed: Path) -> str:
    """The link of the first account, which is printed once the server listens."""
    found: list[str] = []
    async with asyncio.timeout(_LISTENS_WITHIN_S):
        while not found:
            found = re.findall(rf"{ADDRESS}/first-account/\S+", await asyncio.to_thread(printed.read_text))
            await asyncio.sleep(0.1)
    return found[0]


async def _make_account(page: Page, link: str) -> None:
    await page.goto(link)
    await page.get_by_label("Name").fill("me")
    for label in ("New password", "The same again"):
        await page.get_by_label(label).fill(_PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await page.get_by_label("Name").fill("me")
    await page.get_by_label("Password or token").fill(_PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Nothing has been reported yet")).to_be_visible()


async def _log_in_and_look_up(page: Page) -> None:
    await page.goto("http://127.0.0.1:8000/")
    for label, text in (("AppID", "1"), ("User ID", "alice"), ("Token", "no-token")):
        await page.get_by_placeholder(label).fill(text)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("output")).not_to_be_empty()
    await page.goto(f"{ADDRESS}/")
    await page.keyboard.press("/")
    await page.keyboard.type("alice")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="alice")).to_be_visible()
    await expect(page.locator(".user-head")).to_contain_text("Not logged in")
    await expect(page.locator(".user-head .finding").first).to_contain_text("The login was refused")
