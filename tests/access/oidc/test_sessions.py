"""Sessions of people whom a provider signed in: their role, how it is looked up again, and how they end."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

import msgspec
import pytest
from yarl import URL

from sidecar.access import oidc_sign_in, token_actions
from sidecar.access.principal import Principal
from sidecar.access.refusals import NotAllowedError
from sidecar.access.token_form import TokenRequest
from sidecar.domain import api_token
from sidecar.domain.units import DAY_US
from sidecar.store.access import tokens
from sidecar.store.access.account_schema import browser_sessions
from sidecar.store.values import Token
from tests.access.oidc.conftest import GROUPS, World
from tests.support.audited import looks
from tests.support.clocks import DAY_S, Machine
from tests.support.oidc.hostile import HostileProvider
from tests.support.running import Zimwatch

pytestmark = pytest.mark.asyncio(loop_scope="module")
BEGIN = "/sign-in/oidc?next=%2Fwall"


async def sign_in(running: Zimwatch) -> None:
    async with running.http.get(BEGIN) as response:
        assert (response.status, response.url.path) == (200, "/wall"), await response.text()


async def opens(running: Zimwatch, path: str = "/wall") -> int:
    async with running.http.get(path, allow_redirects=False) as response:
        return response.status


async def reason(running: Zimwatch) -> str:
    """What the sign-in page says of the session's end."""
    async with running.http.get("/wall") as response:
        assert response.url.path == "/sign-in"
        page = await response.text()
    return page.partition('role="status">')[2].partition("<")[0]


async def stored(running: Zimwatch) -> list[dict[str, Any]]:
    rows = await running.store.read(lambda connection: connection.execute(browser_sessions.select()).all())
    return [dict(row._mapping) for row in rows]


@pytest.mark.parametrize(
    ("groups", "opened"),
    [
        (["wall"], {"/wall": 200, "/users": 403, "/settings": 403}),
        (["wall", "support"], {"/wall": 200, "/users": 200, "/settings": 403}),
        ("sre", {"/users": 200, "/settings": 200}),
        ({"sre": {"some": "object"}, "all": {}}, {"/settings": 200}),
    ],
)
async def test_groups_give_a_role(
    running: Zimwatch, provider: HostileProvider, groups: object, opened: dict[str, int]
) -> None:
    provider.person["groups"] = groups
    await sign_in(running)
    assert {path: await opens(running, path) for path in opened} == opened


async def test_changed_groups_are_noticed_within_a_minute_and_asked_for_no_more_often(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    await sign_in(running)
    provider.person["groups"] = ["wall"]
    machine.passes(59)
    assert await opens(running, "/settings") == 200
    assert provider.asked["/userinfo"] == 1
    machine.passes(1)
    assert [await opens(running, "/settings") for _ in range(5)] == [403] * 5
    assert provider.asked["/userinfo"] == 2
    assert "/token" not in provider.asked or provider.asked["/token"] == 1


async def test_other_settings_of_groups_count_at_the_next_request(running: Zimwatch, machine: Machine) -> None:
    await sign_in(running)
    assert await opens(running, "/settings") == 200
    before = GROUPS.roles
    machine.passes(1)
    msgspec.structs.force_setattr(GROUPS, "roles", before | {"sre": "viewer"})  # as a reload does
    try:
        assert await opens(running, "/settings") == 403
    finally:
        msgspec.structs.force_setattr(GROUPS, "roles", before)


async def makes(running: Zimwatch, scope: str, **fields: str) -> Token:
    """Makes a token on the page."""
    async with running.http.get("/tokens") as response:
        page = await response.text()
    form = {name: unescape(re.findall(f'name="{name}" value="([^"]+)"', page)[0]) for name in ("form_token", "once")}
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with running.http.post("/tokens", data={"scope": scope, **form, **fields}, headers=headers) as response:
        page = await response.text()
        assert response.status == 200, page
    (secret,) = {str(found) for found in re.findall(api_token.PATTERN, page)}
    made = running.store.credentials.token(secret)
    assert made is not None
    return made


async def states(running: Zimwatch, machine: Machine, *made: Token) -> list[str]:
    found = [await running.store.read(tokens.one, one.id) for one in made]
    return [one.state(machine.now_us) for one in found if one is not None]


async def of_provider(running: Zimwatch, provider: HostileProvider) -> list[tuple[str, str | None, Any]]:
    """What the provider did, in the audit log."""
    rows = [one for one in await looks(running) if one.actor == f"provider {provider.issuer}"]
    return [(one.action, one.about, one.details.get("reason")) for one in rows]


async def test_tokens_end_at_the_look_up_after_which_their_maker_could_not_make_them(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.person |= {"sub": "erin", "groups": ["boss"]}
    await sign_in(running)
    write, read, forward = [await makes(running, scope) for scope in ("write", "read", "forward")]
    assert (forward.made_by_identity, forward.apps) == (f"outside {provider.issuer} erin", frozenset({7, 8}))
    provider.person["groups"] = ["sre"]
    machine.passes(59)
    assert await opens(running) == 200
    assert await states(running, machine, write, read, forward) == ["good"] * 3
    machine.passes(1)
    assert await opens(running) == 200
    assert await states(running, machine, write, read, forward) == ["good", "good", "revoked"], "an operator makes none"
    of_every_app = await makes(running, "read", apps="")
    provider.person["groups"] = ["cleaners"]
    machine.passes(60)
    assert "none of your groups" in await reason(running)
    assert await states(running, machine, write, read, of_every_app) == ["revoked"] * 3
    done = await of_provider(running, provider)
    assert done[-5:] == [
        ("token.revoked", f"token {forward.id}", "groups"),
        ("session.ended", f"erin at {provider.issuer}", "oidc.lost_role"),
        *(("token.revoked", f"token {one.id}", "groups") for one in (write, read, of_every_app)),
    ]


async def test_tokens_end_at_a_sign_in_with_less_and_at_one_that_is_refused(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.person |= {"sub": "frank"}
    await sign_in(running)
    first, second = await makes(running, "write", apps="7"), await makes(running, "write")
    provider.person["groups"] = ["eu"]
    running.http.cookie_jar.clear()
    await sign_in(running)
    assert await states(running, machine, first, second) == ["revoked"] * 2, "support makes none"
    provider.person["groups"] = ["sre"]
    running.http.cookie_jar.clear()
    await sign_in(running)
    third = await makes(running, "read")
    provider.person["groups"] = []
    running.http.cookie_jar.clear()
    async with running.http.get(BEGIN) as response:
        assert response.status == 403
    assert await states(running, machine, third) == ["revoked"]


async def test_a_token_outlives_a_sign_out_and_the_provider_but_not_for_long(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.person |= {"sub": "grace"}
    await sign_in(running)
    made = {scope: await makes(running, scope, expires="") for scope in ("read", "ingest")}
    lasts = {scope: one.expires_at_us - machine.now_us for scope, one in made.items() if one.expires_at_us is not None}
    assert lasts == {"read": 90 * DAY_US, "ingest": 366 * DAY_US}
    person = running.store.credentials.session(next(iter(running.http.cookie_jar)).value)
    assert person is not None
    asked = TokenRequest(scope="read", expires="91d")
    with pytest.raises(NotAllowedError, match="90 days at most"):
        await token_actions.make(running.store, Principal.of_session(person), asked, machine.now_us)
    machine.passes(60)
    provider.person["gone"], provider.tokens = True, {"refresh_token": "none"}
    assert await opens(running) in {200, 303}
    assert await states(running, machine, *made.values()) == ["good"] * 2
    machine.passes(90 * DAY_S)
    assert await states(running, machine, *made.values()) == ["expired", "good"]


async def test_many_requests_at_once_look_the_groups_up_once(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    await sign_in(running)
    machine.passes(400)  # the access token has expired too
    assert await asyncio.gather(*(opens(running) for _ in range(8))) == [200] * 8
    assert (provider.asked["/token"], provider.asked["/userinfo"]) == (2, 2)


async def test_who_lost_all_groups_is_signed_out_with_a_sentence(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    await sign_in(running)
    provider.person["groups"] = ["cleaners"]
    machine.passes(60)
    assert "none of your groups has a role here any more" in await reason(running)
    assert "none of your groups has a role here any more" in await reason(running)
    provider.person["groups"] = ["sre"]
    machine.passes(600)
    assert await opens(running) == 303
    assert (await stored(running))[-1]["refresh"] is None


@pytest.mark.parametrize("groups", [None, [], {}, "", 7])
async def test_a_claim_that_is_gone_or_empty_is_no_group(
    running: Zimwatch, provider: HostileProvider, machine: Machine, groups: object
) -> None:
    await sign_in(running)
    provider.person = {"sub": "dana"} | ({} if groups is None else {"groups": groups})
    machine.passes(60)
    assert "none of your groups" in await reason(running)


async def test_without_the_provider_a_session_lives_until_its_idle_end(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    await sign_in(running)
    provider.status = 503
    for _ in range(4):
        machine.passes(3 * 3_600)
        assert await opens(running, "/settings") == 200
    provider.status, provider.person["groups"] = 200, ["wall"]
    machine.passes(60)
    assert await opens(running, "/settings") == 403
    provider.status = 503
    machine.passes(12 * 3_600)
    assert "inactivity" in await reason(running)


async def test_a_provider_that_is_slow_delays_a_page_by_little(
    running: Zimwatch, provider: HostileProvider, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in(running)
    monkeypatch.setattr(oidc_sign_in, "WAITS_S", 0.05)
    provider.waits = asyncio.Event()
    provider.person["groups"] = ["wall"]
    machine.passes(60)
    assert await opens(running, "/settings") == 200
    provider.waits.set()
    async with asyncio.timeout(10):
        while await opens(running, "/settings") != 403:  # noqa: ASYNC110 - another task changes it
            await asyncio.sleep(0.01)


async def test_no_request_gets_ahead_of_a_look_up_in_progress(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    await sign_in(running)
    provider.waits = asyncio.Event()
    provider.person["groups"] = ["wall"]
    machine.passes(60)
    first = asyncio.create_task(opens(running, "/settings"))
    while provider.asked["/userinfo"] < 2:  # noqa: ASYNC110 - another task counts
        await asyncio.sleep(0.01)
    others = [asyncio.create_task(opens(running, "/settings")) for _ in range(3)]
    await asyncio.sleep(0.1)
    provider.waits.set()
    assert await asyncio.gather(first, *others) == [403] * 4


async def test_groups_of_the_id_token_are_looked_up_by_renewing_it(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.groups_in_userinfo = False
    await sign_in(running)
    machine.passes(60)
    assert await opens(running, "/settings") == 200
    provider.person["groups"] = ["wall"]
    machine.passes(60)
    assert await opens(running, "/settings") == 403
    assert provider.asked["/token"] == 3
    provider.person["groups"] = []
    machine.passes(60)
    assert "none of your groups" in await reason(running)


async def test_a_renewed_token_about_somebody_else_ends_the_session(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.groups_in_userinfo = False
    await sign_in(running)
    provider.claims = {"sub": "mallory"}
    machine.passes(60)
    assert await opens(running) == 303


async def test_what_cannot_be_renewed_ends_with_its_token(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.tokens = {"refresh_token": None}
    await sign_in(running)
    machine.passes(299)
    assert await opens(running) == 200
    machine.passes(60)
    assert "confirmation of your groups has expired" in await reason(running)


async def test_who_is_gone_at_the_provider_is_signed_out(
    running: Zimwatch, provider: HostileProvider, machine: Machine
) -> None:
    provider.tokens = {"refresh_token": None}
    await sign_in(running)
    provider.person["gone"] = True
    machine.passes(60)
    assert "the provider has ended your sign-in" in await reason(running)
    assert (await of_provider(running, provider))[-1] == ("session.ended", f"dana at {provider.issuer}", "oidc.over")


async def test_a_copy_of_the_database_has_no_use_for_the_tokens(running: Zimwatch, world: World) -> None:
    await sign_in(running)
    row = (await stored(running))[-1]
    assert row["subject"] == "dana"
    cookies = world.running.http.cookie_jar.filter_cookies(URL(running.url))
    texts = [str(value) for value in row.values()] + [cookie.value for cookie in cookies.values()]
    assert not any("access-" in text or "refresh-" in text or "eyJ" in text for text in texts)
    assert row["refresh"].startswith("gAAAA")  # Fernet


async def test_sign_out_leads_on_to_the_provider_and_back(running: Zimwatch, provider: HostileProvider) -> None:
    before = {row["id"] for row in await stored(running)}
    await sign_in(running)
    async with running.http.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"}) as response:
        page = await response.text()
    address = URL(page.partition('content="0; url=')[2].partition('"')[0].replace("&amp;", "&"), encoded=True)
    assert str(address).startswith(f"{provider.issuer}/end?realm=1&")
    assert address.query["id_token_hint"].count(".") == 2
    assert address.query["client_id"] == "zimwatch"
    assert address.query["post_logout_redirect_uri"] == f"{running.url}/sign-in"
    assert await opens(running) == 303
    assert {row["id"] for row in await stored(running)} <= before


@pytest.mark.parametrize("metadata", [{"end_session_endpoint": None}])
async def test_sign_out_ends_here_where_the_provider_has_no_such_address(
    running: Zimwatch, provider: HostileProvider, machine: Machine, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    machine.passes(3_600)
    await sign_in(running)
    async with running.http.post(
        "/sign-out", headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False
    ) as response:
        assert (response.status, response.headers["Location"]) == (303, "/sign-in")
    assert await opens(running) == 303


async def test_a_new_sign_in_ends_the_former_session_of_the_browser(running: Zimwatch) -> None:
    await sign_in(running)
    former = (await stored(running))[-1]["secret_sha256"]
    await sign_in(running)
    after = [row["secret_sha256"] for row in await stored(running)]
    assert former not in after


async def test_nobody_is_let_in_without_a_sign_in_once_there_is_a_provider(running: Zimwatch) -> None:
    assert await opens(running) == 303
    async with running.http.get("/v1/users", headers={"Accept": "*/*"}) as response:
        assert response.status == 401
