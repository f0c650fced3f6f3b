"""The protocol against npm's oidc-provider, which is certified: keys that change, and groups that do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from yarl import URL

from sidecar.access.oidc import EndedByProviderError, OidcError, OpenIdConnect, Person
from sidecar.access.proxies import PublicRequest
from sidecar.clock import now_us
from sidecar.domain.units import MINUTE_US
from sidecar.http_client import HttpClient
from sidecar.settings import GroupSettings, OidcSettings
from tests.support.audited import looks
from tests.support.oidc.certified import (
    CLIENT_ID,
    CLIENT_SECRET,
    CertifiedProvider,
    signs_out_there,
    through_its_pages,
)
from tests.support.process import free_port
from tests.support.running import zimwatch

pytestmark = pytest.mark.oidc
ZIMWATCH = "http://127.0.0.1:8790"
PUBLIC = PublicRequest("http", "127.0.0.1:8790", "", None, through_proxy=False)
SCOPES = ("openid", "profile", "groups", "offline_access")


class Clock:
    """The machine's, and how much later it is for Zimwatch."""

    def __init__(self) -> None:
        self.later_us = 0

    def __call__(self) -> int:
        return now_us() + self.later_us


@contextlib.asynccontextmanager
async def client_of(
    provider: CertifiedProvider, clock: Clock | None = None, *, secret: str | None = CLIENT_SECRET
) -> AsyncIterator[OpenIdConnect]:
    settings = OidcSettings(issuer=provider.issuer, client_id=CLIENT_ID, client_secret=secret, scopes=SCOPES)
    async with HttpClient() as http:
        client = OpenIdConnect(settings, clock or Clock())
        client.http = http
        yield client


async def signed_in(client: OpenIdConnect, person: str) -> Person:
    address, flow = await client.begin(PUBLIC, "/")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        # It gives a refresh token only with a prompt for consent.
        back = await through_its_pages(browser, f"{address}&prompt=consent", person)
    return await client.finish(flow, dict(URL(back).query))


async def test_groups_are_looked_up_again_and_a_person_who_left_is_not_renewed(tmp_path: Path) -> None:
    provider = CertifiedProvider(tmp_path, ZIMWATCH, {"dana": ["sre", "all"]})
    async with provider.running(), client_of(provider) as client:
        dana = await signed_in(client, "dana")
        assert (dana.subject, dana.name, dana.groups) == ("dana", "dana at the provider", ("sre", "all"))
        provider.change(dana=["all"])
        assert (await client.look_up(dana.proof)).groups == ("all",)
        expired = msgspec.structs.replace(dana.proof, expires_at_us=now_us())
        renewed = await client.look_up(expired)
        assert renewed.groups == ("all",)
        assert renewed.proof.refresh_token != dana.proof.refresh_token
        provider.remove("dana")
        with pytest.raises(EndedByProviderError, match="the provider has ended your sign-in"):
            await client.look_up(renewed.proof)


async def test_a_sign_in_works_after_the_provider_has_changed_its_keys(tmp_path: Path) -> None:
    provider, clock = CertifiedProvider(tmp_path, ZIMWATCH, {"dana": ["sre"]}), Clock()
    async with client_of(provider, clock) as client:
        async with provider.running():
            await signed_in(client, "dana")
        provider.rotate()
        async with provider.running():
            with pytest.raises(OidcError, match="a key that the provider does not have"):
                await signed_in(client, "dana")
            clock.later_us = MINUTE_US  # a key that is not known is looked for once a minute
            assert (await signed_in(client, "dana")).subject == "dana"


async def test_who_signs_out_at_the_provider_is_signed_out_here_by_its_own_call(tmp_path: Path) -> None:
    port = free_port()
    provider = CertifiedProvider(tmp_path, f"http://127.0.0.1:{port}", {"dana": ["sre"], "erin": ["sre"]})
    scopes = ("openid", "profile", "groups")
    settings = OidcSettings(issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, scopes=scopes)
    groups = GroupSettings(roles={"sre": "operator"})
    async with (
        provider.running(),
        zimwatch(tmp_path, port=port, oidc=settings, groups=groups) as running,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as dana,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as erin,
    ):

        async def opens(browser: aiohttp.ClientSession) -> int:
            async with browser.get(f"{running.url}/wall", allow_redirects=False) as response:
                return response.status

        for browser, name in ((dana, "dana"), (erin, "erin")):
            back = await through_its_pages(browser, f"{running.url}/sign-in/oidc", name)
            async with browser.get(URL(back, encoded=True), allow_redirects=False) as response:
                assert response.status == 303
            assert await opens(browser) == 200
        await signs_out_there(dana, provider.issuer)
        assert [await opens(browser) for browser in (dana, erin)] == [401, 200]
        ended = [(one.actor, one.about) for one in await looks(running) if one.action == "session.ended"]
        assert ended == [(f"provider {provider.issuer}", f"dana at {provider.issuer}")]


@pytest.mark.parametrize("method", ["client_secret_post", "none"])
async def test_a_client_proves_itself_as_the_provider_wants(tmp_path: Path, method: str) -> None:
    provider = CertifiedProvider(tmp_path, ZIMWATCH, {"dana": ["sre"]}, method=method)
    secret = None if method == "none" else CLIENT_SECRET
    async with provider.running(), client_of(provider, secret=secret) as client:
        assert (await signed_in(client, "dana")).subject == "dana"
