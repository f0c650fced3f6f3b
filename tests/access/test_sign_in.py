"""Signing in by the form, the session that it begins, and how that ends."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from sidecar.access.throttle import ANOTHER_EVERY_US, AT_ONCE
from sidecar.settings import ServerSettings, SignInSettings
from sidecar.store.access.browser_sessions import MOST_OF_AN_OWNER
from tests.support.clocks import Machine
from tests.support.process import DATABASE
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token, revoke
from tests.support.wire import wire_event

PAGE = {"Accept": "text/html,application/xhtml+xml"}
COOKIE = "zimwatch-session"
HOUR_S = 3_600


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"machine": machine}


async def signed_in(
    running: Zimwatch, password: str, *, name: str = "", following: str | None = None, **headers: str
) -> aiohttp.ClientResponse:
    """The answer to the form, whose cookie the test's client keeps where it has a jar that does."""
    given = {"name": name, "password": password} | ({} if following is None else {"next": following})
    return await running.http.post("/sign-in", data=given, headers=PAGE | headers, allow_redirects=False)


@contextlib.asynccontextmanager
async def browser(running: Zimwatch) -> AsyncIterator[Zimwatch]:
    """Another client, that keeps the cookies of a host without a name too."""
    async with aiohttp.ClientSession(running.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Zimwatch(running.url, running.store, http)


async def location(running: Zimwatch, path: str, **headers: str) -> tuple[int, str]:
    async with running.http.get(path, headers=PAGE | headers, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", "")


def basic(secret: str, name: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def cookie_of(response: aiohttp.ClientResponse) -> str:
    return response.headers["Set-Cookie"]


async def test_a_page_leads_to_the_form_and_the_form_back_to_the_page(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    path = "/users/1234567890/a%2Fb?raw=1&before=7"
    assert await location(running, "/") == (303, "/sign-in?next=%2F")
    status, form = await location(running, path)
    assert status == 303
    assert form.startswith("/sign-in?next=%2Fusers%2F1234567890%2Fa%252Fb")
    async with browser(running) as person:
        async with person.http.get(URL(running.url + form, encoded=True), headers=PAGE) as response:
            assert response.status == 200
            assert path.replace("&", "&amp;") in await response.text()
        response = await signed_in(person, secret, following=path)
        assert (response.status, response.headers["Location"]) == (303, path)
        assert (await location(person, "/"))[0] == 200
    assert (await location(running, "/"))[0] == 303


async def test_a_page_whose_address_is_long_is_not_returned_to(running: Zimwatch) -> None:
    await new_token(running.store, "read")
    assert await location(running, f"/users?q={'x' * 3_000}") == (303, "/sign-in")


async def test_a_request_that_is_no_navigation_gets_each_challenge_in_a_line(
    running: Zimwatch,
) -> None:
    _, secret = await new_token(running.store, "read")
    refused = [
        ("GET", "/v1/users", PAGE),
        ("GET", "/metrics", {}),
        ("GET", "/", {"Accept": "*/*"}),
        ("POST", "/silences", {}),
        ("GET", "/live/users", {"Accept": "text/event-stream"}),
        ("GET", "/", PAGE | basic("zw_guess")),
        ("GET", "/", PAGE | {"Authorization": "Bearer zw_guess"}),
    ]
    for method, path, headers in refused:
        async with running.http.request(method, path, headers=headers, allow_redirects=False) as response:
            assert response.status == 401, (method, path)
            challenges = [one.split()[0] for one in response.headers.getall("WWW-Authenticate")]
            assert challenges == ["Basic", "Bearer"], (method, path)
    for headers in (basic(secret), basic(secret, "dana"), {"Authorization": f"Bearer {secret}"}):
        for path in ("/", "/v1/users", "/metrics"):
            async with running.http.get(path, headers=PAGE | headers, allow_redirects=False) as response:
                assert response.status == 200, path


async def test_a_refused_script_opens_no_dialog_of_the_browser(running: Zimwatch) -> None:
    await new_token(running.store, "read")
    for path, mode in (("/live/users", "cors"), ("/", "cors"), ("/v1/users", "same-origin")):
        async with running.http.get(path, headers=PAGE | {"Sec-Fetch-Mode": mode}, allow_redirects=False) as response:
            assert response.status == 401
            assert [one.split()[0] for one in response.headers.getall("WWW-Authenticate")] == ["Bearer"]


async def test_the_cookie_is_only_for_pages_and_its_value_is_not_in_the_database(
    running: Zimwatch, tmp_path: Path
) -> None:
    _, secret = await new_token(running.store, "write")
    response = await signed_in(running, secret)
    name, _, rest = cookie_of(response).partition("=")
    value, *attributes = rest.split("; ")
    assert name == COOKIE
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes
    headers = {"Cookie": f"{COOKIE}={value}"}
    assert (await running.get("/v1/users", **headers))[0] == 200
    # Nothing changes by what a browser sends along by itself, and no event comes in.
    for path in ("/v1/silences", "/v1/alerts/1/ack", "/v1/chatops", "/v1/events"):
        async with running.http.post(path, json={}, headers=headers) as answer:
            assert answer.status == 401, path
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        assert connection.execute("SELECT secret_sha256, token_id FROM browser_sessions").fetchall() == [
            (hashlib.sha256(value.encode()).digest(), 1)
        ]
        assert value not in "\n".join(connection.iterdump())


@pytest.mark.parametrize(
    ("server", "headers", "name", "attributes"),
    [
        (ServerSettings(public_url="https://zim.example.com"), {}, f"__Host-{COOKIE}", {"Secure", "Path=/"}),
        (
            ServerSettings(public_url="https://ops.example.com/zimwatch"),
            {},
            f"__Secure-{COOKIE}",
            {"Secure", "Path=/zimwatch"},
        ),
        (ServerSettings(public_url="http://ops.lan/zimwatch"), {}, COOKIE, {"Path=/zimwatch"}),
        (
            ServerSettings(trusted_proxies=("127.0.0.1",)),
            {"X-Forwarded-Proto": "https"},
            f"__Host-{COOKIE}",
            {"Secure", "Path=/"},
        ),
        (ServerSettings(), {"X-Forwarded-Proto": "https"}, COOKIE, {"Path=/"}),
    ],
)
async def test_over_tls_the_cookie_is_only_for_tls(
    tmp_path: Path, server: ServerSettings, headers: dict[str, str], name: str, attributes: set[str]
) -> None:
    async with zimwatch(tmp_path, server=server) as running:
        _, secret = await new_token(running.store, "read")
        cookie = cookie_of(await signed_in(running, secret, **headers))
        value = cookie.split(";")[0].partition("=")[2]
        assert cookie.startswith(f"{name}=")
        given = set(cookie.split("; ")[1:])
        assert attributes <= given
        assert ("Secure" in given) == ("Secure" in attributes)
        assert (await location(running, "/", Cookie=f"{name}={value}", **headers))[0] == 200
        # A name that any page of the host's other ports or paths could set opens nothing here.
        if name != COOKIE:
            assert (await location(running, "/", Cookie=f"{COOKIE}={value}", **headers))[0] == 303


async def test_a_session_ends_with_its_token(running: Zimwatch, machine: Machine) -> None:
    revoked, first = await new_token(running.store, "read")
    _, second = await new_token(running.store, "read", None, machine.now_us + HOUR_S * 1_000_000)
    for secret in (first, second):
        async with browser(running) as person:
            await signed_in(person, secret)
            assert (await location(person, "/users"))[0] == 200
            if secret == first:
                await revoke(running.store, revoked)
                reason = "The token was revoked."
            else:
                machine.passes(HOUR_S)
                reason = "The token has expired."
            assert await location(person, "/users") == (303, "/sign-in?next=%2Fusers")
            async with person.http.get("/sign-in", headers=PAGE) as response:
                assert reason in await response.text()


async def test_a_session_ends_after_inactivity_and_after_its_lifetime(tmp_path: Path, machine: Machine) -> None:
    times = SignInSettings(idle="2h", lifetime="5h")
    async with zimwatch(tmp_path, machine=machine, sign_in=times) as running, browser(running) as person:
        _, secret = await new_token(running.store, "read")
        assert "Max-Age=18000" in cookie_of(await signed_in(person, secret))
        for _ in range(4):
            machine.passes(HOUR_S + 120)
            assert (await location(person, "/"))[0] == 200
        machine.passes(HOUR_S)
        assert (await location(person, "/"))[0] == 303
        await signed_in(person, secret)
        machine.passes(2 * HOUR_S)
        assert (await location(person, "/"))[0] == 303
        # An open page reconnects by itself, which is no sign of activity.
        await signed_in(person, secret)
        for _ in range(2):
            machine.passes(HOUR_S)
            async with person.http.get("/live/users", headers={"Accept": "text/event-stream"}) as response:
                status = response.status
        assert status == 401


async def test_signing_out_ends_the_session_and_not_only_the_cookie(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    value = cookie_of(await signed_in(running, secret)).split(";")[0].partition("=")[2]
    headers = PAGE | {"Cookie": f"{COOKIE}={value}"}
    async with running.http.post("/sign-out", headers=headers, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/sign-in")
        assert f"{COOKIE}=" in cookie_of(response)
        assert "Max-Age=0" in cookie_of(response)
    assert (await location(running, "/", **headers))[0] == 303
    async with running.http.post("/sign-out", headers=PAGE, allow_redirects=False) as response:
        assert response.status == 303


async def test_signing_in_ends_the_former_session_of_the_browser(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    given = {"Cookie": f"{COOKIE}=chosen-by-somebody-else"}
    value = cookie_of(await signed_in(running, secret, **given)).split(";")[0].partition("=")[2]
    assert value != "chosen-by-somebody-else"
    assert (await location(running, "/", **given))[0] == 303
    again = cookie_of(await signed_in(running, secret, Cookie=f"{COOKIE}={value}")).split(";")[0].partition("=")[2]
    assert again != value
    assert (await location(running, "/", Cookie=f"{COOKIE}={value}"))[0] == 303


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
@pytest.mark.parametrize("origin", ["https://attacker.example", "null"])
async def test_no_other_site_signs_a_browser_in_or_out(running: Zimwatch, path: str, origin: str) -> None:
    _, secret = await new_token(running.store, "read")
    given = {"name": "mallory", "password": secret}
    async with running.http.post(
        path, data=given, headers=PAGE | {"Origin": origin}, allow_redirects=False
    ) as response:
        assert response.status == 403
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    "following",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example/",
        "http:evil.example",
        "\\\\evil.example",
        "/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        " //evil.example",
        "evil.example",
        "/é",
        "",
    ],
)
async def test_signing_in_redirects_to_no_other_site(running: Zimwatch, following: str) -> None:
    _, secret = await new_token(running.store, "read")
    response = await signed_in(running, secret, following=following)
    assert (response.status, response.headers["Location"]) == (303, "/")


async def test_an_ingest_token_a_wrong_one_and_an_expired_one_do_not_sign_in(
    running: Zimwatch, machine: Machine
) -> None:
    _, ingest = await new_token(running.store, "ingest")
    _, ended = await new_token(running.store, "read", None, machine.now_us)
    for password, status in ((ingest, 403), (ended, 401), ("zw_guess", 401), ("", 401), ("é\U0001f511", 401)):
        response = await signed_in(running, password, name="<b>dana")
        assert response.status == status
        assert "Set-Cookie" not in response.headers
        text = await response.text()
        assert 'role="alert"' in text
        assert "&lt;b&gt;dana" in text
        # A browser would open a box of its own over the form.
        assert not any("Basic" in one for one in response.headers.getall("WWW-Authenticate", ()))


async def test_attempts_are_throttled_by_client(tmp_path: Path, machine: Machine) -> None:
    server = ServerSettings(trusted_proxies=("127.0.0.1",))
    async with zimwatch(tmp_path, machine=machine, server=server) as running:
        _, secret = await new_token(running.store, "read")
        here, there = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}
        for _ in range(AT_ONCE):
            assert (await signed_in(running, "zw_guess", **here)).status == 401
        response = await signed_in(running, secret, **here)
        assert (response.status, response.headers["Retry-After"]) == (429, "6")
        assert "Set-Cookie" not in response.headers
        assert (await signed_in(running, secret, **there)).status == 303
        machine.passes(ANOTHER_EVERY_US / 1_000_000)
        assert (await signed_in(running, "zw_guess", **here)).status == 401
        assert (await signed_in(running, secret, **here)).status == 429


async def test_the_form_is_small_and_plain(running: Zimwatch) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for data, headers, status in (
        (b"password=" + b"x" * 10_000, kind, 413),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        (b"password=%FF", kind, 400),
        (b"&".join([b"a=1"] * 30), kind, 400),
        (b"password=x", kind | {"Content-Type": kind["Content-Type"] + "; charset=bogus"}, 401),
    ):
        async with running.http.post("/sign-in", data=data, headers=headers, allow_redirects=False) as response:
            assert response.status == status, data[:20]


async def test_a_token_has_a_bounded_number_of_sessions_and_the_newest_stay(running: Zimwatch, tmp_path: Path) -> None:
    _, secret = await new_token(running.store, "read")
    first = cookie_of(await signed_in(running, secret)).split(";")[0]
    for _ in range(MOST_OF_AN_OWNER):
        newest = cookie_of(await signed_in(running, secret)).split(";")[0]
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM browser_sessions").fetchone() == (MOST_OF_AN_OWNER,)
    assert (await location(running, "/", Cookie=first))[0] == 303
    assert (await location(running, "/", Cookie=newest))[0] == 200


async def test_actions_are_recorded_under_the_name_and_the_token(running: Zimwatch) -> None:
    await running.send([wire_event(), wire_event(seq=2, state=0, event=4)])
    _, secret = await new_token(running.store, "write")
    long = "dana" * 100
    silence: dict[str, Any] = {"matchers": {"user_id": "alice"}, "duration": "1h", "reason": "a test"}
    bearer = {"Authorization": f"Bearer {secret}"}
    for author, headers, recorded in (
        (None, bearer, "token 1"),
        ("erin", bearer, "erin, by token 1"),
        ("token 7", bearer, "token 7, by token 1"),
        ("erin\n  Acknowledge:\u202e", bearer, "erin Acknowledge:\ufffd, by token 1"),
        (None, basic(secret, "dana"), "dana, by token 1"),
        (None, basic(secret, long), f"{long[:100]}, by token 1"),
    ):
        given = silence if author is None else silence | {"author": author}
        async with running.http.post("/v1/silences", json=given, headers=headers) as response:
            assert (response.status, (await response.json())["author"]) == (201, recorded)
    for path, given in (
        ("/v1/silences", silence | {"author": long}),
        ("/v1/alerts/1/ack", {"author": long}),
        ("/v1/chatops", {"text": "ack 1", "user": long}),
    ):
        async with running.http.post(path, json=given, headers=bearer) as response:
            assert response.status == 400, path
            assert "100" in (await response.json())["detail"]
    async with running.http.post("/v1/chatops", json={"text": "ack 1", "user": "dana"}, headers=bearer) as response:
        assert "acknowledged by dana, by token 1" in (await response.json())["text"]
