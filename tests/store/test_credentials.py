"""Tokens and sessions in memory: what a request costs, and how soon a change counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.access import accounts, browser_sessions, credentials, tokens
from sidecar.store.access.browser_sessions import New
from sidecar.store.access.tokens import NewToken
from sidecar.store.values import Commit, SessionOwner
from tests.support.accounts import ERIN, new_account
from tests.support.clocks import Machine
from tests.support.counted import peeked
from tests.support.databases import url_of
from tests.support.events import APP_ID, Phone
from tests.support.stores import opened
from tests.support.tokens import new_token, revoke

pytestmark = pytest.mark.both_engines("soak")

REQUESTS = 1_000
A_CHECK_S = credentials.OLDEST_US / SECOND_US


@pytest.fixture
async def store(tmp_path: Path, machine: Machine) -> AsyncIterator[Store]:
    store = Store.open(url_of(tmp_path), clock=machine.clock, steady=machine.steady)
    yield store
    await store.close()


async def session(store: Store, secret: str, now_us: int) -> None:
    token, _ = await new_token(store, "read")
    await begun(store, secret, token, now_us)


async def begun(store: Store, secret: str, owner: SessionOwner, now_us: int) -> None:
    new = New(owner=owner, name="dana", created_at_us=now_us)
    await store.write(browser_sessions.begin, secret, new, created_after_us=0)


@pytest.mark.of_sqlite
async def test_a_thousand_requests_with_a_token_or_a_session_cost_as_many_statements_as_one(
    store: Store, machine: Machine
) -> None:
    _, secret = await new_token(store, "ingest")
    await session(store, "cookie", machine.now_us)
    with peeked(store) as executed:
        for _ in range(REQUESTS):
            assert store.credentials.any_access_ever()
            assert store.credentials.token(secret)
            assert store.credentials.session("cookie")
    assert len(executed) == 4, executed


@pytest.mark.of_sqlite
async def test_while_there_is_no_token_a_thousand_requests_cost_two_statements_and_the_first_one_counts_soon(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    with peeked(store) as executed:
        assert not any(store.credentials.any_access_ever() for _ in range(REQUESTS))
    assert len(executed) == 2, executed
    command_line = opened(tmp_path, attach=True)
    await new_token(command_line, "write")
    await command_line.close()
    machine.passes(A_CHECK_S)
    assert store.credentials.any_access_ever()


async def test_the_first_token_of_this_process_counts_with_its_commit(store: Store) -> None:
    assert not store.credentials.any_access_ever()
    await new_token(store, "write")
    assert store.credentials.any_access_ever()


@pytest.mark.of_sqlite
async def test_while_events_are_committed_a_token_costs_statements_by_time_and_not_by_request(
    store: Store, machine: Machine
) -> None:
    _, secret = await new_token(store, "ingest")
    alice = Phone("alice")
    with peeked(store) as executed:
        for at in range(40):
            await store.append([alice.login(at)])
            machine.passes(0.05)
            assert store.credentials.token(secret)
    checks = round(40 * 0.05 / A_CHECK_S) + 1
    assert len(executed) <= 2 * checks


async def test_a_revoked_token_is_known_as_such_with_the_commit(store: Store) -> None:
    token, secret = await new_token(store, "write")
    assert store.credentials.token(secret) == token
    await revoke(store, token)
    found = store.credentials.token(secret)
    assert found is not None
    assert found.revoked_at_us is not None


@pytest.mark.of_sqlite  # of PostgreSQL the announcement takes a moment: test_postgres.py
async def test_a_token_of_another_process_is_known_at_once_and_its_revocation_at_the_next_check(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    assert store.credentials.token("zw_guess") is None
    command_line = opened(tmp_path, attach=True)
    token, secret = await new_token(command_line, "write")
    assert store.credentials.token(secret) == token
    await revoke(command_line, token)
    machine.passes(A_CHECK_S)
    revoked = store.credentials.token(secret)
    await command_line.close()
    assert revoked is not None
    assert revoked.revoked_at_us is not None
    assert credentials.OLDEST_US < SECOND_US


async def test_nothing_of_a_transaction_that_was_undone_is_seen(store: Store) -> None:
    token, kept = await new_token(store, "read")
    undone = []

    def fail(connection: sa.Connection) -> None:
        undone.append(tokens.create(connection, NewToken(scope="write"), 1)[1])
        tokens.revoke(connection, token.id, 1)
        assert store.credentials.token(kept) == token, "a request meanwhile"
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fail)
    assert [store.credentials.token(secret) for secret in undone] == [None]
    assert store.credentials.token(kept) == token


@pytest.mark.of_sqlite
async def test_a_row_that_was_read_before_a_change_is_not_kept_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, secret = await new_token(store, "read")
    read = store._database.peek

    def slowly(sql: str, *values: object) -> object:
        rows = read(sql, *values)
        store.credentials._follow(Commit(access=True))  # the writer's thread commits a revocation just now
        return rows

    monkeypatch.setattr(store._database, "peek", slowly)
    assert store.credentials.token(secret) == token
    monkeypatch.undo()
    with peeked(store) as executed:
        assert store.credentials.token(secret) == token
    assert any("api_tokens" in sql for sql in executed)


async def test_unknown_secrets_take_no_memory_and_known_ones_a_bounded_amount(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MOST", 3)
    secrets = [(await new_token(store, "ingest"))[1] for _ in range(7)]
    for number in range(REQUESTS):
        assert store.credentials.token(f"zw_{number}") is None
        assert store.credentials.session(f"{number}") is None
    assert (store.credentials._held.tokens, store.credentials._held.sessions) == ({}, {})
    for secret in secrets:
        assert store.credentials.token(secret)
        assert 1 <= len(store.credentials._held.tokens) <= 3


async def test_a_session_ends_and_is_seen_with_the_commit(store: Store, machine: Machine) -> None:
    await session(store, "cookie", machine.now_us)
    before = store.credentials.session("cookie")
    assert before is not None
    machine.passes(90)
    await store.write(browser_sessions.seen, before.id, machine.now_us)
    seen = store.credentials.session("cookie")
    assert seen is not None
    assert seen.seen_at_us == machine.now_us
    await store.write(browser_sessions.end, "cookie")
    assert store.credentials.session("cookie") is None


@pytest.mark.of_sqlite
async def test_the_apps_of_tokens_are_those_of_valid_ones_by_the_clock(store: Store, machine: Machine) -> None:
    in_a_minute_us = machine.now_us + 60 * SECOND_US
    await new_token(store, "ingest", APP_ID, in_a_minute_us)
    await new_token(store, "ingest", 7, in_a_minute_us)
    forever, _ = await new_token(store, "read", 7)
    with peeked(store) as executed:
        for _ in range(REQUESTS):
            assert store.credentials.apps() == {APP_ID, 7}
    assert len(executed) == 2
    machine.passes(60)
    assert store.credentials.apps() == {7}
    await revoke(store, forever)
    assert store.credentials.apps() == set()


async def test_subscribers_are_not_woken_by_a_change_of_access(store: Store) -> None:
    commits: list[Commit] = []
    store.subscribe(commits.append)
    await new_token(store, "read")
    await store.append([Phone("alice").login(0)])
    assert [bool(commit.users) for commit in commits] == [True]


@pytest.mark.of_sqlite
async def test_a_session_of_an_account_costs_no_statement_and_ends_with_its_role_also_from_another_process(
    store: Store, tmp_path: Path, machine: Machine
) -> None:
    dana = await new_account(store, apps=frozenset({7}))
    await begun(store, "cookie", dana, machine.now_us)
    with peeked(store) as executed:
        for _ in range(REQUESTS):
            found = store.credentials.session("cookie")
    assert found is not None
    assert found.owner == dana
    assert len(executed) == 2, executed
    await store.write(accounts.change, dana.id, role="viewer", apps=None)
    assert store.credentials.session("cookie") is None
    await begun(store, "another", dana, machine.now_us)
    again = store.credentials.session("another")
    assert again is not None
    assert again.owner == msgspec.structs.replace(dana, role="viewer", apps=None)
    command_line = opened(tmp_path, attach=True)
    await command_line.write(accounts.disable, dana.id, machine.now_us)
    await command_line.close()
    machine.passes(A_CHECK_S)
    assert store.credentials.session("another") is None


async def test_an_account_ends_the_access_without_one(store: Store) -> None:
    assert not store.credentials.any_access_ever()
    await new_account(store)
    assert store.credentials.any_access_ever()


async def test_a_session_of_an_identity_from_outside_has_what_its_provider_said_last(
    store: Store, machine: Machine
) -> None:
    new = New(owner=ERIN, created_at_us=machine.now_us, refresh="opaque")
    await store.write(browser_sessions.begin, "cookie", new, created_after_us=0)
    found = store.credentials.session("cookie")
    assert found is not None
    assert found.owner == ERIN
    assert await store.read(browser_sessions.refresh_of, found.id) == "opaque"
    promoted = msgspec.structs.replace(ERIN, name="Erin F.", role="operator", apps=None, checked_at_us=9)
    await store.write(browser_sessions.confirm, found.id, promoted, "later")
    found = store.credentials.session("cookie")
    assert found is not None
    assert found.owner == promoted
    assert await store.read(browser_sessions.refresh_of, found.id) == "later"
    listed = await store.read(browser_sessions.list_of, browser_sessions.owner_key(ERIN))
    assert [one.id for one in listed] == [found.id]


async def test_the_sessions_of_one_owner_end_together_or_one_by_one_and_no_others(
    store: Store, machine: Machine
) -> None:
    dana, erin = await new_account(store), await new_account(store, "erin")
    for secret, owner in (("first", dana), ("second", dana), ("third", dana), ("erin's", erin)):
        await begun(store, secret, owner, machine.now_us)
    key = browser_sessions.owner_key(dana)
    newest, *_, oldest = await store.read(browser_sessions.list_of, key)
    assert await store.write(browser_sessions.end_of, browser_sessions.owner_key(erin), newest.id) == 0
    assert await store.write(browser_sessions.end_of, key, oldest.id) == 1
    assert store.credentials.session("first") is None
    assert store.credentials.session("second") is not None
    assert await store.write(browser_sessions.end_of, key) == 2
    assert store.credentials.session("third") is None
    assert store.credentials.session("erin's") is not None
