"""The web app of ``docker/compose.yaml`` in Chromium, with the real SDK."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import pytest

from tests.conformance import watching
from tests.conformance.app_pages import app_server, to
from tests.support.chromium import chromium
from tests.support.running import zimwatch

pytestmark = [pytest.mark.browser, pytest.mark.node]


async def test_a_user_who_logs_in_is_reported(tmp_path: Path) -> None:
    async with (
        zimwatch(tmp_path) as running,
        app_server(running.url) as app,
        watching.dead_network() as network,
        chromium(to(network)) as browser,
    ):
        page = await browser.new_page()
        await page.goto(f"{app}sample")
        token = watching.token04(watching.TOKEN_S)
        for field, value in {"app": watching.APP, "user": watching.USER, "token": token}.items():
            await page.fill(f"[name={field}]", str(value))
        await page.click("text=Log in")

        async def is_reported() -> bool:
            status, answer = await running.get(f"/v1/users/{watching.APP}/{watching.USER}/events")
            return status == HTTPStatus.OK and "login" in [event["type"] for event in answer["events"]]

        await watching.eventually(is_reported)
        assert await page.is_enabled("text=Log out")
