"""Takes the pictures in this folder: every page, over a made-up day that is the same each time.

``make screenshots`` runs it. The clock stands still once the day is over, in Zimwatch as in the browser, so that a
picture changes where a page does and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from PIL import Image
from playwright.async_api import Browser, async_playwright

from sidecar import app
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import notifications
from sidecar.demo import personas
from sidecar.domain.events import HEARTBEAT
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.ingest import wire
from sidecar.sdk.recording.recorder import WireEvent
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedUser
from sidecar.settings import KEYS, AlertSettings, DatabaseSettings, Loaded, ServerSettings, Settings
from sidecar.settings.alert_settings import RouteSettings
from sidecar.store import Store
from tests.support.called import SECRET, Called, listening

FOLDER: Final = Path(__file__).parent
# 2026-11-24T15:30:00Z
NOW_US: Final = 1_795_534_200 * SECOND_US
# Longer than a first notification waits for company.
WAIT_US: Final = 2 * SECOND_US
STORY_US: Final = 260 * SECOND_US
CROWD: Final = 180
SEED: Final = 29
# So few that each is reported at its own time.
BATCH: Final = 4
DESKTOP, PHONE, WALL = (1280, 860), (390, 844), (1600, 900)
USERS: Final = f"/users/{personas.APP_ID}"

# Name, path, size, scheme, language; the whole page for a desktop is cut at this height.
PICTURES: Final[tuple[tuple[str, str, tuple[int, int], str, str], ...]] = (
    ("overview", "/", DESKTOP, "light", "en"),
    ("overview-dark", "/", DESKTOP, "dark", "en"),
    ("overview-phone", "/", PHONE, "dark", "en"),
    ("users", "/users?status=not_logged_in&col_set=1&col=platform&col=version", DESKTOP, "light", "en"),
    ("users-phone", "/users?status=offline", PHONE, "light", "en"),
    ("user", f"{USERS}/dave", DESKTOP, "light", "en"),
    ("user-kicked-out", f"{USERS}/erin", DESKTOP, "light", "en"),
    ("user-two-devices", f"{USERS}/carol", DESKTOP, "light", "en"),
    ("user-dark", f"{USERS}/bob", DESKTOP, "dark", "en"),
    ("user-phone", f"{USERS}/carol", PHONE, "light", "en"),
    ("user-chinese", f"{USERS}/dave", DESKTOP, "light", "zh-CN"),
    ("alerts", "/alerts?group=kind", DESKTOP, "light", "en"),
    ("alert", "/alerts/1", DESKTOP, "light", "en"),
    ("settings", "/settings", DESKTOP, "light", "en"),
    ("wall", "/wall", WALL, "dark", "en"),
)
# A receiver's address is on the page of settings, so that it is the same each time too.
HOOK_PORT: Final = 9000
CUT: Final = {DESKTOP: 1_500, PHONE: 1_700, WALL: 900}


class Clock:
    """Stands at ``now_us``, which goes forward only: it is the machine's steady clock too."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        """The time that is set."""
        return self.now_us


def a_day(rng: Random) -> list[WireEvent]:
    """What everybody reported, oldest first."""
    begin_us = NOW_US - DAY_US
    crowd = [_of_the_crowd(number, begin_us, rng) for number in range(CROWD)]
    story = personas.people(4, start_us=NOW_US - STORY_US, rng=rng, with_alice=True)
    said = [event for user in (*crowd, *story) for event in user.advance(NOW_US)]
    # She is kicked out by a browser that has no tap, so that nobody hears of that one.
    said += [event for event in _erin(rng).advance(NOW_US) if event["platform"] != "Web"]
    # Heartbeats of the day say nothing now, but for the last of each.
    late = {event["client_id"]: event for event in said if event["type"] == HEARTBEAT}
    kept = [event for event in said if event["type"] != HEARTBEAT] + list(late.values())
    return sorted(kept, key=lambda event: (str(event["occurred_at"]), int(event["seq"])))


def _of_the_crowd(number: int, begin_us: int, rng: Random) -> SimulatedUser:
    """Most come in the course of the day, stay for hours and lose the network now and then."""
    name = personas.people(number + 5, start_us=begin_us, rng=Random(SEED), with_alice=True)[-1].clients[0].user_id  # noqa: S311
    behaviour = Behaviour(
        first_login=rng.triangular(0, 86_400, 50_000),
        outage_every=7_200,
        outage_lasts=(2.0, 240.0),
        stays=4 * 3_600,
        away=3 * 3_600,
        token_lives=rng.choice((3_600.0, 28_800.0, 86_400.0)),
        renews=rng.randrange(10) > 0,
        refused=0.03,
    )
    return SimulatedUser([personas.client(name, rng.randrange(6), behaviour, begin_us, rng)])


def _erin(rng: Random) -> SimulatedUser:
    """Logs in in a browser, which kicks her phone out."""
    start_us = NOW_US - STORY_US
    phone = Behaviour(first_login=20.0, outage_every=None, stays=None, away=3_600.0)
    browser = Behaviour(first_login=200.0, outage_every=None, stays=None)
    clients = [
        personas.client("erin", kind, behaviour, start_us, rng)
        for kind, behaviour in ((personas.ANDROID, phone), (personas.WEB, browser))
    ]
    return SimulatedUser(clients, one_device=True)


async def nothing_owed(store: Store) -> None:
    """Waits until all receivers have been told."""
    async with asyncio.timeout(60):
        while (await store.read(notifications.backlog))[0]:  # noqa: ASYNC110 - another task tells them
            await asyncio.sleep(0.1)


async def report(store: Store, said: list[WireEvent], clock: Clock) -> None:
    """Hands the day over, each batch at its own time."""
    for start in range(0, len(said), BATCH):
        raw = msgspec.json.encode(said[start : start + BATCH])
        events = [event for _, event in wire.decode(raw, "json", clock()).events]
        clock.now_us = max(clock.now_us, min(events[-1].occurred_at_us, NOW_US - WAIT_US))
        await store.append(
            [msgspec.structs.replace(one, received_at_us=one.occurred_at_us + 180_000) for one in events]
        )


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


async def main() -> None:
    """All of them."""
    clock = Clock(NOW_US - DAY_US)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        with tempfile.TemporaryDirectory() as folder:
            hook = WebhookSettings(name="ops", url=f"http://127.0.0.1:{HOOK_PORT}/hook", secret=SECRET)
            # A day of minutes: the rest would be more than a receiver gets in one.
            kicks = RouteSettings(match={"kind": ("kicked_out", "kick_ping_pong")}, receivers=("ops",))
            settings = Settings(
                server=ServerSettings(),
                database=DatabaseSettings(url=f"sqlite:///{Path(folder) / 'zimwatch.db'}"),
                alerts=AlertSettings(receivers=(hook,), routes=(kicks,)),
            )
            in_force = tuple(Loaded(settings, dict.fromkeys(KEYS, "default")).shown())
            async with (
                listening(Called(), HOOK_PORT),
                app.running(settings, {}, system=app.System(clock=clock, steady=clock), in_force=in_force) as served,
            ):
                await take(browser, served.url, ("first-run", "/", DESKTOP, "light", "en"))
                await report(served.store, a_day(Random(SEED)), clock)  # noqa: S311
                clock.now_us = NOW_US
                await nothing_owed(served.store)
                for picture in PICTURES:
                    await take(browser, served.url, picture)
                signed = f"{USERS}/carol?hand_off=24h"
                await take(
                    browser,
                    served.url,
                    ("share-link", await _link(browser, served.url + signed), DESKTOP, "light", "en"),
                )
        await browser.close()


async def _link(browser: Browser, address: str) -> str:
    """The path of the link that the page makes."""
    page = await browser.new_page()
    await page.goto(address)
    link = await page.locator("#share-link").input_value()
    await page.close()
    return "/" + link.split("/", 3)[3]


if __name__ == "__main__":
    asyncio.run(main())
