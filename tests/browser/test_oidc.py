"""Signing in and out at a certified OpenID Connect provider on another site, in Chromium."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from sidecar.settings import GroupSettings, OidcSettings
from tests.support.oidc.certified import CLIENT_ID, CLIENT_SECRET, CertifiedProvider
from tests.support.pages import opened
from tests.support.process import free_port
from tests.support.running import zimwatch

pytestmark = pytest.mark.oidc
HERE = ("127.0.0.1", "localhost")
GROUPS = GroupSettings(roles={"sre": "operator", "wall": "viewer"})


async def test_a_person_signs_in_at_the_provider_and_out_of_both(browser: Browser, tmp_path: Path) -> None:
    """The provider is ``localhost`` and Zimwatch 127.0.0.1, which are two sites: cookies cross as between two hosts."""
    port = free_port()
    provider = CertifiedProvider(tmp_path, f"http://127.0.0.1:{port}", {"dana": ["sre"], "mallory": ["cleaners"]})
    settings = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        scopes=("openid", "profile", "groups"),
        button="Example SSO",
    )
    complaints: list[str] = []
    async with provider.running(), zimwatch(tmp_path, port=port, oidc=settings, groups=GROUPS) as running:
        page = await opened(browser, complaints)
        # The provider's pages want a font from elsewhere.
        await page.route(lambda url: urlsplit(url).hostname not in HERE, lambda route: route.fulfill(body=""))

        async def sign_in(person: str) -> None:
            await page.get_by_role("link", name="Sign in with Example SSO").click()
            await page.get_by_placeholder("Enter any login").fill(person)
            await page.get_by_placeholder("and password").fill("anything")
            await page.get_by_role("button", name="Sign-in").click()
            await page.get_by_role("button", name="Continue").click()

        await page.goto(f"{running.url}/settings?x=1")
        await sign_in("dana")
        await expect(page).to_have_url(f"{running.url}/settings?x=1")
        button = page.get_by_role("button", name="Sign out")
        await expect(button).to_have_attribute(
            "title", f"Signed in as dana at the provider, by dana at {provider.issuer}"
        )
        names = {cookie["name"] for cookie in await page.context.cookies(running.url)}
        assert "zimwatch-session" in names
        assert not any("oidc" in name for name in names)
        await page.goto("about:blank")
        await page.goto(f"{provider.issuer}/.well-known/openid-configuration")
        # A link on another site opens signed in.
        await page.evaluate(f"location.href = '{running.url}/wall'")
        await expect(page).to_have_url(f"{running.url}/wall")
        await page.goto(running.url)

        await button.click()
        await expect(page.get_by_text("Do you want to sign-out")).to_be_visible()
        await page.get_by_role("button", name="Yes, sign me out").click()
        await expect(page).to_have_url(f"{running.url}/sign-in")
        await page.goto(f"{running.url}/wall")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

        await sign_in("mallory")
        await expect(page.get_by_role("alert")).to_contain_text("None of your groups has a role here")
        await page.goto(f"{running.url}/wall")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert all("403" in one for one in complaints), complaints
