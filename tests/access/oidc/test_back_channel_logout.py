"""The provider ends sessions by a call of its own: OpenID Connect Back-Channel Logout 1.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.access.oidc.conftest import World
from tests.access.oidc.test_sessions import of_provider, opens, reason, sign_in
from tests.support.clocks import Machine
from tests.support.oidc.hostile import HostileProvider, new_key, signed_with, signed_with_secret, unsigned
from tests.support.running import Zimwatch

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/sign-in/oidc/back-channel-logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
Makes = Callable[[HostileProvider], str]


async def posts(running: Zimwatch, token: str) -> tuple[int, Any]:
    async with running.http.post(PATH, data={"logout_token": token}) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


async def test_a_session_ends_at_once_with_a_sentence_and_a_line_in_the_audit_log(
    running: Zimwatch, provider: HostileProvider
) -> None:
    provider.person |= {"sub": "heidi"}
    await sign_in(running)
    assert await posts(running, provider.logout_token(sub="somebody else")) == (200, {})
    assert await opens(running) == 200
    assert await posts(running, provider.logout_token()) == (200, {})
    assert "the provider has ended your sign-in" in await reason(running)
    assert provider.asked["/token"] == 1, "nothing is looked up"
    assert (await of_provider(running, provider))[-1] == ("session.ended", f"heidi at {provider.issuer}", "oidc.over")
    await sign_in(running)
    assert await opens(running) == 200


@pytest.mark.parametrize("with_sub", [True, False])
async def test_one_session_at_the_provider_ends_and_the_others_stay(
    running: Zimwatch, provider: HostileProvider, *, with_sub: bool
) -> None:
    provider.claims = {"sid": "phone"}
    await sign_in(running)
    others = {} if with_sub else {"sub": None}
    assert (await posts(running, provider.logout_token(sid="laptop", **others)))[0] == 200
    assert await opens(running) == 200
    assert (await posts(running, provider.logout_token(sid="phone", **others)))[0] == 200
    assert await opens(running) == 303


def claims(**changed: Any) -> Makes:
    return lambda provider: provider.logout_token(**changed)


def issued(ago_s: int, **changed: Any) -> Makes:
    return lambda provider: provider.logout_token(iat=provider.now_s() - ago_s, **changed)


def signed(sign: Callable[[HostileProvider], Any]) -> Makes:
    def token(provider: HostileProvider) -> str:
        provider.sign = sign(provider)
        return provider.logout_token()

    return token


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (lambda _: "", "unreadable"),
        (lambda _: "a.b.c", "unreadable"),
        (lambda _: "x" * 8_000, "unreadable"),
        (claims(iss="https://mallory.example"), "issuer"),
        (claims(iss=None), "issuer"),
        (claims(aud="another"), "audience"),
        (claims(aud=None), "audience"),
        (claims(iat=None), "early"),
        (claims(iat=float("nan"), exp=None), "early"),
        (issued(700, exp=None), "expired"),
        (claims(exp=1), "expired"),
        (issued(-300, exp=None), "early"),
        (claims(jti=None), "claim"),
        (claims(jti=7), "claim"),
        (claims(sub=None), "claim"),
        (claims(sub=["dana"]), "claim"),
        (claims(sub="d" * 256), "claim"),
        (claims(events=None), "claim"),
        (claims(events={"https://other.example/event": {}}), "claim"),
        (claims(events={EVENT: "yes"}), "claim"),
        (claims(events=EVENT), "claim"),
        (claims(nonce="one"), "nonce"),
        (signed(lambda _: unsigned), "algorithm"),
        (signed(lambda provider: signed_with_secret(b"guessed", provider.key.kid)), "algorithm"),
        (signed(lambda _: signed_with(new_key())), "key"),
        (signed(lambda provider: signed_with(new_key(), kid=provider.key.kid)), "signature"),
    ],
)
async def test_a_token_that_is_not_valid_ends_nothing(world: World, token: Makes, why: str) -> None:
    await sign_in(world.running)
    status, answer = await posts(world.running, token(world.provider))
    assert (status, answer) == (400, {"error": "invalid_request", "error_description": f"oidc.token_{why}"})
    assert await opens(world.running) == 200


async def test_a_token_counts_once(running: Zimwatch, provider: HostileProvider, machine: Machine) -> None:
    await sign_in(running)
    token = provider.logout_token(exp=None)
    assert (await posts(running, token))[0] == 200
    await sign_in(running)
    for after_s in (0, 300, 359, 1, 86_400):
        machine.passes(after_s)
        assert (await posts(running, token))[0] == 400
    await sign_in(running)
    assert await opens(running) == 200


async def test_what_is_no_small_form_is_not_read(running: Zimwatch) -> None:
    async with running.http.post(PATH, json={}) as response:
        assert response.status == 415
    async with running.http.post(PATH, data={"logout_token": "x" * 9_000}) as response:
        assert response.status == 413
