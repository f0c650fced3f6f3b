"""Takes the pictures in this folder: every page, over the day of the demo, which is the same each time.

``make screenshots`` runs it. The clock stands still once the day is over, in Zimwatch as in the browser, so that a
picture changes where a page does and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.async_api import Browser

from sidecar import app
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import alert_log, notifications
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.demo import history
from sidecar.demo.day import Report, day
from sidecar.demo.devices import APP_ID, APP_NAMES
from sidecar.domain.alerts.alert import FIRING
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.reload import Reload
from sidecar.settings import KEYS, AlertSettings, AppsSettings, DatabaseSettings, Loaded, ServerSettings, Settings
from sidecar.settings.alert_settings import RouteSettings
from sidecar.store import Store
from sidecar.system.files import THROW_AWAY
from tests.support.called import SECRET, Called, listening
from tests.support.chromium import chromium

FOLDER: Final = Path(__file__).parent
# 2026-11-24T15:30:00Z
NOW_US: Final = 1_795_534_200 * SECOND_US
# Longer than a first notification waits for company.
WAIT_US: Final = 2 * SECOND_US
# This last part of the day is reported while Zimwatch serves, so that somebody is notified of it.
SERVED_US: Final = 13 * MINUTE_US
USERS_MADE: Final = 200
SEED: Final = 1
# So few that each is reported at its own time.
BATCH: Final = 4
DESKTOP, PHONE, WALL = (1280, 860), (390, 844), (1600, 900)
USERS: Final = f"/users/{APP_ID}"

# Name, path, size, scheme, language; the whole page for a desktop is cut at this height.
PICTURES: Final[tuple[tuple[str, str, tuple[int, int], str, str], ...]] = (
    ("overview", "/", DESKTOP, "light", "en"),
    ("overview-dark", "/", DESKTOP, "dark", "en"),
    ("overview-phone", "/", PHONE, "dark", "en"),
    ("users", "/users?status=not_logged_in&col_set=1&col=platform&col=version", DESKTOP, "light", "en"),
    ("users-phone", "/users?status=offline", PHONE, "light", "en"),
    ("user", f"{USERS}/dave", DESKTOP, "light", "en"),
    ("user-kicked-out", f"{USERS}/trent", DESKTOP, "light", "en"),
    ("user-two-devices", f"{USERS}/carol", DESKTOP, "light", "en"),
    ("user-dark", f"{USERS}/erin", DESKTOP, "dark", "en"),
    ("user-phone", f"{USERS}/carol", PHONE, "light", "en"),
    ("user-chinese", f"{USERS}/dave", DESKTOP, "light", "zh-CN"),
    ("alerts", "/alerts?group=kind", DESKTOP, "light", "en"),
    ("alert", "/alerts/{kicked_out}", DESKTOP, "light", "en"),
    ("settings", "/settings", DESKTOP, "light", "en"),
    ("wall", "/wall", WALL, "dark", "en"),
)
# A receiver's address is on the page of settings, so that it is the same each time too.
HOOK_PORT: Final = 9000
SET: Final = ("apps.names", "alerts.receivers", "alerts.routes")
CUT: Final = {DESKTOP: 1_500, PHONE: 1_700, WALL: 900}


async def nothing_owed(store: Store) -> None:
    """Waits until all receivers have been told."""
    async with asyncio.timeout(60):
        while (await store.read(notifications.backlog))[0]:  # noqa: ASYNC110 - another task tells them
            await asyncio.sleep(0.1)


async def report(store: Store, reports: list[Report], clock: history.Clock) -> None:
    """Hands over the last part of the day, each batch at its own time."""
    for start in range(0, len(reports), BATCH):
        some = reports[start : start + BATCH]
        clock.now_us = max(clock.now_us, min(some[-1].at_us + history.LATENCY_US, NOW_US - WAIT_US))
        await store.append(history.decoded(some, clock.now_us))


async def take(browser: Browser, url: str, picture: tuple[str, str, tuple[int, int], str, str]) -> None:
    """One picture, in as few colours as it needs."""
    name, path, (width, height), scheme, language = picture
    options: dict[str, Any] = {"color_scheme": scheme, "locale": language, "timezone_id": "UTC"}
    context = await browser.new_context(viewport={"width": width, "height": height}, **options)
    await context.clock.set_fixed_time(NOW_US / SECOND_US)
    page = await context.new_page()
    async with page.expect_response(lambda response: response.status < 400):  # noqa: PLR2004 - any error
        await page.goto(url + path)
    await page.evaluate("document.fonts.ready")
    raw = await page.screenshot(full_page=True)
    image = Image.open(io.BytesIO(raw)).convert("RGB")
    image = image.crop((0, 0, width, min(image.height, CUT[width, height])))
    image.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
    print(f"{name}.png", (FOLDER / f"{name}.png").stat().st_size // 1_000, "kB")
    await context.close()


def _settings(database: Path) -> Settings:
    hook = WebhookSettings(name="ops", url=f"http://127.0.0.1:{HOOK_PORT}/hook", secret=SECRET)
    # A day of minutes: the rest would be more than a receiver gets in one.
    kicks = RouteSettings(match={"kind": ("kicked_out", "kick_ping_pong")}, receivers=("ops",))
    return Settings(
        server=ServerSettings(),
        apps=AppsSettings(names=APP_NAMES),
        database=DatabaseSettings(url=f"sqlite:///{database}"),
        alerts=AlertSettings(receivers=(hook,), routes=(kicks,)),
    )


def _served(settings: Settings, clock: history.Clock) -> AbstractAsyncContextManager[app.Running]:
    sources = dict.fromkeys(KEYS, "default") | dict.fromkeys(SET, "zimwatch.toml")
    reload = Reload(Loaded(settings, sources))
    return app.running(settings, {}, system=app.System(clock=clock, steady=clock, files=THROW_AWAY), reload=reload)


async def main() -> None:
    """All of them."""
    made = day(USERS_MADE, end_us=NOW_US, seed=SEED)
    served_us = NOW_US - SERVED_US
    with tempfile.TemporaryDirectory() as folder:
        empty, full = _settings(Path(folder) / "empty.db"), _settings(Path(folder) / "zimwatch.db")
        await history.write(made, full, until_us=served_us)
        async with chromium() as browser, listening(Called(), HOOK_PORT):
            async with _served(empty, history.Clock(NOW_US)) as served:
                await take(browser, served.url, ("first-run", "/", DESKTOP, "light", "en"))
            clock = history.Clock(served_us)
            async with _served(full, clock) as served:
                await report(served.store, [one for one in made.past if one.at_us > served_us], clock)
                clock.now_us = NOW_US
                await nothing_owed(served.store)
                kicked_out = await _firing(served.store, KickedOut.kind)
                for name, path, size, scheme, language in PICTURES:
                    address = path.format(kicked_out=kicked_out)
                    await take(browser, served.url, (name, address, size, scheme, language))
                shared = await _link(browser, f"{served.url}{USERS}/carol?hand_off=24h")
                await take(browser, served.url, ("share-link", shared, DESKTOP, "light", "en"))


async def _firing(store: Store, kind: str) -> int:
    """The id of the oldest alert of the kind that fires."""
    found = await store.read(alert_log.page, AlertFilter(state=FIRING, kind=kind))
    return found.alerts[-1].id


async def _link(browser: Browser, address: str) -> str:
    """The path of the link that the page makes."""
    page = await browser.new_page()
    await page.goto(address)
    link = await page.locator("#share-link").input_value()
    await page.close()
    return "/" + link.split("/", 3)[3]


if __name__ == "__main__":
    asyncio.run(main())
