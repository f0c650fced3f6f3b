"""The canary's strip in Chromium: it fits, and axe has nothing to complain about."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from sidecar.canary import CanaryStatus
from sidecar.domain.texts import verbatim
from tests.support.canary import overview_with
from tests.support.pages import opened

LONG = "x" * 200
STATUSES = [
    CanaryStatus(app_id=7, user_id="canary"),
    CanaryStatus(app_id=7, user_id="canary", reachable=True, since_us=0, login_duration_us=312_000, logins=1),
    CanaryStatus(app_id=7, user_id=LONG, reachable=False, since_us=0, problem=verbatim(LONG), errors={6_000_104: 3}),
]


@pytest.mark.parametrize("status", STATUSES, ids=["first", "reachable", "not reachable"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1440, "light")])
async def test_the_strip_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, status: CanaryStatus, width: int, scheme: Literal["light", "dark"]
) -> None:
    complaints: list[str] = []
    async with overview_with(status, tmp_path) as address:
        page = await opened(browser, complaints, viewport={"width": width, "height": 900}, color_scheme=scheme)
        await page.goto(address)
        await expect(page.get_by_label("Canary")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        await page.close()
    assert complaints == []
