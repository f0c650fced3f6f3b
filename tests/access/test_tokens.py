"""Who may make which tokens, by the form, the API and the page; and where a secret may be seen."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.access import account_admin, token_actions, token_form
from sidecar.access.policy import GRANTS, POLICY, Action, Role
from sidecar.access.principal import Principal
from sidecar.access.refusals import NotAllowedError
from sidecar.access.token_form import RotateRequest, TokenFormError, TokenRequest
from sidecar.domain import api_token
from sidecar.domain.units import DAY_US
from sidecar.store import Store
from sidecar.store.access import accounts, browser_sessions, tokens
from sidecar.store.access.browser_sessions import New
from sidecar.store.values import Token
from tests.support.accounts import new_account
from tests.support.audited import looks
from tests.support.clocks import Machine
from tests.support.counted import peeked
from tests.support.running import Zimwatch, zimwatch
from tests.support.stores import contents
from tests.support.tokens import a_token, new_token, revoke

NOW_US = 10 * DAY_US
APPS = st.none() | st.frozensets(st.integers(1, 4), min_size=1)
TOKENS = st.builds(
    lambda apps, days: msgspec.structs.replace(
        a_token(9), scope="write", apps=apps, expires_at_us=days and NOW_US + days * DAY_US
    ),
    APPS,
    st.none() | st.integers(1, 40),
)
MAKERS = st.builds(lambda role, apps: Principal(role=role, apps=apps), st.sampled_from(Role), APPS) | TOKENS.map(
    Principal.of_token
)


@given(MAKERS, st.sampled_from(Role), st.none() | st.lists(st.integers(-1, 5), max_size=3), st.integers(0, 60))
def test_nobody_makes_a_token_of_other_scopes_or_apps_or_of_longer_life_than_they_may(
    maker: Principal, scope: Role, apps: list[int] | None, days: int
) -> None:
    asked = TokenRequest(scope=scope, apps=apps, expires=f"{days}d" if days else None)
    try:
        made = token_form.new_token(asked, maker, NOW_US, made_by="")
    except (NotAllowedError, TokenFormError):
        return
    assert maker.may(Action.TOKENS)
    assert scope in GRANTS[maker.role]
    assert POLICY[scope] <= POLICY[maker.role] | {Action.INGEST, Action.FORWARD}
    assert Action.FORWARD not in POLICY[scope] or maker.role in {Role.ADMIN, Role.LOCAL}
    assert maker.apps is None or (made.apps is not None and made.apps <= maker.apps)
    if maker.token is not None:
        assert made.made_by_token == maker.token.id
        latest_us = maker.token.expires_at_us
        assert latest_us is None or (made.expires_at_us is not None and made.expires_at_us <= latest_us)


def test_the_roles_that_may_make_tokens_are_those_of_the_policy() -> None:
    assert set(GRANTS) == {role for role in Role if Action.TOKENS in POLICY[role]}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"scope": "admin"}, "scope: admin"),
        ({"apps": []}, "apps is empty"),
        ({"apps": [-1]}, "-1 is no AppID"),
        ({"apps": [2**63]}, "is no AppID"),
        ({"apps": list(range(101))}, "100 at most"),
        ({"name": "x" * 101}, "100 characters"),
        ({"expires": "soon"}, "soon is not a duration"),
        ({"expires": "9999d"}, "ten years"),
        ({"origins": ["https://a.example/path"]}, "is no origin"),
        ({"origins": ["a.example"]}, "is no origin"),
        ({"origins": [f"https://{n}.example" for n in range(21)]}, "20 at most"),
        ({"scope": "read", "origins": ["https://a.example"]}, "only a token of scope ingest"),
    ],
)
def test_what_no_token_can_have_is_named(asked: dict[str, Any], why: str) -> None:
    given = TokenRequest(**{"scope": "ingest"} | asked)
    with pytest.raises(TokenFormError, match=re.escape(why)):
        token_form.new_token(given, Principal(role=Role.LOCAL), NOW_US, made_by="")


async def call(running: Zimwatch, method: str, path: str, secret: str, body: Any = None) -> tuple[int, Any, Any]:
    given = {"Authorization": f"Bearer {secret}"}
    async with running.http.request(method, f"/v1/tokens{path}", json=body, headers=given) as response:
        return response.status, await response.json(content_type=None), response.headers


async def test_a_write_token_of_some_apps_sees_and_changes_the_tokens_of_these_apps_alone(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        store = running.store
        mine, secret = await new_token(store, "write", apps=(7, 8))
        own, _ = await new_token(store, "ingest", 7)
        hidden = [(await new_token(store, "ingest", **bound))[0] for bound in ({}, {"apps": (7, 9)}, {"app_id": 9})]
        status, listed, _ = await call(running, "GET", "", secret)
        assert (status, [one["id"] for one in listed["tokens"]]) == (200, [mine.id, own.id])
        for other in (*(one.id for one in hidden), 99):
            assert (await call(running, "DELETE", f"/{other}", secret))[0] == 404
            assert (await call(running, "POST", f"/{other}/rotate", secret, {}))[0] == 404
        assert (await call(running, "POST", f"/{own.id}/rotate", secret, {}))[0] == 400, "another made it"
        for app_id, wanted in ((9, 403), (8, 201)):
            assert (await call(running, "POST", "", secret, {"scope": "read", "apps": [app_id]}))[0] == wanted
        status, made, headers = await call(running, "POST", "", secret, {"scope": "ingest", "name": "web"})
        assert (status, made["apps"], made["made_by"]) == (201, [7, 8], f"token {mine.id}")
        assert headers["Cache-Control"] == "no-store, no-transform"
        status, new, _ = await call(running, "POST", f"/{made['id']}/rotate", secret, {"overlap": "1h"})
        assert (status, new["name"], new["secret"] != made["secret"]) == (201, "web", True)
        status, answer, _ = await call(running, "POST", f"/{made['id']}/rotate", secret)
        assert (status, "rotated before" in answer["detail"]) == (409, True)
        assert (await call(running, "DELETE", f"/{own.id}", secret))[0] == 204
        assert (await call(running, "POST", "", secret, {"scope": "forward"}))[0] == 403
        assert (await call(running, "POST", "", secret, {"scope": "read", "admin": True}))[0] == 400
        await revoke(store, mine)
        status, answer, _ = await call(running, "GET", "", new["secret"])
        assert (status, answer["detail"]) == (401, "the token was revoked")


async def test_revoking_a_token_that_rotated_itself_ends_its_successor(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        stolen, secret = await new_token(running.store, "write")
        status, new, _ = await call(running, "POST", f"/{stolen.id}/rotate", secret, {})
        assert status == 201
        assert (await call(running, "GET", "", new["secret"]))[0] == 200
        await revoke(running.store, stolen)
        assert (await call(running, "GET", "", new["secret"]))[0] == 401


async def test_tokens_that_an_account_made_or_rotated_end_when_it_may_no_longer_make_them_and_when_it_is_disabled(
    tmp_path: Path,
) -> None:
    async with zimwatch(tmp_path) as running:
        store = running.store
        await new_account(store, "root", "admin")
        await store.write(accounts.set_password, 1, "hash", 1)
        dana = Principal.of_owner(await new_account(store, "dana", "admin"))
        at_us = NOW_US

        async def makes(scope: str, apps: list[int] | None = None) -> Token:
            asked = TokenRequest(scope=scope, apps=apps)
            return (await token_actions.make(store, dana, asked, at_us))[0]

        async def states(*made: Token) -> list[str]:
            found = [await store.read(tokens.one, one.id) for one in made]
            return [one.state(at_us) for one in found if one is not None]

        every, bound, forward = await makes("write"), await makes("read", [7]), await makes("forward")
        others, _ = await new_token(store, "ingest", 7)
        rotated = await token_actions.rotate(store, dana, others.id, RotateRequest(overlap="1h"), at_us)
        assert rotated is not None
        all_made = every, bound, forward, rotated[0]
        assert (await store.write(account_admin.change, "dana", "operator", None, at_us))[1] == 1
        assert await states(*all_made) == ["good", "good", "revoked", "good"]
        assert (await store.write(account_admin.change, "dana", "operator", frozenset({7, 8}), at_us))[1] == 1
        assert await states(*all_made) == ["revoked", "good", "revoked", "good"]
        assert (await store.write(account_admin.disable, "dana", at_us))[1] == 2
        assert await states(*all_made, others) == ["revoked"] * 4 + ["good"]


async def test_a_read_or_ingest_token_makes_none_and_a_mistyped_one_is_refused_without_a_look_up(
    tmp_path: Path,
) -> None:
    async with zimwatch(tmp_path) as running:
        for scope in ("read", "ingest", "forward"):
            _, secret = await new_token(running.store, scope)
            assert (await call(running, "POST", "", secret, {"scope": "read"}))[0] == 403
        with peeked(running.store) as looked_up:
            for at in (12, 20, 40, len(secret) - 2):
                wrong = secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]
                status, answer, _ = await call(running, "GET", "", wrong)
                assert (status, "mistyped" in answer["detail"]) == (401, True)
        assert not [sql for sql in looked_up if "api_tokens" in sql]


@contextlib.asynccontextmanager
async def signed_in(running: Zimwatch, role: str, apps: frozenset[int] | None = None) -> AsyncIterator[Zimwatch]:
    """A browser of an account of this role."""
    name = "-".join([role, *map(str, sorted(apps or ()))])
    account = await new_account(running.store, name, role, apps)
    new = New(owner=account, created_at_us=Machine().now_us)
    await running.store.write(browser_sessions.begin, f"cookie-{name}", new, created_after_us=0)
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Cookie": f"zimwatch-session=cookie-{name}"}
    async with aiohttp.ClientSession(running.url, headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Zimwatch(running.url, running.store, http)


async def page(person: Zimwatch) -> tuple[int, str]:
    async with person.http.get("/tokens") as response:
        return response.status, await response.text()


def fields(text: str) -> dict[str, str]:
    found = re.findall(r'name="(form_token|once)" value="([^"]+)"', text)
    return {name: html.unescape(value) for name, value in reversed(found)}


async def post(person: Zimwatch, path: str, form: dict[str, str]) -> tuple[int, str, Any]:
    async with person.http.post(path, data=form, allow_redirects=False) as response:
        return response.status, await response.text(), response.headers


def secret_in(text: str) -> str:
    (secret,) = {str(found) for found in re.findall(api_token.PATTERN, text)}
    return secret


async def test_operators_and_admins_make_rotate_and_revoke_on_the_page_and_others_have_none(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine) as running:
        for role in ("viewer", "support"):
            async with signed_in(running, role) as person:
                assert (await page(person))[0] == 403
                assert (await post(person, "/tokens", {"scope": "read"}))[0] == 403
        async with signed_in(running, "operator", frozenset({7, 8})) as person:
            form = fields((await page(person))[1])
            for apps, status in (("9", 400), ("seven", 400), ("", 200)):
                form = fields((await page(person))[1])
                found, text, headers = await post(person, "/tokens", {"scope": "ingest", "apps": apps, **form})
                assert found == status, text
            secret = secret_in(text)
            assert headers["Cache-Control"] == "no-store, no-transform"
            token = running.store.credentials.token(secret)
            assert token is not None
            assert token.apps == frozenset({7, 8})
            assert (await post(person, "/tokens", {"scope": "ingest", **form}))[0] == 303, "the page was loaded again"
            form = fields((await page(person))[1])
            assert (await post(person, "/tokens", {"scope": "forward", **form}))[0] == 400
            form = fields((await page(person))[1])
            status, text, _ = await post(person, f"/tokens/{token.id}/rotate", {"overlap": "1h", **form})
            assert status == 200
            new = running.store.credentials.token(secret_in(text))
            assert new is not None
            assert new.made_by == "account operator-7-8"
            status, text = await page(person)
            assert not re.findall(api_token.PATTERN, text)
            assert f"replaced by token {new.id}" in text
            for one in (token, new, new):
                assert (await post(person, f"/tokens/{one.id}/revoke", form))[0] == 303
            done = [one for one in await looks(running) if one.action.startswith("token.")]
            assert [(one.action, one.about, one.details) for one in done] == [
                ("token.made", f"token {token.id}", {}),
                ("token.rotated", f"token {token.id}", {"successor": new.id}),
                *(("token.revoked", f"token {one.id}", {}) for one in (token, new)),
            ]
            assert await states(running.store, machine, token, new) == ["revoked", "revoked"]
        async with signed_in(running, "operator", frozenset({9})) as other:
            assert f"token-{new.id}" not in (await page(other))[1]


async def states(store: Store, machine: Machine, *found: Token) -> list[str]:
    return [one.state(machine.now_us) for one in await store.read(tokens.listed, 0) if one.id in {f.id for f in found}]


async def test_a_secret_is_in_no_log_no_stream_no_other_page_and_not_in_the_database(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with zimwatch(tmp_path) as running:
        _, write = await new_token(running.store, "write")
        stream = await running.http.get("/v1/stream", headers={"Authorization": f"Bearer {write}"})
        secrets = [write]
        for path, body in (("", {"scope": "ingest", "apps": [7]}), ("", {"scope": "write"}), ("/3/rotate", None)):
            status, made, _ = await call(running, "POST", path, write, body)
            assert status == 201, made
            secrets.append(made["secret"])
        for path in ("/tokens", "/settings", "/live/tokens", "/v1/tokens"):
            headers = {"Authorization": f"Bearer {write}"}
            async with running.http.get(path, headers=headers) as response:
                if response.content_type != "text/event-stream":
                    text = await response.text()
                    assert not any(secret in text for secret in secrets), path
        await call(running, "GET", "", secrets[1] + "x")
        received = stream.content.read_nowait()
        stream.close()
    output = "".join(capfd.readouterr())
    files = contents(tmp_path)
    for secret in secrets:
        random = secret.split("_")[2]
        assert random not in output
        assert random.encode() not in received
        assert all(random[5:].encode() not in content for content in files)
