"""Every page in Chinese: no English in its text or in what a screen reader says, but names and data."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import message_rows
from sidecar.canary import CanaryStatus
from sidecar.canary.canary import GIVEN_UP
from sidecar.settings import AlertSettings, ZegoSettings
from tests.support import called as called_by
from tests.support.called import Called, listening
from tests.support.canary import overview_with
from tests.support.events import APP_ID
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event
from tests.support.zego import BEGIN_S, SECRET, user_action

CHINESE: Final = {"Accept-Language": "zh-CN", "Accept": "text/html"}
SHOWN_ATTRIBUTES: Final = {"aria-label", "title", "placeholder", "alt", "aria-description"}
# What is code, or a key, or says of itself that it is in another language.
NOT_READ: Final = {"script", "style", "code", "pre", "kbd", "template"}
VOID: Final = {"meta", "link", "input", "br", "img", "hr"}
# Names of products, formats and units, what the SDK and the settings are called, and the people below.
NAMES: Final = set(
    """
    Zimwatch ZIM ZEGO SDK API ID AppID Web Android iPhone UTC CSV JSON Parquet Span span token tap URL HTTP Esc Tab
    Wi Fi alice bob carol dave erin frank heidi user storm pixel English ops webhook status attempt
    renewToken onTokenWillExpire login logout create ZIM.create sendMessage canary refused Connection
    JavaScript UI AES CBC GCM NTP ServerSecret kit payload base generateToken zego server_secrets
    kB MB GB pyarrow zimwatch toml scope read Authorization Bearer IPhoneOS IPadOS Win MacOS Linux MiniProgram OHOS
    CONNECTED CONNECTING DISCONNECTED RECONNECTING onConnectionStateChanged connectionStateChanged isOfflineLogin
    callAccept callReject callEnd ServerSecret ZEGOCLOUD VPN Unity Flutter
    """.split()  # noqa: SIM905 - a list of words
)
WORD: Final = re.compile(r"[A-Za-z]{2,}")
# KICKED_OUT, login_result: names of the SDK's and of ours.
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+", re.ASCII)
ADDRESS: Final = re.compile(r"zegocloud\.com/\S+")


class Reader(HTMLParser):
    """What a page says, in the order in which it says it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        foreign = given.get("lang") not in {None, "zh-Hans"}
        if not self._silent:
            self.texts += [value for name, value in attrs if name in SHOWN_ATTRIBUTES and value]
        if tag not in VOID and (self._silent or tag in NOT_READ or foreign):
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag not in VOID:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.texts.append(data.strip())


def english(text: str) -> list[str]:
    """What it says that has a word in it which is no name."""
    reader = Reader()
    reader.feed(text)
    assert reader.texts
    return [one for one in reader.texts if set(WORD.findall(IDENTIFIER.sub("", ADDRESS.sub("", one)))) - NAMES]


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


async def report(running: Zimwatch, user_id: str, *events: dict[str, Any], device: str = "pixel-7") -> None:
    client = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{user_id}/{device}"))
    common = {
        "user_id": user_id,
        "client_id": client,
        "session_id": client,
        "device_id": device,
        "platform": "Android",
        "extended_data": "{}",
        "occurred_at": ago(20),
    }
    batch = [wire_event(**{**common, "seq": seq, **one}) for seq, one in enumerate(events, 1)]
    _, answer = await running.send(batch)
    assert answer["rejected"] == []


async def a_bad_day(running: Zimwatch) -> None:
    """Everything that an event can say, and every end that a login can have."""
    ends = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    login = {"type": "login", "offline_login": False, "token_expires_at": ends}
    kicked, expired = {"state": 0, "event": 4}, {"state": 0, "event": 5}
    await report(running, "alice", login, {"type": "login_result", "code": 0, "message": ""}, {})
    await report(running, "bob", login, {"state": 3, "event": 3}, {"state": 2, "event": 1}, {"state": 3, "event": 3})
    await report(running, "carol", login, {}, kicked, {"type": "api_error", "method": "sendMessage", "code": 6000121})
    await report(running, "carol", login | {"offline_login": True}, {}, {"type": "logout"}, device="pixel-8")
    warned = {"type": "token_will_expire", "second": 30}
    refused = {"type": "token_renewed", "code": 6000103, "message": "", "token_expires_at": None}
    await report(running, "dave", login, {}, warned, refused, expired)
    await report(running, "erin", login, {"state": 0, "event": 6}, warned | {"second": -3})
    await report(
        running, "frank", login, {"type": "login_result", "code": 6000104, "message": ""}, {"state": 0, "event": 2}
    )
    await report(running, "heidi", login, {"state": 0, "event": "UNREGISTERED"})
    for number in range(30):
        await report(running, f"storm{number}", {}, kicked | {"sdk": {"name": "ZIM", "version": "2.28.0"}})


PATHS: Final = [
    "/",
    "/wall",
    "/users",
    "/users?status=not_logged_in&since=24h&token=1h&unconfirmed=false&col_set=1&col=sdk&col=token&col=seen&col=devices",
    "/users?q=frank&order=token",
    "/users?q=0",
    "/users?status=0",
    "/users?app_id=-",
    "/users?as_of=0",
    "/users?as_of=2100-01-01",
    "/users?ids=alice%0Abob",
    *(f"/users/{APP_ID}/{who}" for who in ("alice", "bob", "carol", "dave", "erin", "frank", "heidi", "0")),
    f"/users/{APP_ID}/carol?as_of=2100-01-01",
    f"/users/{APP_ID}/carol?as_of=0",
    f"/users/{APP_ID}/dave?hand_off=1h",
    "/users/x/alice",
    "/alerts",
    *(f"/alerts?group={by}" for by in ("kind", "cause", "user", "app", "0")),
    *(f"/alerts/{number}" for number in range(1, 12)),
    "/alerts/several?alert=1&alert=2&do=ack",
    "/alerts/several?alert=1&alert=2&do=silence",
    "/alerts/several?do=ack",
    "/alerts/999999",
    "/alerts/undelivered",
    "/silences",
    "/token",
    "/settings",
    "/findings",
    "/nowhere",
    "/hand-off/none",
]


async def read(running: Zimwatch, path: str) -> str:
    async with running.http.get(URL(running.url + path, encoded=True), headers=CHINESE) as response:
        assert response.content_type == "text/html", path
        return await response.text()


async def submit(running: Zimwatch, path: str, form: str, **fields: str) -> str:
    token = (await read(running, form)).split('name="form_token" value="')[1].split('"')[0]
    headers = CHINESE | {"Origin": running.url, "Content-Type": "application/x-www-form-urlencoded"}
    data = urlencode({"form_token": token, **fields})
    async with running.http.post(path, data=data, headers=headers) as response:
        return await response.text()


async def test_no_chinese_page_has_english_text(tmp_path: Path) -> None:
    async with listening(Called()) as called:
        called.refusing(400, 1_000)
        webhook = WebhookSettings(name="ops", url=f"{called.url}/hook", secret=called_by.SECRET)
        zego = ZegoSettings(callback_secrets=(f"{APP_ID}:{SECRET}",))
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(webhook,)), zego=zego) as running:
            await a_bad_day(running)
            now = datetime.now(UTC).timestamp()
            async with running.http.post("/v1/callbacks/zego", json=user_action(2, at=now - BEGIN_S)) as response:
                assert response.status == 200
            silence = {"matchers": {"user_id": "dave", "kind": ["kicked_out"]}, "duration": "4h", "reason": "测试"}
            await running.http.post("/v1/silences", json=silence)
            async with asyncio.timeout(20):
                while len(await running.store.read(message_rows.dead, 2)) < 2:  # noqa: ASYNC110 - no other signal
                    await asyncio.sleep(0.05)
            pages = {path: await read(running, path) for path in PATHS}
            link = pages[f"/users/{APP_ID}/dave?hand_off=1h"].split('id="share-link" readonly value="')[1].split('"')[0]
            pages["hand-off"] = await read(running, link.removeprefix(running.url))
            _, firing = await running.get("/v1/alerts?state=firing")
            one, other = (f"/alerts/{alert['id']}" for alert in firing["alerts"][:2])
            await submit(running, f"{one}/ack", one)
            pages["acknowledged"] = await read(running, one)
            pages["no reason"] = await submit(running, f"{other}/silence", other, duration="1h", reason=" ")
            pages["no matcher"] = await submit(running, "/silences", "/silences", duration="1h", reason="x")
            pages["no duration"] = await submit(
                running, "/silences", "/silences", user_id="xx", reason="x", duration=""
            )
            pages["preview"] = await submit(
                running, "/silences", "/silences", user_id="d*", duration="1h", do="preview"
            )
            pages["tried"] = await submit(running, "/settings/try/ops", "/settings")
            pages["no receiver"] = await submit(running, "/settings/try/xx", "/settings")
            pages["old form"] = await submit(running, f"{other}/ack", other, form_token="old")
    found = {path: texts for path, text in pages.items() if (texts := english(text))}
    assert found == {}


async def test_no_chinese_page_without_data_has_english_text(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        pages = {
            path: await read(running, path) for path in ("/", "/users", "/alerts", "/silences", "/settings", "/wall")
        }
        await new_token(running.store, "read")
        pages["401"] = await read(running, "/")
    assert {path: texts for path, text in pages.items() if (texts := english(text))} == {}


async def test_the_canary_neither(tmp_path: Path) -> None:
    status = CanaryStatus(
        app_id=7, user_id="canary", reachable=False, since_us=0, problem=GIVEN_UP(), errors={6000104: 3}
    )
    async with (
        overview_with(status, tmp_path) as address,
        aiohttp.ClientSession(headers=CHINESE) as http,
        http.get(address) as response,
    ):
        assert english(await response.text()) == []
