"""Zimwatch behind nginx, HAProxy, Apache httpd and Caddy, at the root of a host and below a path."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from yarl import URL

from sidecar import alerting, web_application
from sidecar.clock import now_us
from sidecar.domain.app_ids import AppIds
from sidecar.errors import ZimwatchError
from sidecar.settings import AlertSettings, ServerSettings, Settings
from sidecar.web.prefix import OWN_NAMES
from tests.support.process import free_port
from tests.support.proxies import KEEPS, PROXIES, STRIPS, proxy
from tests.support.running import Zimwatch, zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

APP = 1234567890
BELOW = "/zimwatch"
each_proxy = pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in PROXIES])
each_way = pytest.mark.parametrize("prefix", [STRIPS, KEEPS])
# Ids that a path loses on its way through one proxy or another, and some that it does not.
IDS = [
    "alice",
    "a/b",
    "a//b",
    "..",
    "../up",
    "100%",
    "%2F",
    "a\\b",
    "a+b c",
    "q?x#y",
    ";v=1",
    "断线",
    "a&b=c",
    "~'\"<>",
]
_ADDRESS = re.compile(r'<[a-z][^<>]*?\s(href|src|action|formaction|hx-sse:connect)="([^"]*)"')


@contextlib.asynccontextmanager
async def behind(
    name: str, folder: Path, *, path: str = "", prefix: str = KEEPS, public: bool = True
) -> AsyncIterator[tuple[Zimwatch, aiohttp.ClientSession, str]]:
    """A running Zimwatch, a session of somebody who may write there, and the address in front of the proxy."""
    port = free_port()
    server = ServerSettings(public_url=f"http://127.0.0.1:{port}{path}" if public else "")
    alerts = AlertSettings(offline_too_long="0s")
    async with zimwatch(folder, server=server, alerts=alerts) as running:
        _, secret = await new_token(running.store, "write")
        upstream = URL(running.url).port
        assert upstream is not None
        async with (
            proxy(name, folder, upstream, port, path=path, prefix=prefix) as address,
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as http,
        ):
            yield running, http, address


async def report(running: Zimwatch, *user_ids: str, **fields: object) -> None:
    _, ingest = await new_token(running.store, "ingest")
    events = [fresh_event(user_id=user_id, **fields) for user_id in user_ids]
    status, answer = await running.send(events, Authorization=f"Bearer {ingest}")
    assert (status, answer["rejected"]) == (200, [])


@each_proxy
async def test_streams_forward_each_message_at_once(name: str, tmp_path: Path) -> None:
    async with behind(name, tmp_path) as (running, http, address):
        for path, expected in (("/v1/stream", '"user_id":"alice"'), ("/live/users", "alice")):
            async with streaming(http, f"{address}{path}") as stream:
                assert stream.response.headers["Content-Encoding"] == "gzip"
                await stream.next()
                await report(running, "alice")
                await stream.next_with(expected)


@each_proxy
@pytest.mark.parametrize("sends_fetch_metadata", [True, False])
async def test_forms_are_accepted_whatever_host_the_proxy_sends(
    name: str, tmp_path: Path, *, sends_fetch_metadata: bool
) -> None:
    """Browsers send Sec-Fetch-Site over TLS and on loopback; elsewhere the public URL decides."""
    async with behind(name, tmp_path, public=not sends_fetch_metadata) as (_, http, address):
        async with http.get(f"{address}/silences") as response:
            found = re.search(r'name="form_token" value="([^"]+)"', await response.text())
        assert found is not None
        fields = {"form_token": found[1], "user_id": "dave", "duration": "1h", "reason": "rehearsal"}
        metadata = {"Sec-Fetch-Site": "same-origin"} if sends_fetch_metadata else {}
        own = {"Origin": address, **metadata}
        async with http.post(f"{address}/silences", data=fields, headers=own, allow_redirects=False) as response:
            assert response.status == 303
        foreign = {"Origin": "https://attacker.example", **({"Sec-Fetch-Site": "cross-site"} if metadata else {})}
        async with http.post(f"{address}/silences", data=fields, headers=foreign) as response:
            assert response.status == 403


@each_way
@each_proxy
async def test_every_link_form_file_and_stream_works_below_a_path(name: str, prefix: str, tmp_path: Path) -> None:
    async with behind(name, tmp_path, path=BELOW, prefix=prefix) as (running, http, address):
        await report(running, *IDS)
        await report(running, "carol", state=0, event=4)
        pages = await _crawled(
            http, address, ["/", "/users", "/users?q=nobody", "/nowhere", "/silences", "/language?to=en"]
        )
        shown = {unescape(found) for page in pages for found in re.findall(r'<bdi id="user-id" title="([^"]*)"', page)}
        assert shown >= {*IDS, "carol"}


async def _crawled(http: aiohttp.ClientSession, address: str, paths: list[str]) -> list[str]:
    """The pages at these paths, and at all that they link to. Each address of ours is below the path, and answers."""
    origin, waiting, seen, pages = address.removesuffix(BELOW), [f"{BELOW}{path}" for path in paths], set[str](), []
    while waiting:
        path = waiting.pop()
        page = await _shown(http, origin, path)
        pages.append(page)
        for kind, found in _ADDRESS.findall(page):
            target = unescape(found)
            if target.startswith(("#", "data:")) or urlsplit(target).netloc not in {"", urlsplit(address).netloc}:
                continue
            absolute = urljoin(f"{origin}{path}", target).removeprefix(origin).partition("#")[0]
            assert absolute.startswith((f"{BELOW}/", f"{BELOW}?")), (path, kind, target)
            # Of what differs in its query alone one is enough, but where the user is in it.
            alike = absolute if "id=" in absolute else absolute.partition("?")[0]
            alike = alike if kind != "hx-sse:connect" else "/".join(alike.split("/")[:4])
            if kind == "action" or alike in seen:
                continue
            seen.add(alike)
            if kind == "hx-sse:connect":
                async with streaming(http, URL(origin + absolute, encoded=True)) as stream:
                    pages.append((await stream.next()).data)
            else:
                waiting.append(absolute)
    return pages


async def _shown(http: aiohttp.ClientSession, origin: str, path: str) -> str:
    """The page at a path; empty where there is something else."""
    async with http.get(URL(origin + path, encoded=True), allow_redirects=False) as response:
        assert response.status in {200, 303} or path.endswith("/nowhere"), (path, response.status)
        assert response.headers.get("Location", BELOW).startswith(BELOW)
        for cookie in response.cookies.values():
            assert cookie["path"] == BELOW
        return await response.text() if response.content_type == "text/html" else ""


def test_a_public_url_below_one_of_zimwatchs_paths_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZimwatchError, match="/users"):
        asyncio.run(_start(zimwatch(tmp_path, server=ServerSettings(public_url="https://ops.example.com/users/x"))))


async def test_no_path_of_zimwatch_may_begin_the_public_url(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        application = web_application.build(
            Settings(), running.store, alerting.reaction_of(Settings()), now_us, metrics_text=no_metrics
        )
    names = {resource.canonical.split("/")[1] for resource in application.router.resources()}
    assert names - {""} == OWN_NAMES


async def no_metrics(_apps: AppIds) -> tuple[bytes, str]:
    return b"", ""


async def _start(running: contextlib.AbstractAsyncContextManager[Zimwatch]) -> None:
    async with running:
        pass


@pytest.mark.parametrize("path", ["", BELOW, f"{BELOW}/deep"])
async def test_links_in_messages_have_the_whole_address(tmp_path: Path, path: str) -> None:
    public = f"https://ops.example.com{path}"
    async with zimwatch(tmp_path, server=ServerSettings(public_url=f"{public}/")) as running:
        _, secret = await new_token(running.store, "write")
        await report(running, "carol", state=0, event=4)
        _, alerts = await running.get("/v1/alerts", Authorization=f"Bearer {secret}")
        assert [one["url"] for one in alerts["alerts"]] == [f"{public}/alerts/{alerts['alerts'][0]['id']}"]
        document = (await running.get("/openapi.json", Authorization=f"Bearer {secret}"))[1]
        assert document["servers"] == [{"url": public}]
        for page, expected in (
            ("/settings", f"{public}/tap/zim-tap.js"),
            (f"/users/{APP}/carol?hand_off=1h", f"{public}/hand-off/"),
        ):
            async with running.http.get(page, headers={"Authorization": f"Bearer {secret}"}) as response:
                assert expected in await response.text()
