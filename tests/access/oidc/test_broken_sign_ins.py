"""Each kind of broken response, token and provider is turned away, with a sentence of its own and without a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from sidecar.settings import ServerSettings
from tests.access.oidc.conftest import GROUPS, World, settings_for
from tests.support.clocks import Machine
from tests.support.oidc.hostile import HostileProvider, new_key, signed_with, signed_with_secret, unsigned
from tests.support.process import free_port
from tests.support.running import Zimwatch, zimwatch

pytestmark = pytest.mark.asyncio(loop_scope="module")
BEGIN = "/sign-in/oidc?next=%2Fwall"
BeginsToLie = Callable[[HostileProvider], None]
OTHER = "https://mallory.example"


async def arrives(running: Zimwatch, path: str | URL = BEGIN) -> tuple[int, str, str]:
    """Follows every redirect: the last status, path and page."""
    async with running.http.get(path) as response:
        return response.status, response.url.path, await response.text()


async def is_signed_in(running: Zimwatch) -> bool:
    async with running.http.get("/wall", allow_redirects=False) as response:
        return response.status == 200


async def callback_of(running: Zimwatch, base: str = "") -> URL:
    """The address of a good response, not opened yet."""
    async with running.http.get(base + BEGIN, allow_redirects=False) as begun:
        address = URL(begun.headers["Location"], encoded=True)
    async with running.http.get(address, allow_redirects=False) as response:
        return URL(response.headers["Location"], encoded=True)


def responds(**query: str | None) -> BeginsToLie:
    return lambda provider: provider.response.update(query)


def claims(**claims: Any) -> BeginsToLie:
    def lie(provider: HostileProvider) -> None:
        now_s = provider.now_s()
        provider.claims = {
            name: now_s + value if name in {"exp", "iat", "nbf"} and value is not None else value
            for name, value in claims.items()
        }

    return lie


def signs(sign: Callable[[HostileProvider], Any]) -> BeginsToLie:
    def lie(provider: HostileProvider) -> None:
        provider.sign = sign(provider)

    return lie


def changes(**fields: Any) -> BeginsToLie:
    def lie(provider: HostileProvider) -> None:
        for name, value in fields.items():
            setattr(provider, name, value)

    return lie


def shared_secret(provider: HostileProvider) -> Any:
    """The public key, taken for a shared secret: what an algorithm of the token's own choice would accept."""
    return signed_with_secret(provider.key.as_pem(private=False), provider.key.kid)


def damaged(provider: HostileProvider) -> Any:
    good = signed_with(provider.key)
    return lambda claims: f"{good(claims)[:-8]}AAAAAAAA"


BROKEN: dict[str, tuple[BeginsToLie, int, str]] = {
    "state of another sign-in": (responds(state="other"), 400, "belongs to another sign-in"),
    "no state": (responds(state=None), 400, "belongs to another sign-in"),
    "response of another issuer": (responds(iss=OTHER), 400, "of another provider"),
    "response without the promised issuer": (responds(iss=None), 400, "of another provider"),
    "no code": (responds(code=None), 400, "has no code"),
    "made-up code": (responds(code="made-up"), 403, "refused its own code: invalid_grant"),
    "the person declined": (responds(code=None, error="access_denied"), 403, "did not sign you in: access_denied"),
    "nonce of another sign-in": (claims(nonce="other"), 403, "the ID token belongs to another sign-in"),
    "no nonce": (claims(nonce=None), 403, "the ID token belongs to another sign-in"),
    "token of another issuer": (claims(iss=OTHER), 403, "the ID token is of another issuer"),
    "token for another client": (claims(aud="other"), 403, "the ID token is for another client"),
    "token for two clients, for neither": (claims(aud=["zimwatch", "other"]), 403, "is for another client"),
    "token that another client asked for": (claims(aud=["zimwatch", "other"], azp="other"), 403, "another client"),
    "expired token": (claims(exp=-61, iat=-400), 403, "the ID token has expired"),
    "token without end": (claims(exp=None), 403, "exp is missing or wrong"),
    "token that never expires": (changes(claims={"exp": "never"}), 403, "exp is missing or wrong"),
    "token of tomorrow": (claims(iat=86_400, exp=90_000), 403, "the ID token is not valid yet"),
    "token that begins later": (claims(nbf=120), 403, "the ID token is not valid yet"),
    "token about nobody": (claims(sub=None), 403, "sub is missing or wrong"),
    "no token": (changes(tokens={"id_token": None}), 403, "the ID token cannot be read"),
    "unreadable token": (changes(tokens={"id_token": "a.b.c"}), 403, "the ID token cannot be read"),
    "tokens without measure": (changes(tokens={"refresh_token": "x" * 49_152}), 502, "more than 49152 bytes"),
    "no algorithm": (signs(lambda _provider: unsigned), 403, "by an accepted algorithm"),
    "public key as a shared secret": (signs(shared_secret), 403, "by an accepted algorithm"),
    "damaged signature": (signs(damaged), 403, "the signature of the ID token is wrong"),
    "unknown key": (signs(lambda _provider: signed_with(new_key())), 403, "a key that the provider does not have"),
    "unknown key under a known id": (
        signs(lambda provider: signed_with(new_key(), kid=provider.key.kid)),
        403,
        "the signature of the ID token is wrong",
    ),
    "userinfo about somebody else": (changes(person_in_userinfo={"sub": "mallory", "groups": ["sre"]}), 502, "else"),
    "nobody's group": (changes(person={"sub": "dana", "groups": ["cleaners"]}), 403, "none of your groups has a role"),
    "no groups": (changes(person={"sub": "dana"}), 403, "none of your groups has a role"),
}


@pytest.mark.parametrize(("lie", "status", "sentence"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_sign_in_is_turned_away(
    running: Zimwatch, provider: HostileProvider, lie: BeginsToLie, status: int, sentence: str
) -> None:
    lie(provider)
    found, path, page = await arrives(running)
    assert (found, path.startswith("/sign-in")) == (status, True)
    assert sentence.lower() in page.lower()
    assert not await is_signed_in(running)


async def test_a_sign_in_without_a_lie_works(running: Zimwatch, provider: HostileProvider) -> None:
    assert (await arrives(running))[:2] == (200, "/wall")
    assert await is_signed_in(running)
    assert provider.asked["/token"] == 1


async def test_a_rotated_key_is_accepted_once_and_its_former_one_no_more(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    assert (await arrives(running))[:2] == (200, "/wall")
    running.http.cookie_jar.clear()
    former, provider.key = provider.key, new_key()
    machine.passes(61)
    assert (await arrives(running))[:2] == (200, "/wall")
    running.http.cookie_jar.clear()
    provider.sign = signed_with(former)
    assert "a key that the provider does not have" in (await arrives(running))[2]
    assert not await is_signed_in(running)


async def test_unknown_keys_are_looked_for_once_a_minute(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    await arrives(running)
    provider.sign = signed_with(new_key())
    machine.passes(59)
    for _ in range(3):
        await arrives(running)
    assert provider.asked["/keys"] == 1
    machine.passes(2)
    for _ in range(3):
        await arrives(running)
    assert provider.asked["/keys"] == 2


@pytest.mark.parametrize("codes_last", [False, True])
async def test_a_response_is_used_once(running: Zimwatch, provider: HostileProvider, *, codes_last: bool) -> None:
    provider.codes_last = codes_last
    callback = await callback_of(running)
    path = URL(running.url).join(URL("/sign-in/oidc", encoded=True))
    kept = {name: cookie.value for name, cookie in running.http.cookie_jar.filter_cookies(path).items()}
    assert (await arrives(running, callback))[:2] == (200, "/wall")
    status, _, page = await arrives(running, callback)  # its cookie is gone
    assert (status, "was not begun in this browser" in page) == (400, True)
    running.http.cookie_jar.clear()
    async with running.http.get(callback, cookies=kept) as response:  # the cookie was copied as well
        assert response.status == (400 if codes_last else 403)
        assert ("was finished before" if codes_last else "refused its own code") in await response.text()
    assert not await is_signed_in(running)


async def test_another_browser_cannot_finish_a_sign_in(running: Zimwatch) -> None:
    callback = await callback_of(running)
    async with aiohttp.ClientSession(running.url) as other, other.get(callback) as response:
        assert response.status == 400
        assert "was not begun in this browser" in await response.text()


async def test_a_sign_in_is_finished_within_ten_minutes(running: Zimwatch, machine: Machine) -> None:
    callback = await callback_of(running)
    machine.passes(601)
    assert "more than 10 minutes ago" in (await arrives(running, callback))[2]


async def test_a_wrong_response_does_not_end_the_sign_in_in_progress(running: Zimwatch) -> None:
    callback = await callback_of(running)
    assert (await arrives(running, callback.update_query(state="other")))[0] == 400
    assert (await arrives(running, callback))[:2] == (200, "/wall")


@pytest.mark.parametrize("following", ["//mallory.example/", "https://mallory.example/", "/\\mallory.example", "x"])
async def test_a_sign_in_leads_to_pages_of_its_own_alone(running: Zimwatch, following: str) -> None:
    _, path, _ = await arrives(running, URL("/sign-in/oidc").update_query(next=following))
    assert path == "/"


async def test_behind_tls_and_below_a_path_the_cookie_is_secure_and_sent_there_alone(
    world: World, tmp_path: Path
) -> None:
    server = ServerSettings(public_url="https://ops.example.com/zimwatch")
    options: dict[str, Any] = {"machine": world.machine, "groups": GROUPS, "server": server}
    async with zimwatch(tmp_path, oidc=settings_for(world.provider), **options) as running:
        below = f"{running.url}/zimwatch"
        async with running.http.get(f"{below}/sign-in?next=%2Fwall") as response:
            assert 'href="/zimwatch/sign-in/oidc?next=%2Fwall"' in await response.text()
        async with running.http.get(below + BEGIN, allow_redirects=False) as response:
            name, _, value = response.headers["Set-Cookie"].partition(";")[0].partition("=")
            attributes = set(response.headers["Set-Cookie"].split("; ")[1:])
            address = URL(response.headers["Location"], encoded=True)
        assert name == "__Secure-zimwatch-oidc"
        assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/zimwatch/sign-in/oidc", "Max-Age=600"} <= attributes
        assert len(value) < 2_000
        callback = "https://ops.example.com/zimwatch/sign-in/oidc/callback"
        assert address.query["redirect_uri"] == callback
        async with running.http.get(address, allow_redirects=False) as response:
            back = response.headers["Location"].replace("https://ops.example.com", running.url)
        cookie = {"Cookie": f"{name}={value}"}
        async with running.http.get(URL(back, encoded=True), headers=cookie, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/zimwatch/wall")
            session, gone = response.headers.getall("Set-Cookie")
        assert session.startswith("__Secure-zimwatch-session=")
        assert gone.startswith(f'{name}="";')


async def test_a_sign_in_begun_at_one_provider_is_not_finished_at_another(world: World, tmp_path: Path) -> None:
    """As after a change of the settings, on the same database: the code of one must not reach the other."""
    mallorys = HostileProvider(world.machine)
    async with mallorys.running(), aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        port = free_port()
        options: dict[str, Any] = {"machine": world.machine, "groups": GROUPS, "port": port}
        async with zimwatch(tmp_path, oidc=settings_for(world.provider), **options) as running:
            callback = await callback_of(Zimwatch(running.url, running.store, browser), running.url)
        async with (
            zimwatch(tmp_path, oidc=settings_for(mallorys), **options),
            browser.get(callback) as response,
        ):
            assert (response.status, "of another provider" in await response.text()) == (400, True)
    assert "/token" not in mallorys.asked
    assert "/token" not in world.provider.asked
