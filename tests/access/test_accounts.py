"""Signing in with an account: passwords, one-time codes, and what an attacker learns and gets."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pyotp
import pytest
from argon2 import PasswordHasher
from yarl import URL

from sidecar.access import account_admin, one_time_codes, throttle
from sidecar.domain.units import SECOND_US
from sidecar.settings import ServerSettings
from sidecar.store import Store
from sidecar.store.access import accounts, browser_sessions, second_factor
from sidecar.store.access.account_keys import AccountKeys
from sidecar.store.values import Account
from tests.support.accounts import PASSWORD, weak_hasher, with_password
from tests.support.audited import Look, looks
from tests.support.clocks import Machine
from tests.support.running import Zimwatch
from tests.support.stores import opened
from tests.support.tokens import new_token

PAGE = {"Accept": "text/html"}
HERE, THERE = "203.0.113.9", "203.0.113.10"


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"machine": machine, "server": ServerSettings(trusted_proxies=("127.0.0.1",))}


class Person:
    """A browser with cookies of its own."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.address: str | None = "203.0.113.8"

    async def posts(self, path: str, **given: str) -> tuple[int, str]:
        headers = PAGE | ({} if self.address is None else {"X-Forwarded-For": self.address})
        async with self.http.post(path, data=given, headers=headers, allow_redirects=False) as response:
            return response.status, await response.text()

    async def signs_in(self, name: str, password: str, *, address: str | None = None) -> tuple[int, str]:
        self.address = address or self.address
        return await self.posts("/sign-in", name=name, password=password)

    async def gets(self, path: str) -> tuple[int, str]:
        async with self.http.get(path, headers=PAGE, allow_redirects=False) as response:
            return response.status, await response.text()

    def cookie(self, name: str = "zimwatch-session") -> str | None:
        return next((one.value for one in self.http.cookie_jar if one.key == name), None)


@contextlib.asynccontextmanager
async def person(running: Zimwatch) -> AsyncIterator[Person]:
    async with aiohttp.ClientSession(running.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Person(http)


@contextlib.contextmanager
def hashes_counted() -> Iterator[list[str]]:
    """Each time that a password is hashed or verified."""
    done: list[str] = []
    verify, hashed = PasswordHasher.verify, PasswordHasher.hash

    def counted_verify(self: PasswordHasher, *given: Any) -> bool:
        done.append("verify")
        return verify(self, *given)

    def counted_hash(self: PasswordHasher, *given: Any, **options: Any) -> str:
        done.append("hash")
        return hashed(self, *given, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PasswordHasher, "verify", counted_verify)
        patched.setattr(PasswordHasher, "hash", counted_hash)
        yield done


async def test_a_person_signs_in_in_any_spelling_of_the_name_and_acts_under_it(running: Zimwatch) -> None:
    await with_password(running.store, role="operator")
    async with person(running) as dana:
        assert (await dana.signs_in(" DANA", PASSWORD))[0] == 303
        assert (await dana.gets("/users"))[0] == 200
        session = running.store.credentials.session(dana.cookie() or "")
        assert session is not None
        assert isinstance(session.owner, Account)
        assert session.owner.name == "dana"


async def test_accounts_sign_in_by_the_form_alone(running: Zimwatch) -> None:
    await with_password(running.store, role="admin")
    auth = {"Authorization": aiohttp.encode_basic_auth("dana", PASSWORD)}
    with hashes_counted() as done:
        async with running.http.get("/v1/users", headers=auth) as response:
            assert response.status == 401
    assert done == []


async def test_no_answer_and_no_work_tells_which_accounts_there_are(running: Zimwatch, machine: Machine) -> None:
    await with_password(running.store, "dana")
    gone = await with_password(running.store, "gone")
    await running.store.write(accounts.disable, gone.id, 1)
    await running.store.write(accounts.create, "new", "viewer", None, 1)
    answers, work = set(), []
    for name, password in (
        ("dana", "wrong password"),
        ("gone", PASSWORD),
        ("new", ""),
        ("nobody", PASSWORD),
        ("no body", PASSWORD),
        ("x" * 5_000, PASSWORD),
        ("dana", "x" * 2_000),
    ):
        with hashes_counted() as done:
            async with person(running) as mallory:
                status, text = await mallory.signs_in(name, password)
        assert "zimwatch-device" not in str(mallory.http.cookie_jar)
        work.append(len(done))
        answers.add((status, re.search(r'id="sign-in-problem">([^<]*)<', text)))
        machine.passes(60)
    assert {(status, match and match[1]) for status, match in answers} == {(401, "The name or the password is wrong.")}
    assert set(work) == {1}


async def test_attempts_at_unknown_names_are_throttled_like_those_at_accounts(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "AT_ONCE", 1_000)
    await with_password(running.store)
    refused_at = {}
    for name in ("dana", "nobody"):
        async with person(running) as mallory:
            for count in range(100):
                status, _ = await mallory.signs_in(name, "a guess", address=f"198.51.100.{count}")
                if status == 429:
                    refused_at[name] = count
                    break
    assert refused_at == {"dana": throttle.ACCOUNT_AT_ONCE, "nobody": throttle.ACCOUNT_AT_ONCE}


async def test_an_attack_from_everywhere_does_not_keep_a_known_browser_out(running: Zimwatch) -> None:
    await with_password(running.store)
    async with person(running) as dana, person(running) as mallory:
        assert (await dana.signs_in("dana", PASSWORD, address=HERE))[0] == 303
        for count in range(throttle.ACCOUNT_AT_ONCE + 5):
            status, _ = await mallory.signs_in("dana", "a guess", address=f"198.51.100.{count}")
        assert status == 429
        with hashes_counted() as done:
            assert (await mallory.signs_in("dana", PASSWORD, address=THERE))[0] == 429
        assert done == [], "nothing is hashed for an attempt that is refused"
        assert (await dana.signs_in("dana", PASSWORD, address=HERE))[0] == 303
        # The mark of one account is worth nothing at another one, nor a changed one.
        await with_password(running.store, "erin")
        device = dana.cookie("zimwatch-device") or ""
        forged = {"zimwatch-device": device.replace("1 ", "2 ", 1)}
        mallory.http.cookie_jar.update_cookies(forged, URL(running.url))
        assert (await mallory.signs_in("dana", PASSWORD, address=THERE))[0] == 429


async def test_each_sign_in_and_each_change_of_the_password_gives_the_browser_a_new_secret(running: Zimwatch) -> None:
    await with_password(running.store)
    async with person(running) as dana, person(running) as elsewhere:
        dana.http.cookie_jar.update_cookies({"zimwatch-session": "chosen-by-mallory"}, URL(running.url))
        await dana.signs_in("dana", PASSWORD)
        first = dana.cookie()
        assert first != "chosen-by-mallory"
        await elsewhere.signs_in("dana", PASSWORD)
        _, page = await dana.gets("/account")
        token = re.findall(r'name="form_token" value="([^"]+)"', page)[0]
        new = {"password": "another long password", "repeated": "another long password"}
        assert (await dana.posts("/account/password", form_token=token, present="wrong password", **new))[0] == 401
        assert (await dana.posts("/account/password", form_token="", present=PASSWORD, **new))[0] == 403
        assert (await dana.posts("/account/password", form_token=token, present=PASSWORD, **new))[0] == 303
        assert dana.cookie() != first
        assert (await dana.gets("/users"))[0] == 200
        assert (await elsewhere.gets("/users"))[0] == 303
        assert running.store.credentials.session(first or "") is None
        assert (await elsewhere.signs_in("dana", PASSWORD))[0] == 401
        assert (await elsewhere.signs_in("dana", "another long password"))[0] == 303


async def test_a_role_that_changes_elsewhere_ends_sessions_and_open_streams(
    running: Zimwatch, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.web.changes.KEEP_ALIVE_S", 0.05)
    dana = await with_password(running.store, role="operator")
    async with person(running) as browser:
        await browser.signs_in("dana", PASSWORD)
        async with browser.http.get("/live/users", headers={"Accept": "text/event-stream"}) as stream:
            assert stream.status == 200
            command_line = opened(tmp_path, attach=True)
            await command_line.write(account_admin.change, "dana", "viewer", None, 1)
            await command_line.close()
            machine.passes(1)
            assert (await browser.gets("/users"))[0] == 303
            assert b"event: end" in await stream.read()
        await browser.signs_in("dana", PASSWORD)
        assert (await browser.gets("/users"))[0] == 403
        await running.store.write(accounts.disable, dana.id, machine.now_us)
        assert (await browser.gets("/"))[0] == 303


async def test_a_session_does_not_begin_with_a_password_that_is_changed_meanwhile(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = await with_password(running.store)
    verify = PasswordHasher.verify

    def slowly(self: PasswordHasher, *given: Any) -> bool:
        with contextlib.closing(sqlite3.connect(running.store.name)) as connection, connection:
            connection.execute("UPDATE accounts SET password_changed_at_us = 99 WHERE id = ?", (dana.id,))
        return verify(self, *given)

    monkeypatch.setattr(PasswordHasher, "verify", slowly)
    async with person(running) as browser:
        assert (await browser.signs_in("dana", PASSWORD))[0] == 401
        assert browser.cookie() is None


async def test_a_hash_with_other_parameters_is_renewed_at_the_next_sign_in(running: Zimwatch) -> None:
    dana = await with_password(running.store)
    former = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await running.store.write(accounts.set_password, dana.id, former, 2)
    async with person(running) as browser:
        assert (await browser.signs_in("dana", PASSWORD))[0] == 303
    found = await running.store.read(accounts.with_hash, "dana")
    assert found is not None
    assert found[1] is not None
    assert not weak_hasher().check_needs_rehash(found[1])


async def with_codes(store: Store) -> tuple[Account, str, list[str]]:
    dana, secret, recovery = await with_password(store), one_time_codes.new_secret(), ["a" * 16, "b" * 16]
    keys = await store.read(AccountKeys.read)
    await store.write(second_factor.turn_on, dana.id, keys.totp.encrypt(secret.encode()), 0, recovery)
    return dana, secret, recovery


async def ticket_of(browser: Person) -> str:
    status, page = await browser.signs_in("dana", PASSWORD)
    assert status == 200
    assert browser.cookie() is None
    (ticket,) = re.findall(r'name="ticket" value="([^"]+)"', page)
    return str(ticket)


async def test_a_one_time_code_counts_once_and_a_clock_may_be_off_by_a_step(
    running: Zimwatch, machine: Machine
) -> None:
    _, secret, _ = await with_codes(running.store)
    totp = pyotp.TOTP(secret)

    def code(steps: int) -> str:
        return totp.at(machine.now_us // SECOND_US + 30 * steps)

    async with person(running) as browser, person(running) as mallory:
        ticket = await ticket_of(browser)
        assert (await mallory.posts("/sign-in/code", ticket=ticket, code=code(2)))[0] == 401
        assert (await browser.posts("/sign-in/code", ticket=ticket, code=code(-1)))[0] == 303
        assert (await browser.gets("/users"))[0] == 200
        for steps in (-1, -2):
            assert (await mallory.posts("/sign-in/code", ticket=ticket, code=code(steps)))[0] == 401
        assert (await mallory.posts("/sign-in/code", ticket=ticket, code=f"{code(1)[:3]} {code(1)[3:]}"))[0] == 303
        assert (await browser.posts("/sign-in/code", ticket=ticket, code=code(0)))[0] == 401, "of an earlier step"


async def test_a_ticket_is_of_one_password_and_some_minutes_and_cannot_be_made(
    running: Zimwatch, machine: Machine
) -> None:
    dana, secret, (first, _) = await with_codes(running.store)
    async with person(running) as browser:
        ticket = await ticket_of(browser)
        for forged in ("", "1 1 1", ticket[:-1], ticket.replace(str(dana.id), "2", 1), "é\ud7ff"):
            assert (await browser.posts("/sign-in/code", ticket=forged, code=first))[0] == 401
        machine.passes(300)
        assert (await browser.posts("/sign-in/code", ticket=ticket, code=first))[0] == 401
        ticket = await ticket_of(browser)
        await running.store.write(accounts.set_password, dana.id, weak_hasher().hash(PASSWORD), machine.now_us)
        code = pyotp.TOTP(secret).at(machine.now_us // SECOND_US)
        assert (await browser.posts("/sign-in/code", ticket=ticket, code=code))[0] == 401
        ticket = await ticket_of(browser)
        assert (await browser.posts("/sign-in/code", ticket=ticket, code=code))[0] == 303


async def test_a_recovery_code_counts_once_and_guessing_codes_is_slow(running: Zimwatch) -> None:
    _, _, (first, second) = await with_codes(running.store)
    async with person(running) as browser:
        ticket = await ticket_of(browser)
        typed = one_time_codes.readable(first).upper()
        assert (await browser.posts("/sign-in/code", ticket=ticket, code=typed))[0] == 303
        assert await running.store.read(second_factor.recovery_codes_left, 1) == 1
    async with person(running) as mallory:
        ticket = await ticket_of(mallory)
        tried = [(await mallory.posts("/sign-in/code", ticket=ticket, code=typed))[0] for _ in range(7)]
        assert tried == [401] * throttle.CODES_AT_ONCE + [429] * (7 - throttle.CODES_AT_ONCE)
        assert (await mallory.posts("/sign-in/code", ticket=ticket, code=second))[0] == 429


async def test_nothing_in_the_database_signs_anybody_in(running: Zimwatch) -> None:
    _, secret, recovery = await with_codes(running.store)
    with contextlib.closing(sqlite3.connect(running.store.name)) as connection:
        dump = "\n".join(connection.iterdump())
    for one in (PASSWORD, secret, *recovery):
        assert one not in dump
        assert one.encode().hex() not in dump.lower()


async def test_a_token_signs_in_as_the_password_beside_any_name(running: Zimwatch) -> None:
    await with_password(running.store)
    _, token = await new_token(running.store, "read")
    with hashes_counted() as done:
        for name in ("dana", "", "somebody"):
            async with person(running) as browser:
                assert (await browser.signs_in(name, token))[0] == 303
                session = running.store.credentials.session(browser.cookie() or "")
                assert session is not None
                assert not isinstance(session.owner, Account)
    assert done == []


async def test_too_many_passwords_at_once_are_refused_and_not_counted(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_password(running.store)
    monkeypatch.setattr("sidecar.access.passwords.WAITING_MOST", -2)
    async with person(running) as browser:
        for _ in range(throttle.AT_ONCE + 1):
            assert (await browser.signs_in("dana", PASSWORD))[0] == 503
        monkeypatch.undo()
        assert (await browser.signs_in("dana", PASSWORD))[0] == 303


async def test_an_account_has_a_bounded_number_of_sessions(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_sessions, "MOST_OF_AN_OWNER", 3)
    dana = await with_password(running.store)
    for _ in range(5):
        async with person(running) as browser:
            await browser.signs_in("dana", PASSWORD)
    assert len(await running.store.read(browser_sessions.list_of, browser_sessions.owner_key(dana))) == 3


async def test_the_audit_log_names_the_account_of_failed_sign_ins_and_of_changes(running: Zimwatch) -> None:
    _, _, (recovery, _) = await with_codes(running.store)
    await with_password(running.store, "root", role="admin")
    async with person(running) as mallory:
        assert (await mallory.signs_in("Dana", "wrong password"))[0] == 401
        assert (await mallory.signs_in("nobody", PASSWORD))[0] == 401
        ticket = await ticket_of(mallory)
        assert (await mallory.posts("/sign-in/code", ticket=ticket, code="000000"))[0] == 401
        assert (await mallory.posts("/sign-in/code", ticket=ticket, code=recovery))[0] == 303
    async with person(running) as root:
        assert (await root.signs_in("root", PASSWORD))[0] == 303
        _, page = await root.gets("/accounts")
        (token, *_) = re.findall(r'name="form_token" value="([^"]+)"', page)
        assert (await root.posts("/accounts", form_token=token, name="erin", role="viewer", apps="every"))[0] == 200
        assert (await root.posts("/accounts/1", form_token=token, do="codes-off"))[0] == 303
    found = await looks(running)
    nobody = "not signed in", "request.refused"
    assert [one for one in found if one.action == "request.refused"] == [
        Look(*nobody, "account dana", {"status": 401, "route": "/sign-in"}),
        Look(*nobody, None, {"status": 401, "route": "/sign-in"}),
        Look(*nobody, "account dana", {"status": 401, "route": "/sign-in/code"}),
    ]
    assert [one for one in found if one.action in {"session.begun", "account.changed"}] == [
        Look("account dana", "session.begun", "account dana", {}),
        Look("account root", "session.begun", "account root", {}),
        Look("account root", "account.changed", "account erin", {"did": "add", "role": "viewer"}),
        Look("account root", "account.changed", "account dana", {"did": "codes-off"}),
    ]
