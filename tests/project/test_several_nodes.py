"""HAProxy as ``docker/haproxy.cfg`` has it, in front of two nodes on one PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from sidecar.clock import now_us
from sidecar.domain import rfc3339
from sidecar.store import Store
from tests.support.chromium import chromium
from tests.support.databases import engine, url_of
from tests.support.process import DATABASE, POLL_S, START_TIMEOUT_S, free_port, serving
from tests.support.tokens import new_token
from tests.support.wire import wire_event

CONFIGURATION = Path(__file__).parents[2] / "docker/haproxy.cfg"
APP, USER = 1, "alice"
SOCKET = "haproxy.sock"
AGAIN_WITHIN_S = 30

pytestmark = [pytest.mark.soak, pytest.mark.postgres, pytest.mark.haproxy, pytest.mark.browser]


@pytest.fixture(autouse=True)
def on_postgres() -> Iterator[None]:
    with engine("postgresql"):
        yield


@contextlib.asynccontextmanager
async def haproxy(folder: Path, nodes: list[str]) -> AsyncIterator[str]:
    """The address of the proxy: its file with the addresses of this machine, and a socket to query it by."""
    port = free_port()
    text = CONFIGURATION.read_text(encoding="utf-8").replace("bind :8790", f"bind 127.0.0.1:{port}")
    for number, address in enumerate(nodes, 1):
        text = text.replace(f"node{number}:8790", address.removeprefix("http://"))
    assert "8790" not in text
    file = folder / "haproxy.cfg"
    file.write_text(text, encoding="utf-8")
    (folder / "socket.cfg").write_text(f"global\n  stats socket {folder / SOCKET}\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", file, "-f", folder / "socket.cfg")
    try:
        yield f"http://127.0.0.1:{port}"
        assert process.returncode is None, "HAProxy ended by itself"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def until_ready(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get("/readyz") as response:
                    if response.ok:
                        return
            await asyncio.sleep(POLL_S)


async def with_a_request(folder: Path) -> list[int]:
    """The nodes with a request that is not over, such as a stream, by HAProxy's own word."""
    reader, writer = await asyncio.open_unix_connection(folder / SOCKET)
    writer.write(b"show stat\n")
    rows = csv.DictReader((await reader.read()).decode().splitlines())
    writer.close()
    return [int(row["svname"][-1]) for row in rows if row["svname"].startswith("node") and int(row["scur"])]


async def send(http: aiohttp.ClientSession, token: str, seq: int, state: int, event: int) -> None:
    """As a tap does: once more until it is accepted."""
    at = rfc3339.text(now_us())
    body = [wire_event(app_id=APP, user_id=USER, seq=seq, occurred_at=at, state=state, event=event)]
    async with asyncio.timeout(AGAIN_WITHIN_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.post("/v1/events", json=body, headers={"Authorization": f"Bearer {token}"}) as response:
                    if response.ok:
                        return
                    assert response.status in {502, 503, 504}, await response.text()
            await asyncio.sleep(POLL_S)


async def test_a_page_follows_while_the_node_that_it_is_connected_to_is_killed(tmp_path: Path) -> None:
    store = Store.open(url_of(tmp_path, DATABASE), clock=now_us)
    tokens = {scope: (await new_token(store, scope))[1] for scope in ("ingest", "read")}
    await store.close()
    settings = {"ZIMWATCH_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    async with (
        serving(tmp_path, settings) as one,
        serving(tmp_path, settings) as two,
        haproxy(tmp_path, [one[0], two[0]]) as address,
        aiohttp.ClientSession(address) as http,
        chromium() as browser,
    ):
        await until_ready(http)
        await send(http, tokens["ingest"], 1, 2, 0)
        page = await browser.new_page()
        await page.goto(f"{address}/sign-in")
        await page.get_by_label("Password or token").fill(tokens["read"])
        await page.get_by_role("button", name="Sign in").click()
        await page.goto(f"{address}/users/{APP}/{USER}")
        await expect(page.locator(".user-head")).to_contain_text("Online")

        _, connected = [one, two][await node_of_the_stream(tmp_path) - 1]
        connected.send_signal(signal.SIGKILL)
        await connected.wait()
        await send(http, tokens["ingest"], 2, 0, 4)
        await expect(page.locator(".user-head")).to_contain_text("Not logged in", timeout=AGAIN_WITHIN_S * 1000)


async def node_of_the_stream(folder: Path) -> int:
    """The node that the page's stream is connected to, once that is the only request."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while len(nodes := await with_a_request(folder)) != 1:  # noqa: ASYNC110 - it is another process's
            await asyncio.sleep(POLL_S)
    return nodes[0]
