"""Every route of a running server as every role, limited to its app, to another one, and to none."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sidecar import web_application
from sidecar.access import routing
from sidecar.access.policy import PEOPLE, POLICY, SCOPES, Action, Role
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.alerting.tables import alert_log, silence_rows, user_watch_rows
from sidecar.clock import now_us
from sidecar.settings import AlertSettings
from sidecar.store.access import tokens
from tests.support.process import free_port
from tests.support.routes_walked import (
    ANSWERED,
    EXAMPLES,
    OTHER,
    OWN,
    OWN_ACCOUNT,
    WHOSE,
    Example,
    Reader,
    World,
    filled,
    reader,
)
from tests.support.running import Zimwatch, zimwatch
from tests.support.vectors import SCHEMAS

# What anyone may request, as it shows nothing, or checks a signature itself.
OPEN = {
    "GET /hand-off/{link}",
    "GET /language",
    "GET /livez",
    "GET /readyz",
    "GET /sign-in",
    "GET /static/{digest}/{name}",
    "GET /static/{name}",
    "OPTIONS /v1/events",
    "POST /sign-in",
    "POST /sign-out",
    "POST /v1/callbacks/zego",
    "POST /sign-in/code",
    *(f"{method} /{path}/{{secret}}" for method in ("GET", "POST") for path in ("first-account", "set-password")),
    *(f"GET /tap/zim-tap{ending}" for ending in (".js", ".mjs", ".d.ts", ".d.mts", "-file.cjs")),
}
REFUSED = {401, 403}
STREAM = "GET /v1/stream"


class Served(msgspec.Struct, frozen=True):
    """A running server, its routes with what each needs, and what there is."""

    running: Zimwatch
    router: web.UrlDispatcher
    routes: dict[str, Action]
    open_routes: set[str]
    world: World


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    built: list[web.Application] = []
    build = web_application.build

    def kept(*args: Any, **options: Any) -> web.Application:
        built.append(build(*args, **options))
        return built[-1]

    monkeypatch.setattr(web_application, "build", kept)
    hook = WebhookSettings(name="ops", url=f"http://127.0.0.1:{free_port()}/hook")
    async with zimwatch(tmp_path, alerts=AlertSettings(offline_too_long="0s", receivers=(hook,))) as running:
        needed: dict[str, routing.Needed] = {}
        for route in built[0].router.routes():
            declared = routing.declared_by(route)
            if route.method != "HEAD" and route.resource is not None and declared is not None:
                needed[f"{route.method} {route.resource.canonical}"] = declared.needed
        yield Served(
            running,
            built[0].router,
            {name: Action(action) for name, action in needed.items() if action != routing.OPEN},
            {name for name, action in needed.items() if action == routing.OPEN},
            await filled(running),
        )


def example_of(name: str) -> Example:
    """That of the table; else a request of the path."""
    path = name.partition(" ")[2]
    return EXAMPLES[name] if name in EXAMPLES else Example(lambda _: path)


async def answer(served: Served, name: str, who: Reader | None) -> tuple[int, str]:
    """The status and the body; of a stream its first message."""
    method, example = name.partition(" ")[0], example_of(name)
    headers = {"Accept": "text/html" if "/live" in name else "*/*"} | (who.headers if who else {})
    given: dict[str, Any] = {}
    if example.json is not None:
        given["json"] = example.json(served.world)
    elif method == "POST" and "/v1/" not in name:
        given["data"] = dict(example.form(served.world)) | {"form_token": who.form_token() if who else ""}
    url = example.path(served.world)
    async with served.running.http.request(method, url, headers=headers, allow_redirects=False, **given) as response:
        if name == STREAM and response.status == 200:
            return response.status, (await response.content.readuntil(b"\n\n")).decode()
        return response.status, (await response.read()).decode(errors="replace")


def expected(name: str, needed: Action, who: Reader | None) -> set[int]:
    """The statuses of a refusal; none where it is not to be refused."""
    example = example_of(name)
    # A cookie, which a browser adds by itself, changes nothing through the API.
    if who is None or (who.is_person and "/v1/" in name and not name.startswith("GET ")):
        return {401}
    if needed not in POLICY[who.role] or (example.of_every_app and who.apps is not None):
        return {403}
    if example.needs_signature:
        return REFUSED
    # Of an edge's request only the events of other apps are rejected, by name.
    is_answered = name in ANSWERED or (needed == Action.INGEST and who.role == Role.FORWARD)
    is_hidden = example.is_of_other and not is_answered and is_limited_to_own(who)
    return {400, 403, 404} if is_hidden else set()


def is_limited_to_own(who: Reader | None) -> bool:
    """Whether it may see nothing of the other app."""
    return who is not None and who.apps == frozenset({OWN})


def test_every_route_with_an_id_has_an_example(served: Served) -> None:
    named = {name for name in served.routes if "{" in name}
    assert named - set(EXAMPLES) == set()
    assert set(EXAMPLES) - set(served.routes) == set()


def test_what_is_open_is_listed(served: Served) -> None:
    assert served.open_routes == OPEN


def test_the_description_names_the_action_that_each_call_needs(served: Served) -> None:
    for path, calls in json.loads((SCHEMAS / "openapi.json").read_text())["paths"].items():
        for method, call in calls.items():
            name = f"{method.upper()} {path}"
            if name in served.open_routes or example_of(name).needs_signature:
                assert call["security"] == [], name
            elif name in served.routes:
                assert {action for one in call["security"] for named in one.values() for action in named} == {
                    served.routes[name]
                }, name
                assert {"401", "403"} <= set(call["responses"]), name


@pytest.mark.parametrize("role", [None, *PEOPLE, *SCOPES])
async def test_a_route_is_refused_where_the_table_says_so_and_shows_nothing_of_another_app(
    served: Served, role: Role | None
) -> None:
    readers: list[Reader | None] = [None]
    if role is None:
        await reader(served.running.store, Role.READ, None)  # from now on nobody has access without credentials
    else:
        # The one who may see nothing of what the examples name comes first: those after it may change that.
        limits = (frozenset({OWN}), frozenset({OTHER}), None)
        readers = [await reader(served.running.store, role, apps) for apps in limits]
    for who in readers:
        for name, needed in served.routes.items():
            if name.startswith(OWN_ACCOUNT) and who is not None and needed in POLICY[who.role]:
                continue
            case = f"{name} as {role} of {who.apps if who else None}"
            status, body = await answer(served, name, who)
            refusal = expected(name, needed, who)
            assert status in refusal if refusal else status not in REFUSED, (case, status, body[:300])
            assert status < 500, (case, body[:300])
            hidden = WHOSE.values() if role == Role.VIEWER else [WHOSE[OTHER]] if is_limited_to_own(who) else []
            assert [word for word in hidden if word in body] == [], (case, body)
            if who is not None and body.lstrip().startswith("<"):
                assert await leading_to_refusals(served, who, body) == [], case
        if is_limited_to_own(who):
            await unchanged(served)


async def leading_to_refusals(served: Served, who: Reader, page: str) -> list[str]:
    """The links, forms and keys of a page that lead where its reader may not go."""
    found = {("GET", path) for path in re.findall(r'(?:href|data-go-\w|data-root)="(/[^"]*)"', page)}
    for form in re.findall(r"<form[^>]*>", page):
        if (action := re.search(r'action="(/[^"]*)"', form)) is not None:
            found.add(("POST" if 'method="post"' in form else "GET", action[1]))
    refused = []
    for method, path in sorted(found):
        route = await served.router.resolve(make_mocked_request(method, unescape(path)))
        declared = routing.declared_by(route.route)
        assert declared is not None, path
        if declared.needed != routing.OPEN and declared.needed not in POLICY[who.role]:
            refused.append(f"{method} {path}")
    return refused


async def unchanged(served: Served) -> None:
    """Nothing of the other app was changed."""
    store, world = served.running.store, served.world
    alert = await store.read(alert_log.one, world.alert)
    assert alert is not None
    assert alert.acknowledged_by is None
    silence = await store.read(silence_rows.one, world.silence)
    assert silence is not None
    assert silence.ends_at_us > now_us()
    watches = await store.read(user_watch_rows.lasting, now_us())
    assert {OWN, OTHER} <= {one.app_id for one in watches}
    token = await store.read(tokens.one, world.token)
    assert token is not None
    assert (token.state(now_us()), token.replaced_by) == ("good", None)
    others = [one for one in await store.read(silence_rows.listed) if one.is_within(frozenset({OTHER}))]
    assert [one.id for one in others] == [world.silence]
