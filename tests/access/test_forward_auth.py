"""People whom a proxy has signed in, by headers that only a trusted one is believed (forward-auth)."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from sidecar.settings import ForwardAuthSettings, GroupSettings, ServerSettings
from sidecar.store.access import tokens
from tests.support.audited import looks
from tests.support.process import free_port
from tests.support.proxies import proxy
from tests.support.running import Zimwatch, zimwatch
from tests.support.small_server import served
from tests.support.tokens import new_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
DANA = {"Remote-User": "dana", "Remote-Groups": "all, sre", "Remote-Name": "Dana", "Accept": "text/html"}
GROUPS = GroupSettings(roles={"sre": "operator", "wall": "viewer", "eu": "support"}, apps={"eu": (7,)})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zimwatch]:
    """It trusts the test's own address, as that of a proxy."""
    server = ServerSettings(trusted_proxies=("127.0.0.1",))
    folder: Path = tmp_path_factory.mktemp("trusting")
    async with zimwatch(folder, server=server, forward_auth=ForwardAuthSettings(enabled=True), groups=GROUPS) as one:
        yield one


async def opens(running: Zimwatch, path: str, headers: Any) -> int:
    async with running.http.get(path, headers=headers, allow_redirects=False) as response:
        return response.status


async def form_of(running: Zimwatch, headers: dict[str, str]) -> dict[str, str]:
    async with running.http.get("/silences", headers=headers) as response:
        token = re.search(r'name="form_token" value="([^"]+)"', await response.text())
    assert token is not None
    return {"form_token": token[1], "user_id": "dave", "duration": "1h", "reason": "rehearsal"}


async def posts(running: Zimwatch, fields: dict[str, str], headers: dict[str, str]) -> int:
    own = headers | {"Origin": running.url} if "Sec-Fetch-Site" not in headers else headers
    async with running.http.post("/silences", data=fields, headers=own, allow_redirects=False) as response:
        return response.status


@pytest.mark.parametrize(
    ("headers", "opened"),
    [
        ({"Remote-Groups": "sre"}, {"/users": 200, "/settings": 200}),
        ({"Remote-Groups": "wall"}, {"/wall": 200, "/users": 403}),
        ({"Remote-Groups": "wall , eu"}, {"/users": 200, "/settings": 403, "/v1/users": 200}),
        ({"Remote-Groups": "cleaners"}, {"/wall": 403, "/v1/users": 403}),
        ({"Remote-Groups": ""}, {"/wall": 403}),
        ({"Remote-Groups": "SRE|sre"}, {"/wall": 403}),
        ({"Remote-User": ""}, {"/wall": 303}),
    ],
)
async def test_groups_of_each_request_give_a_role(
    running: Zimwatch, headers: dict[str, str], opened: dict[str, int]
) -> None:
    found = {path: await opens(running, path, DANA | headers) for path in opened}
    assert found == opened


async def test_tokens_end_with_the_first_request_whose_groups_do_not_allow_them(running: Zimwatch) -> None:
    erin = DANA | {"Remote-User": "erin", "Accept": "*/*"}

    async def makes() -> int:
        async with running.http.post("/v1/tokens", json={"scope": "read", "apps": [7]}, headers=erin) as response:
            made = await response.json()
        assert (response.status, made["made_by"]) == (201, "Dana, by forward-auth erin")
        assert made["expires_at"] is not None
        return int(made["id"])

    async def is_valid(token_id: int) -> bool:
        found = await running.store.read(tokens.one, token_id)
        return found is not None and found.revoked_at_us is None

    first = await makes()
    for groups, lasts in (("sre", True), ("eu", False), ("sre", False)):
        await opens(running, "/wall", erin | {"Remote-Groups": groups})
        assert await is_valid(first) is lasts
    second = await makes()
    assert await opens(running, "/wall", erin | {"Remote-User": "dave", "Remote-Groups": "cleaners"}) == 403
    assert await is_valid(second), "another one made it"
    assert await opens(running, "/wall", erin | {"Remote-Groups": "cleaners"}) == 403
    assert not await is_valid(second)
    rows = [(one.action, one.about) for one in await looks(running) if one.actor == "forward-auth"]
    assert rows == [("token.revoked", f"token {token_id}") for token_id in (first, second)]


async def test_without_the_header_other_ways_of_signing_in_remain(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    assert await opens(running, "/users", {"Authorization": f"Bearer {secret}"}) == 200
    assert await opens(running, "/users", {"Authorization": "Bearer zw_guess"}) == 401
    async with aiohttp.ClientSession(running.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.post("/sign-in", data={"password": secret}, headers={"Accept": "text/html"}) as response:
            assert response.status == 200
        async with browser.get("/settings", headers={"Accept": "text/html"}) as response:
            assert response.status == 403
        async with browser.get("/settings", headers=DANA) as response:  # the proxy goes before a session
            assert response.status == 200


async def test_a_token_goes_before_the_header_and_what_is_not_known_here_is_the_proxys(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    assert await opens(running, "/settings", DANA | {"Authorization": f"Bearer {secret}"}) == 403
    for unknown in ("Bearer eyJhbGciOiJSUzI1NiJ9.e30.x", f"Basic {base64.b64encode(b'dana:of the proxy').decode()}"):
        assert await opens(running, "/settings", DANA | {"Authorization": unknown}) == 200


@pytest.mark.parametrize("name", ["Remote-User", "Remote-Groups", "Remote-Name"])
async def test_a_header_that_comes_twice_is_refused(running: Zimwatch, name: str) -> None:
    headers = [*DANA.items(), (name, "sre")]
    async with running.http.get("/v1/users", headers=headers) as response:
        assert response.status == 401
        assert f"the header {name} came twice" in await response.text()


async def test_forms_are_bound_to_the_person_and_to_pages_of_zimwatch(running: Zimwatch) -> None:
    fields, erin = await form_of(running, DANA), DANA | {"Remote-User": "erin"}
    assert await posts(running, fields, DANA) == 303
    assert await posts(running, fields, erin) == 403
    assert await posts(running, {**fields, "form_token": ""}, DANA) == 403
    assert await posts(running, fields, DANA | {"Sec-Fetch-Site": "cross-site", "Origin": "https://m.example"}) == 403
    async with running.http.get("/silences", headers=DANA) as response:
        assert "Dana, by forward-auth dana" in await response.text()


async def test_the_proxys_word_alone_changes_nothing_in_the_api_for_a_browser(running: Zimwatch) -> None:
    for headers, status in ((DANA | {"Origin": running.url}, 401), (DANA, 400)):
        async with running.http.post("/v1/silences", json={"not": "a silence"}, headers=headers) as response:
            assert response.status == status, await response.text()


@pytest.mark.parametrize(
    ("trusted", "enabled"), [(("192.0.2.1", "10.0.0.0/8"), True), (("127.0.0.1",), False), ((), True)]
)
async def test_from_any_other_peer_and_where_it_is_off_the_headers_are_ignored(
    tmp_path: Path, trusted: tuple[str, ...], *, enabled: bool
) -> None:
    server, settings = ServerSettings(trusted_proxies=trusted), ForwardAuthSettings(enabled=enabled)
    async with zimwatch(tmp_path, server=server, forward_auth=settings, groups=GROUPS) as running:
        _, secret = await new_token(running.store, "read")
        assert await opens(running, "/wall", DANA) == 303
        assert await opens(running, "/wall", DANA | {"X-Forwarded-For": "10.0.0.1"}) == 303
        assert await opens(running, "/v1/users", DANA) == 401
        assert await opens(running, "/settings", DANA | {"Authorization": f"Bearer {secret}"}) == 403


@pytest.mark.nginx
async def test_nginx_signs_people_in_by_a_subrequest_and_replaces_what_a_client_claims(tmp_path: Path) -> None:
    groups = {"dana": "sre", "will": "wall"}
    people = {f"sso=of-{name}": {"X-User": name, "X-Groups": group} for name, group in groups.items()}

    async def knows(request: web.Request) -> web.Response:
        known = people.get(request.headers.get("Cookie", ""))
        return web.Response(status=200 if known else 401, headers=known)

    server = ServerSettings(trusted_proxies=("127.0.0.1",))
    settings = ForwardAuthSettings(enabled=True)
    lines = """
      auth_request /sso; auth_request_set $user $upstream_http_x_user; auth_request_set $groups $upstream_http_x_groups;
      proxy_set_header Remote-User $user; proxy_set_header Remote-Groups $groups; proxy_set_header Remote-Name "";
      proxy_set_header Remote-Email ""; proxy_set_header X-Forwarded-For $remote_addr;
    """
    async with (
        served(web.get("/verify", knows)) as verifier,
        zimwatch(tmp_path, server=server, forward_auth=settings, groups=GROUPS) as running,
    ):
        sso = f'location = /sso {{ internal; proxy_pass {verifier}/verify; proxy_set_header Content-Length ""; }}'
        port = int(running.url.rpartition(":")[2])
        async with (
            proxy("nginx", tmp_path, port, free_port(), more=lines, beside=sso) as address,
            aiohttp.ClientSession(address, cookie_jar=aiohttp.DummyCookieJar()) as http,
        ):
            claimed = DANA | {"Remote-Groups": "sre"}
            for cookie, status in (("sso=of-dana", 200), ("sso=of-will", 403), ("sso=made-up", 401)):
                async with http.get("/settings", headers=claimed | {"Cookie": cookie}) as response:
                    assert response.status == status, cookie
