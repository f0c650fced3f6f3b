"""The page that checks a token: what it says, to whom, and that nothing of a token is kept."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from sidecar import logs
from sidecar.clock import now_us
from sidecar.domain.units import SECOND_US
from sidecar.settings import AppsSettings, LogSettings, ZegoSettings
from tests.support.running import Zimwatch, zimwatch
from tests.support.token04 import FLAWED, OTHER_SECRET, SECRET, content, made
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

APP, OTHER = 1234567890, 7
HTML = {"Accept": "text/html"}
ZEGO = ZegoSettings(server_secrets=(f"{APP}:{SECRET}", f"{OTHER}:{OTHER_SECRET}"))


@pytest.fixture
def options() -> dict[str, Any]:
    return {"zego": ZEGO, "named": AppsSettings(names={str(APP): "Prod chat"})}


def token(life_s: int = 3_600, secret: str = SECRET, app_id: int = APP, **more: Any) -> str:
    at_s = now_us() // SECOND_US
    return made(content(app_id, "alice", at_s, at_s + life_s) | more, secret=secret)


async def sent(running: Zimwatch, given: str, **headers: str) -> tuple[int, str, Any]:
    """Status, page and headers of the answer to the form with this token."""
    async with running.http.get("/token", headers=HTML | headers) as response:
        assert response.status == 200
        field = (await response.text()).split('name="form_token" value="')[1].split('"')[0]
    form = {"form_token": field, "token": given}
    async with running.http.post("/token", data=form, headers={"Origin": running.url} | HTML | headers) as response:
        return response.status, await response.text(), response.headers


def is_shown(text: str, kind: str) -> bool:
    return f'data-kind="{kind}">' in text


async def test_a_good_token_is_said_to_be_good_for_whom_and_with_what_it_was_made(running: Zimwatch) -> None:
    given = token(payload="a <payload>")
    status, text, headers = await sent(running, given)
    assert status == 200
    assert 'data-verdict="good">' in text
    assert 'data-verdict="bad" hidden>' in text
    assert "the ServerSecret of Prod chat (1234567890)" in text
    assert f'<a href="/users/{APP}/alice">' in text
    assert "a &lt;payload&gt;" in text
    assert given not in text
    assert SECRET not in text
    assert headers["Cache-Control"] == "no-store, no-transform"


@pytest.mark.parametrize(
    ("make", "kind", "code"),
    [
        (lambda: token(secret="f" * 32), "other_secret", 6000101),
        (lambda: token(app_id=8), "other_app", 6000101),
        (lambda: token(user_id=""), "no_user", 6000103),
        (lambda: token(-5), "expired", 6000106),
        (lambda: "03" + token()[2:], "other_version", 6000107),
        (lambda: token(25), "too_short", 6000108),
        (lambda: token(25 * 86_400), "too_long", 6000109),
    ],
)
async def test_what_is_wrong_is_said_with_the_sdks_code(
    running: Zimwatch, make: Callable[[], str], kind: str, code: int
) -> None:
    status, text, _ = await sent(running, make())
    assert status == 200
    assert is_shown(text, kind)
    assert f"{code}: " in text.split(f'data-kind="{kind}">')[1].split("</li>")[0]
    assert 'data-verdict="bad">' in text


async def test_every_text_is_answered_with_what_is_wrong_with_it(running: Zimwatch) -> None:
    for given, flaw in FLAWED:
        if given.isprintable():
            status, text, _ = await sent(running, given)
            assert (status, is_shown(text, flaw)) == (200, True), given[:40]
    status, _, _ = await sent(running, "04" + "A" * 100_000)
    assert status == 413


@pytest.mark.parametrize(
    "raw", ["%00%01", "%ff%fe", "%ed%a0%80", "04%ED%A0%80AA", "%F0%9F%98%80", "%", "%zz", "\xff", "&&=&token"]
)
async def test_bytes_that_are_no_text_are_no_token(running: Zimwatch, raw: str) -> None:
    async with running.http.get("/token", headers=HTML) as response:
        field = (await response.text()).split('name="form_token" value="')[1].split('"')[0]
    body = f"form_token={field}&token={raw}".encode("latin-1")
    headers = HTML | {"Origin": running.url, "Content-Type": "application/x-www-form-urlencoded"}
    async with running.http.post("/token", data=body, headers=headers) as response:
        assert response.status in {200, 400}
        if response.status == 200:
            assert 'data-verdict="bad">' in await response.text()


async def test_whoever_reads_an_app_checks_with_its_secret_and_with_no_other(running: Zimwatch) -> None:
    _, reader = await new_token(running.store, "read", OTHER)
    mine = {"Authorization": f"Bearer {reader}"}
    _, text, _ = await sent(running, token(secret=OTHER_SECRET, app_id=OTHER), **mine)
    assert 'data-verdict="good">' in text
    _, text, _ = await sent(running, token(), **mine)
    assert is_shown(text, "other_secret")
    assert str(APP) not in text
    assert "Prod chat" not in text
    _, elsewhere = await new_token(running.store, "read", 8)
    _, text, _ = await sent(running, token(), Authorization=f"Bearer {elsewhere}")
    assert 'data-verdict="good">' in text
    assert "zego.server_secrets" in text


async def test_who_may_not_read_may_not_check(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "ingest")
    for headers, status in (({"Authorization": f"Bearer {secret}"}, 403), ({}, 401)):
        async with running.http.post("/token", data={"token": token()}, headers=headers) as response:
            assert response.status == status


async def test_a_form_of_another_page_is_refused(running: Zimwatch) -> None:
    for form in ({}, {"form_token": "x"}):
        async with running.http.post("/token", data={"token": token(), **form}, headers=HTML) as response:
            assert response.status == 403
    async with running.http.post(
        "/token", data={"token": token()}, headers=HTML | {"Origin": "https://evil.example"}
    ) as response:
        assert response.status == 403


async def test_a_form_with_files_is_not_read(running: Zimwatch) -> None:
    """They would be written to the disk."""
    form = aiohttp.FormData()
    form.add_field("token", token(), filename="token.txt")
    async with running.http.post("/token", data=form) as response:
        assert response.status == 415


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """All lines of the log, of every level."""
    root = logging.getLogger()
    before, stream = (list(root.handlers), root.level), StringIO()
    logs.configure(LogSettings(level="debug", format="json"), stream)
    yield stream
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def files_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_nothing_of_a_token_is_logged_or_stored(tmp_path: Path, logged: StringIO) -> None:
    good = token(payload="payload-of-a-token")
    given = [good, good[:-9], "03" + good[2:], token(secret="f" * 32), "04" + good[2:] * 400]
    async with zimwatch(tmp_path, zego=ZEGO) as running:
        for one in given:
            await sent(running, one)
        async with running.http.post("/token", data={"token": good}, headers=HTML) as refused:
            assert refused.status == 403
            assert good[20:60] not in await refused.text()
        await running.send([])
    assert "/token" in logged.getvalue()
    kept = files_of(tmp_path)
    assert kept
    for secret in ("payload-of-a-token", SECRET, *(one[at : at + 40] for one in given for at in (2, 20, 60))):
        assert secret not in logged.getvalue()
        assert not [raw for raw in kept if secret.encode() in raw]


async def test_a_finding_that_a_token_causes_leads_to_the_check(running: Zimwatch) -> None:
    refused = {"type": "login_result", "code": 6000103, "message": "Token is invalid."}
    client = str(uuid.uuid4())
    login = fresh_event(type="login", offline_login=False, client_id=client, seq=1)
    await running.send([login, fresh_event(client_id=client, seq=2, **refused), fresh_event(user_id="bob")])
    for user_id, count in (("alice", 2), ("bob", 1)):
        async with running.http.get(f"/users/{APP}/{user_id}?hand_off=1h", headers=HTML) as response:
            text = await response.text()
        assert text.count('href="/token"') == count, user_id
    async with running.http.get("/findings", headers=HTML) as response:
        assert (await response.text()).count('href="/token"') == 4


async def test_the_page_of_a_server_without_secrets_says_so(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        status, text, _ = await sent(running, token())
        assert status == 200
        assert 'data-verdict="good">' in text
        assert "zego.server_secrets" in text
        async with running.http.get("/", headers=HTML) as response:
            assert 'href="/token"' in await response.text()
