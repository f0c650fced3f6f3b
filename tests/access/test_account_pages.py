"""The pages of one's own account, of all accounts, and the links that set a password."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pyotp
import pytest

from sidecar.access import AccountError, account_admin
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.settings import ServerSettings
from sidecar.store.access import accounts, browser_sessions, second_factor
from sidecar.store.values import Account
from tests.access.test_accounts import Person, person
from tests.support.accounts import PASSWORD, with_password
from tests.support.clocks import Machine
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
NEW = {"password": "another long password", "repeated": "another long password"}


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"machine": machine, "server": ServerSettings(trusted_proxies=("127.0.0.1",))}


def field(page: str, name: str) -> str:
    return html.unescape(re.findall(rf'name="{name}" value="([^"]*)"', page)[0])


async def form_token(browser: Person, path: str = "/account") -> str:
    status, page = await browser.gets(path)
    assert status == 200, path
    return field(page, "form_token")


async def named(running: Zimwatch, name: str) -> Account:
    found = await running.store.read(accounts.named, name)
    assert found is not None
    return found


async def test_one_sets_codes_up_with_the_password_and_signs_in_with_them_and_turns_them_off(
    running: Zimwatch, machine: Machine
) -> None:
    await with_password(running.store)
    async with person(running) as dana, person(running) as elsewhere:
        await dana.signs_in("dana", PASSWORD)
        await elsewhere.signs_in("dana", PASSWORD)
        _, page = await dana.gets("/account/codes")
        token, secret = field(page, "form_token"), field(page, "secret")
        assert 'src="data:image/svg+xml' in page
        given = {"form_token": token, "secret": secret, "code": pyotp.TOTP(secret).at(machine.now_us // SECOND_US)}
        assert (await dana.posts("/account/codes", **given, password="wrong password"))[0] == 401
        assert (await dana.posts("/account/codes", **given | {"code": "000000"}, password=PASSWORD))[0] == 400
        assert (await dana.posts("/account/codes", **given | {"secret": "MINE"}, password=PASSWORD))[0] == 303
        assert not (await named(running, "dana")).has_totp
        before = dana.cookie()
        status, page = await dana.posts("/account/codes", **given, password=PASSWORD)
        assert status == 200
        recovery = re.findall(r"\b(?:[a-z2-9]{4}-){3}[a-z2-9]{4}\b", page)
        assert len(set(recovery)) == second_factor.RECOVERY_CODES
        assert dana.cookie() != before
        assert (await dana.gets("/users"))[0] == 200
        assert (await elsewhere.gets("/users"))[0] == 303
        _, page = await elsewhere.signs_in("dana", PASSWORD)
        ticket = field(page, "ticket")
        assert (await elsewhere.posts("/sign-in/code", ticket=ticket, code=given["code"]))[0] == 401, "it was used"
        assert (await elsewhere.posts("/sign-in/code", ticket=ticket, code=recovery[3]))[0] == 303
        token = await form_token(dana)
        assert (await dana.posts("/account/codes/off", form_token=token, password="wrong password"))[0] == 401
        assert (await dana.posts("/account/codes/off", form_token=token, password=PASSWORD))[0] == 303
        assert (await elsewhere.signs_in("dana", PASSWORD))[0] == 303


async def test_one_sees_and_ends_ones_own_sessions_and_no_others(running: Zimwatch) -> None:
    dana, erin = await with_password(running.store), await with_password(running.store, "erin")
    async with person(running) as first, person(running) as second, person(running) as of_erin:
        await first.signs_in("dana", PASSWORD)
        second.http.headers["User-Agent"] = FIREFOX
        await second.signs_in("dana", PASSWORD)
        await of_erin.signs_in("erin", PASSWORD)
        sessions = running.store.credentials
        ids = {one: sessions.session(one.cookie() or "") for one in (first, second, of_erin)}
        numbers = {one: found.id for one, found in ids.items() if found is not None}
        token = await form_token(first)
        _, page = await first.gets("/account")
        assert set(re.findall(r"/account/sessions/(\d+)/end", page)) == {str(numbers[second])}
        assert f'title="{FIREFOX}">Firefox on Linux</span>' in page
        assert '<a href="/account" aria-current="page">' in page
        for other, remains in ((of_erin, 200), (second, 303)):
            await first.posts(f"/account/sessions/{numbers[other]}/end", form_token=token)
            assert (await other.gets("/users"))[0] == remains
        await second.signs_in("dana", PASSWORD)
        assert (await first.posts("/account/sessions/end", form_token=token))[0] == 303
        assert (await first.gets("/users"))[0] == 303
        assert (await second.gets("/users"))[0] == 303
        assert (await of_erin.gets("/users"))[0] == 200
        assert await running.store.read(browser_sessions.list_of, browser_sessions.owner_key(dana)) == []
        assert len(await running.store.read(browser_sessions.list_of, browser_sessions.owner_key(erin))) == 1


async def test_with_a_token_one_sees_this_browser_alone_and_has_no_password(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read")
    async with person(running) as one, person(running) as other:
        await one.signs_in("", secret)
        await other.signs_in("", secret)
        token = await form_token(one, "/token")
        _, page = await one.gets("/account")
        assert "/account/password" not in page
        assert "/sessions/" not in page
        assert (await one.posts("/account/password", form_token=token, present="", **NEW))[0] == 404
        assert (await one.gets("/account/codes"))[0] == 404
        assert (await one.posts("/account/sessions/end", form_token=token))[0] == 303
        assert (await one.gets("/users"))[0] == 303
        assert (await other.gets("/users"))[0] == 200


async def test_an_administrator_adds_an_account_whose_owner_sets_the_password_once(
    running: Zimwatch, machine: Machine
) -> None:
    await with_password(running.store, "root", "admin")
    async with person(running) as root, person(running) as dana, person(running) as mallory:
        await root.signs_in("root", PASSWORD)
        token = await form_token(root, "/accounts")
        given = {"form_token": token, "name": "Dana", "role": "support", "apps": "7, 9"}
        status, page = await root.posts("/accounts", **given)
        assert status == 200
        (link,) = re.findall(r"(/set-password/[\w-]+)<", page)
        assert (await named(running, "dana")).apps == frozenset({7, 9})
        assert link not in (await root.gets("/accounts"))[1]
        assert (await root.posts("/accounts", **given))[0] == 400
        assert (await dana.posts(link, **NEW | {"repeated": "something different"}))[0] == 400
        assert (await dana.posts(link, password="short", repeated="short"))[0] == 400
        assert (await mallory.posts("/set-password/guess", **NEW))[0] == 400
        # The name in the form is for the browser's list of passwords, and chooses nobody.
        assert (await dana.posts(link, **NEW, name="root"))[0] == 303
        assert (await mallory.posts(link, **NEW))[0] == 400
        assert (await mallory.gets(link))[0] == 404
        assert (await dana.signs_in("dana", NEW["password"]))[0] == 303
        path = f"/accounts/{(await named(running, 'dana')).id}"
        (late,) = re.findall(r"(/set-password/[\w-]+)<", (await root.posts(path, form_token=token, do="link"))[1])
        machine.passes(3 * DAY_US / SECOND_US)
        assert (await mallory.posts(late, **NEW))[0] == 400


async def test_an_account_is_not_limited_to_what_no_app_can_be(running: Zimwatch) -> None:
    for none in (-1, 2**63):
        with pytest.raises(AccountError, match=f"{none} is no AppID"):
            await running.store.write(account_admin.create, "dana", "viewer", frozenset({7, none}), 1)


async def test_nobody_changes_accounts_but_an_administrator_of_every_app(running: Zimwatch) -> None:
    dana = await with_password(running.store, "dana", "operator")
    await with_password(running.store, "limited", "admin", frozenset({7}))
    await with_password(running.store, "root", "admin")
    for name in ("dana", "limited"):
        async with person(running) as browser:
            await browser.signs_in(name, PASSWORD)
            token = await form_token(browser)
            assert (await browser.gets("/accounts"))[0] == 403
            given = {"form_token": token, "name": "mallory", "role": "admin"}
            assert (await browser.posts("/accounts", **given))[0] == 403
            raised = {"form_token": token, "do": "role", "role": "admin"}
            assert (await browser.posts(f"/accounts/{dana.id}", **raised))[0] == 403
            # A field too many raises nobody.
            await browser.posts("/account/password", form_token=token, present=PASSWORD, **NEW, role="admin", id="3")
            assert (await named(running, name)).role == ("operator" if name == "dana" else "admin")


async def test_the_last_administrator_stays(running: Zimwatch) -> None:
    root = await with_password(running.store, "root", "admin")
    await with_password(running.store, "limited", "admin", frozenset({7}))
    async with person(running) as browser:
        await browser.signs_in("root", PASSWORD)
        token, path = await form_token(browser, "/accounts"), f"/accounts/{root.id}"
        for change in (
            {"do": "disable"},
            {"do": "role", "role": "viewer", "apps": "every"},
            {"do": "role", "role": "admin", "apps": "7"},
        ):
            assert (await browser.posts(path, form_token=token, **change))[0] == 400, change
        role = {"do": "role", "role": "admin"}
        no_apps = [role | {"apps": apps} for apps in ("x", "", " , ", "every 7", "9223372036854775808")]
        for nonsense in ({"do": "sudo"}, role | {"role": "god", "apps": "every"}, role, *no_apps):
            assert (await browser.posts(path, form_token=token, **nonsense))[0] == 400, nonsense
        assert (await browser.posts("/accounts/99", form_token=token, do="disable"))[0] == 404
        await with_password(running.store, "other", "admin")
        limited = f"/accounts/{(await named(running, 'limited')).id}"
        assert (await browser.posts(limited, form_token=token, **role, apps=" , "))[0] == 400
        assert (await named(running, "limited")).apps == frozenset({7})
        assert (await browser.posts(limited, form_token=token, **role, apps="every"))[0] == 303
        assert (await named(running, "limited")).apps is None
        assert (await browser.posts(path, form_token=token, do="disable"))[0] == 303
        assert (await browser.gets("/"))[0] == 303


async def test_names_and_browsers_are_text_on_every_page(running: Zimwatch) -> None:
    await with_password(running.store, "root", "admin")
    async with person(running) as browser:
        browser.http.headers["User-Agent"] = "<script>alert(1)</script>"
        await browser.signs_in("root", PASSWORD)
        token = await form_token(browser, "/accounts")
        evil = {"name": '"><script>alert(2)</script>', "role": "<b>", "apps": "<i>"}
        for _, page in (
            await browser.gets("/account"),
            await browser.posts("/accounts", form_token=token, **evil),
            await browser.posts("/set-password/x", **evil, **NEW),
            await browser.posts("/sign-in/code", ticket=evil["name"], code=evil["name"], next=evil["name"]),
        ):
            assert "<script>alert" not in page
            assert "<b>" not in page


async def test_on_the_open_loopback_the_first_account_is_an_administrator_and_ends_the_open_access(
    tmp_path: Path,
) -> None:
    async with zimwatch(tmp_path) as running, person(running) as local:
        local.address = None
        token = await form_token(local, "/accounts")
        given = {"form_token": token, "name": "root"}
        assert (await local.posts("/accounts", **given, role="viewer"))[0] == 400
        assert (await local.posts("/accounts", **given, role="admin", apps="7"))[0] == 400
        status, page = await local.posts("/accounts", **given, role="admin", apps="every")
        assert status == 200
        assert (await local.gets("/accounts"))[0] == 303
        (link,) = re.findall(r"(/set-password/[\w-]+)<", page)
        assert (await local.posts(link, **NEW))[0] == 303
        assert (await local.signs_in("root", NEW["password"]))[0] == 303
        assert (await local.gets("/accounts"))[0] == 200
