"""What a browser loads when it has been here before: the page alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page

from sidecar.settings import ServerSettings
from tests.support.pages import ago, live, opened, report
from tests.support.process import free_port
from tests.support.running import zimwatch
from tests.support.tokens import new_token

FILES = {"zimwatch.css", "zimwatch.js", "live.js"}
PAGE_BYTES = 8_192


class Traffic:
    """The paths that were loaded over the network, but for streams, and the bytes of each, headers among them."""

    def __init__(self) -> None:
        self.bytes_of: dict[str, float] = {}
        self._paths: dict[str, str] = {}

    @classmethod
    async def of(cls, page: Page) -> Traffic:
        traffic = cls()
        network = await page.context.new_cdp_session(page)
        await network.send("Network.enable")
        network.on("Network.requestWillBeSent", traffic._sent)
        network.on("Network.requestServedFromCache", traffic._kept)
        network.on("Network.loadingFinished", traffic._loaded)
        return traffic

    def _kept(self, event: dict[str, Any]) -> None:
        self._paths.pop(event["requestId"], None)

    def _sent(self, event: dict[str, Any]) -> None:
        self._paths[event["requestId"]] = urlsplit(event["request"]["url"]).path

    def _loaded(self, event: dict[str, Any]) -> None:
        path = self._paths.get(event["requestId"])
        if path is not None and event["encodedDataLength"]:
            self.bytes_of[path] = event["encodedDataLength"]


@pytest.mark.parametrize("below", ["", "/zimwatch"])
async def test_a_second_visit_loads_the_page_alone(browser: Browser, tmp_path: Path, below: str) -> None:
    port, complaints = free_port(), list[str]()
    server = ServerSettings(public_url=f"http://127.0.0.1:{port}{below}")
    async with zimwatch(tmp_path, port=port, server=server) as running:
        _, ingest = await new_token(running.store, "ingest")
        _, secret = await new_token(running.store, "read")
        for number in range(20):
            await report(running, f"user-{number}", {"occurred_at": ago(60)}, {"occurred_at": ago(50)}, token=ingest)
        page = await opened(browser, complaints, extra_http_headers={"Authorization": f"Bearer {secret}"})
        first = await Traffic.of(page)
        await live(page, f"{running.url}{below}/")
        await page.close()
        page = await page.context.new_page()
        second = await Traffic.of(page)
        await live(page, f"{running.url}{below}/")
        assert {path.rpartition("/")[2] for path in first.bytes_of if "/static/" in path} >= FILES
        assert list(second.bytes_of) == [f"{below}/"]
        assert second.bytes_of[f"{below}/"] <= PAGE_BYTES
        assert complaints == []
