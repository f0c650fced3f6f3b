"""Attacks on every route, as a person of each role, a token of each scope, and nobody."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from dashboard import page_request
from sidecar.access import routing
from sidecar.access.policy import PEOPLE, POLICY, SCOPES, Role
from sidecar.store.access import accounts, tokens
from tests.support.called import Called, listening
from tests.support.people import (
    EVERYBODY,
    NOBODY,
    Call,
    calls_of,
    form_token_of,
    headers_of,
    with_router,
)
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.vectors import schema
from tests.support.wire import fresh_event

APP, OTHER_APP = 7, 22
USERS: Final = ("alice", "bob")
TEMPLATES: Final = Path(page_request.__file__).parent / "templates"
BROWSER: Final = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PRODUCT: Final = "1787569"  # of 1337 and 1337
HOSTILE: Final = (
    "{{1337*1337}}",
    "${1337*1337}<%= 1337*1337 %>#{1337*1337}",
    "' OR '1'='1",
    '"; DROP TABLE events; --',
    "x\r\nX-Injected: 1",
    "<script>injected()</script>",
    '"><img src=x onerror=injected()>',
    "../../../../etc/passwd",
    "javascript:injected()",
    "\N{RIGHT-TO-LEFT OVERRIDE}%00\x7f",
)
STREAMS: Final = ("/live/", "/v1/stream")
FOREIGN: Final = {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
SHARED: Final = ("/v1/events", "/tap/")


class Place:
    """A running Zimwatch with users of two apps, and every route of it."""

    def __init__(self, running: Zimwatch, router: web.UrlDispatcher) -> None:
        self.running, self.router = running, router
        self.calls = calls_of(router, app_id=str(APP), user_id="alice", name="htmx-4.0.1.min.js", receiver="ops")

    async def ask(self, call: Call, headers: dict[str, str], **sent: Any) -> tuple[aiohttp.ClientResponse, str]:
        """A response and its body, of a stream its beginning. Redirects are not followed."""
        path = f"{call.path}?{sent.pop('query')}" if "query" in sent else call.path
        timeout = aiohttp.ClientTimeout(total=60)
        async with self.running.http.request(
            call.method, path, headers=headers, allow_redirects=False, timeout=timeout, **sent
        ) as response:
            if response.content_type == "text/event-stream":
                return response, ""
            return response, (await response.read()).decode(errors="replace")


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    async with with_router(tmp_path, monkeypatch) as (running, router):
        kicked = {"state": 0, "event": 4}
        events = [fresh_event(app_id=app_id, user_id=name, **kicked) for app_id in (APP, OTHER_APP) for name in USERS]
        assert (await running.send(events))[1]["accepted"] == len(events)
        yield Place(running, router)


def changing(place: Place) -> Iterator[Call]:
    """Those that change something, or might."""
    return (call for call in place.calls if call.method not in {"GET", "OPTIONS"})


async def test_no_form_counts_without_the_token_of_its_own_page(place: Place) -> None:
    forms = [call for call in changing(place) if not call.path.startswith("/v1/") and call.needed != routing.OPEN]
    assert forms
    for role in PEOPLE:
        own = await headers_of(place.running.store, role)
        others = form_token_of(place.running, await headers_of(place.running.store, Role.ADMIN))
        for call in forms:
            for token in ("", "x", others):
                response, _ = await place.ask(call, own, data={"form_token": token})
                assert response.status in {403, 429}, (role, call, response.status)


async def test_no_cookie_changes_anything_through_the_api(place: Place) -> None:
    for role in PEOPLE:
        own = await headers_of(place.running.store, role)
        for call in changing(place):
            if call.path.startswith("/v1/") and call.needed != routing.OPEN:
                response, _ = await place.ask(call, own, json={})
                assert response.status == 401, (role, call, response.status)


async def test_no_page_of_another_origin_reads_or_changes_anything(place: Place) -> None:
    for who in EVERYBODY:
        own = await headers_of(place.running.store, who)
        for call in place.calls:
            if call.path.startswith(SHARED) or call.method == "OPTIONS":
                continue
            foreign = own | {
                "Origin": "https://attacker.example",
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "cors",
            }
            response, _ = await place.ask(call, foreign)
            assert response.status == 403, (who, call, response.status)
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_no_other_name_of_the_server_is_answered(place: Place) -> None:
    for who in (Role.ADMIN, Role.WRITE, NOBODY):
        own = await headers_of(place.running.store, who)
        for call in place.calls:
            response, _ = await place.ask(call, own | {"Host": "attacker.example"})
            assert response.status == (200 if call.path in {"/livez", "/readyz"} else 421), (who, call)


async def test_every_page_refuses_to_be_framed_and_runs_no_script_but_its_own(place: Place) -> None:
    for who in EVERYBODY:
        own = await headers_of(place.running.store, who)
        for call in place.calls:
            if call.method != "GET" or call.path.startswith(STREAMS):
                continue
            response, body = await place.ask(call, own | BROWSER)
            if response.content_type == "text/html":
                policy = response.headers["Content-Security-Policy"]
                assert "frame-ancestors 'none'" in policy, (who, call)
                assert "default-src 'none'" in policy or "<html" not in body, (who, call)
                assert "unsafe" not in policy, (who, call)
                nonce = policy.split("'nonce-")[1].split("'")[0] if "'nonce-" in policy else None
                for script in re.findall(r"<script\b[^>]*>", body):
                    assert f'nonce="{nonce}"' in script, (who, call, script)
            assert response.headers["X-Content-Type-Options"] == "nosniff", (who, call)


REDIRECTS: Final = (
    "//attacker.example",
    "/\\attacker.example",
    "\\\\attacker.example",
    "https://attacker.example",
    "https:attacker.example",
    "/\t/attacker.example",
    "/%09/attacker.example",
    "///attacker.example",
    "javascript:alert(1)",
    "/sign-in/../..//attacker.example",
    "@attacker.example",
)


@pytest.mark.parametrize(
    "target", [*REDIRECTS[:3], *(pytest.param(one, marks=pytest.mark.soak) for one in REDIRECTS[3:])]
)
async def test_no_redirect_leaves_the_server(place: Place, target: str) -> None:
    token, secret = await tokens_of(place)
    del token
    for who in (Role.ADMIN, NOBODY):
        own = await headers_of(place.running.store, who)
        for call in place.calls:
            if call.path.startswith((*STREAMS, "/v1/")):
                continue
            fields = dict.fromkeys(("next", "back", "to", "url", "return", "redirect", "language"), target)
            headers = own | {"Referer": target}
            if call.method == "GET":
                response, _ = await place.ask(call, headers, params=fields)
            else:
                fields |= {"password": secret, "form_token": form_token_of(place.running, own)}
                response, _ = await place.ask(call, headers, data=fields)
            location = response.headers.get("Location", "/")
            assert location.startswith("/"), (who, call, location)
            assert not re.match(r"/[\s\\/]", location), (who, call, location)


async def tokens_of(place: Place) -> tuple[Any, str]:
    own = await headers_of(place.running.store, Role.WRITE)
    return own, own["Authorization"].removeprefix("Bearer ")


def fields_of_forms() -> set[str]:
    """Every name of a field in any template."""
    text = "".join(file.read_text() for file in TEMPLATES.rglob("*.html"))
    return {name for name in re.findall(r'\bname="([\w-]+)"', text) if name != "form_token"}


def fields_of_calls() -> set[str]:
    """Every query parameter of the API."""
    calls = (call for of_path in schema("openapi.json")["paths"].values() for call in of_path.values())
    return {one["name"] for call in calls for one in call.get("parameters", ()) if one.get("in") == "query"}


FIELDS: Final = sorted({*fields_of_forms(), *fields_of_calls(), *page_request.FIELDS})


TOGETHER: Final = (" ".join(HOSTILE),)


@pytest.mark.parametrize("texts", [TOGETHER, pytest.param(HOSTILE, marks=pytest.mark.soak)], ids=["together", "each"])
@pytest.mark.parametrize("who", EVERYBODY)
async def test_hostile_text_in_every_field_of_every_route_stays_text(
    place: Place, who: str, texts: tuple[str, ...]
) -> None:
    """It makes nothing fail, is evaluated nowhere, reaches no header, and is escaped wherever it is shown."""
    if who == NOBODY:  # who may do all from this machine until somebody was given access
        await new_token(place.running.store, Role.READ)
    before = await standing(place)
    own = await headers_of(place.running.store, who)
    async with listening(Called()) as called:
        for text in (*texts, f"{called.url}/called"):
            for call in place.calls:
                if call.path.startswith(STREAMS):
                    continue
                if is_signed_out(place, own):
                    own = await headers_of(place.running.store, who)
                if call.method in {"GET", "OPTIONS"}:
                    await check_text(place, call, own, text, params=dict.fromkeys(FIELDS, text))
                else:
                    everything = dict.fromkeys(FIELDS, text)
                    token = {"form_token": form_token_of(place.running, own)}
                    await check_text(place, call, own, text, data=everything | token)
                    await check_text(place, call, own, text, data=json.dumps(everything), as_json=True)
        assert called.taken == []
        assert called.wrong == []
    if who != Role.ADMIN:
        after = await standing(place)
        assert before.items() <= after.items(), "an account or token changed"
        new = [one for key, one in after.items() if key not in before and key[0] == "token"]
        own_actions = POLICY[Role(who)] if who != NOBODY else frozenset()
        assert all(POLICY[Role(scope)] <= own_actions or scope == Role.INGEST for scope, *_ in new)
    _, users = await place.running.get("/v1/users", **await headers_of(place.running.store, Role.READ))
    assert {(one["app_id"], one["user_id"]) for one in users["users"]} == {
        (app_id, name) for app_id in (APP, OTHER_APP) for name in USERS
    }


def is_signed_out(place: Place, own: dict[str, str]) -> bool:
    """Whether one of the calls has ended the session, as it should."""
    secret = own.get("Cookie", "").partition("=")[2]
    return bool(secret) and place.running.store.credentials.session(secret) is None


async def check_text(
    place: Place, call: Call, own: dict[str, str], text: str, *, as_json: bool = False, **sent: Any
) -> None:
    headers = own | BROWSER | ({"Content-Type": "application/json"} if as_json else {})
    response, body = await place.ask(call, headers, **sent)
    assert response.status < 500, (call, text, body[:500])
    assert "X-Injected" not in response.headers, (call, text)
    assert PRODUCT not in body, (call, text)
    assert "root:x:0" not in body, (call, text)
    if response.content_type == "text/html":
        assert "<script>injected" not in body, (call, text)
        assert "<img src=x" not in body, (call, text)
        assert not re.search(r'(?:href|src|action)="\s*javascript:', body), (call, text)


async def standing(place: Place) -> dict[tuple[str, int], tuple[Any, ...]]:
    """What every account and token may do now."""
    store = place.running.store
    people = await store.read(accounts.list_all)
    keys = await store.read(tokens.listed, 1)
    return {("account", one.id): (one.role, one.apps, one.disabled_at_us) for one in people} | {
        ("token", one.id): (one.scope, one.apps, one.revoked_at_us) for one in keys
    }


@pytest.mark.parametrize(
    "text", ["..", "%2e%2e", "..%2f..%2f", "%2e%2e%2f", "..\\..\\", "....//", "%252e%252e%252f", "%00"]
)
async def test_no_path_leads_out_of_its_folder(place: Place, text: str) -> None:
    own = await headers_of(place.running.store, Role.ADMIN)
    for prefix in (
        "/static/",
        "/static/0123456789abcdef/",
        "/tap/",
        "/users/7/",
        "/hand-off/",
        "/live/",
        "/v1/users/7/",
    ):
        for target in ("pyproject.toml", "etc/passwd", "zimwatch.db"):
            url = f"{place.running.url}{prefix}{text}/{text}/{target}"
            async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True), headers=own) as response:
                body = await response.read()
                assert response.status < 500, url
                assert not any(found in body for found in (b"[project]", b"root:x:0", b"SQLite format 3")), url


async def test_no_field_that_a_caller_adds_is_taken_for_its_own(place: Place) -> None:
    """Mass assignment: a person limited to one app adds the names of privileges to every body."""
    granted = {"role": "admin", "apps": [OTHER_APP], "app_id": OTHER_APP, "scope": "write", "id": 1, "disabled": False}
    # The first token is that of the routes with an id, and of every app: nobody below may touch it.
    await new_token(place.running.store, Role.READ)
    before = await standing(place)
    for who in (Role.SUPPORT, Role.OPERATOR, Role.WRITE):
        own = await headers_of(place.running.store, who, frozenset({APP}))
        token = {"form_token": form_token_of(place.running, own)}
        known = await standing(place)
        for call in changing(place):
            flat = {name: str(value) for name, value in granted.items()} | {"apps": str(OTHER_APP)}
            await place.ask(call, own, data=flat | token)
            await place.ask(call, own, json=granted)
        after = await standing(place)
        assert known.items() <= after.items(), who
        added = [one for key, one in after.items() if key not in known]
        assert all(apps is not None and apps <= {APP} for _, apps, _ in added), (who, added)
    assert before.items() <= (await standing(place)).items()
    assert SCOPES
