"""Tokens in the database: rotation with overlap, what ends with what, and what a list and a migration show."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.domain.units import DAY_US, HOUR_US, SECOND_US
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.access.tokens import NewToken, TokenRefusedError
from sidecar.store.values import Token
from tests.store.test_upgrade import migrate
from tests.support.clocks import Machine
from tests.support.databases import url_of
from tests.support.events import Phone
from tests.support.stores import contents, opened

pytestmark = pytest.mark.both_engines("soak")


@pytest.fixture
async def store(tmp_path: Path, machine: Machine) -> AsyncIterator[Store]:
    store = Store.open(url_of(tmp_path), clock=machine.clock, steady=machine.steady)
    yield store
    await store.close()


async def made(store: Store, now_us: int, **wanted: Any) -> tuple[Token, str]:
    return await store.write(tokens.create, NewToken(**{"scope": "ingest"} | wanted), now_us)


async def rotated(store: Store, token: Token, overlap_us: int, now_us: int, **more: Any) -> tuple[Token, str]:
    return await store.write(tokens.rotate, token.id, overlap_us=overlap_us, now_us=now_us, **more)


async def now(store: Store, token: Token) -> Token:
    found = await store.read(tokens.one, token.id)
    assert found is not None
    return found


async def state(store: Store, token: Token, at_us: int) -> str:
    return (await now(store, token)).state(at_us)


async def test_both_secrets_work_until_the_overlap_ends_and_the_successor_alone_from_that_moment_on(
    store: Store, machine: Machine
) -> None:
    begin_us = machine.now_us
    as_made = {"name": "web", "apps": frozenset({7, 8}), "origins": ("https://app.example",)}
    old, old_secret = await made(store, begin_us, **as_made, expires_at_us=begin_us + 90 * DAY_US)
    rotated_us = begin_us + 10 * DAY_US
    new, new_secret = await rotated(store, old, HOUR_US, rotated_us)
    ends_us = rotated_us + HOUR_US
    assert [await state(store, one, ends_us - 1) for one in (old, new)] == ["good", "good"]
    assert [await state(store, one, ends_us) for one in (old, new)] == ["expired", "good"]
    assert old_secret != new_secret
    found = store.credentials.token(new_secret), store.credentials.token(old_secret)
    assert [one and one.id for one in found] == [new.id, old.id]
    assert (new.name, new.apps, new.origins) == ("web", frozenset({7, 8}), ("https://app.example",))
    assert new.expires_at_us == rotated_us + 90 * DAY_US
    listed = await store.read(tokens.listed, ends_us)
    assert [(one.id, one.name, one.replaced_by) for one in listed] == [(old.id, "web", new.id), (new.id, "web", None)]


async def test_without_an_overlap_the_old_secret_ends_at_once_and_an_overlap_never_lengthens_its_life(
    store: Store, machine: Machine
) -> None:
    at_us = machine.now_us
    first, _ = await made(store, at_us)
    await rotated(store, first, 0, at_us)
    assert await state(store, first, at_us) == "expired"
    second, _ = await made(store, at_us, expires_at_us=at_us + SECOND_US)
    await rotated(store, second, HOUR_US, at_us)
    assert (await now(store, second)).expires_at_us == at_us + SECOND_US


async def test_a_token_that_has_ended_or_has_a_successor_is_not_rotated(store: Store, machine: Machine) -> None:
    at_us = machine.now_us
    twice, revoked, expired = [(await made(store, at_us))[0] for _ in range(3)]
    await rotated(store, twice, HOUR_US, at_us)
    await store.write(tokens.revoke, revoked.id, at_us)
    await rotated(store, expired, 0, at_us)
    for token_id, why in ((twice.id, "rotated before"), (revoked.id, "ended"), (expired.id, "ended"), (99, "ended")):
        with pytest.raises(TokenRefusedError, match=why):
            await store.write(tokens.rotate, token_id, overlap_us=0, now_us=at_us)
    assert len(await store.read(tokens.listed, at_us)) == 5


async def test_what_a_token_made_ends_with_it_at_any_depth_and_with_its_successor_once_it_is_rotated(
    store: Store, machine: Machine
) -> None:
    at_us = machine.now_us
    root, _ = await made(store, at_us, scope="write", expires_at_us=at_us + DAY_US)
    child, _ = await made(store, at_us, scope="write", made_by_token=root.id)
    grandchild, _ = await made(store, at_us, made_by_token=child.id)
    other, _ = await made(store, at_us)
    new_root, _ = await rotated(store, root, HOUR_US, at_us)
    new_grandchild, _ = await rotated(store, grandchild, HOUR_US, at_us)
    await store.write(tokens.revoke, root.id, at_us)
    family = (child, grandchild, new_grandchild)
    assert [await state(store, one, at_us) for one in family] == ["good"] * 3
    await store.write(tokens.revoke, new_root.id, at_us)
    assert [await state(store, one, at_us) for one in family] == ["revoked"] * 3
    assert await state(store, other, at_us) == "good"


async def test_a_line_ends_with_the_token_that_began_it_by_rotating_itself_also_after_that_expired(
    store: Store, machine: Machine
) -> None:
    at_us = machine.now_us
    stolen, _ = await made(store, at_us, scope="write")
    own, _ = await rotated(store, stolen, 0, at_us, by_token=stolen.id)
    child, _ = await made(store, at_us, made_by_token=own.id)
    by_hand, _ = await rotated(store, own, HOUR_US, at_us)
    await store.write(tokens.revoke, own.id, at_us)
    assert [await state(store, one, at_us) for one in (by_hand, child)] == ["good", "good"], "a person rotated it"
    assert await state(store, stolen, at_us) == "expired"
    assert await store.write(tokens.revoke, stolen.id, at_us)
    assert [await state(store, one, at_us) for one in (stolen, own, by_hand, child)] == ["revoked"] * 4


async def test_a_successor_lives_no_longer_than_who_rotates_it_and_than_the_token_that_made_it(
    store: Store, machine: Machine
) -> None:
    at_us = machine.now_us
    maker, _ = await made(store, at_us, scope="write", expires_at_us=at_us + 10 * DAY_US)
    child, _ = await made(store, at_us, made_by_token=maker.id, expires_at_us=at_us + 10 * DAY_US)
    new, _ = await rotated(store, child, 0, at_us + DAY_US)
    assert new.expires_at_us == at_us + 10 * DAY_US
    newest, _ = await rotated(store, new, 0, at_us + DAY_US, not_after_us=at_us + 2 * DAY_US)
    assert newest.expires_at_us == at_us + 2 * DAY_US


async def test_no_more_than_a_thousand_are_valid_and_a_list_has_them_and_the_newest_of_the_others(
    store: Store, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST_VALID", 3)
    monkeypatch.setattr(tokens, "ENDED_LISTED", 2)
    at_us = machine.now_us
    for _ in range(3):
        ended, _ = await made(store, at_us)
        await store.write(tokens.revoke, ended.id, at_us)
    for _ in range(3):
        await made(store, at_us)
    with pytest.raises(TokenRefusedError, match="3 valid tokens"):
        await made(store, at_us)
    assert [one.id for one in await store.read(tokens.listed, at_us)] == [2, 3, 4, 5, 6]


async def test_no_secret_of_a_token_or_its_successor_is_in_the_files(
    store: Store, machine: Machine, tmp_path: Path
) -> None:
    old, first = await made(store, machine.now_us)
    _, second = await rotated(store, old, HOUR_US, machine.now_us)
    for secret in (first, second):
        assert all(secret[15:40].encode() not in content for content in contents(tmp_path))


@pytest.mark.of_sqlite
async def test_tokens_of_before_are_bound_to_the_app_they_were_bound_to_and_their_secrets_work(tmp_path: Path) -> None:
    path = tmp_path / "zimwatch.db"
    migrate(path, "0031_reporters")
    secrets = {"zw_" + "a-_" * 14 + "b": None, "zw_read_" + "c" * 38: 7}
    with closing(sqlite3.connect(path)) as connection, connection:
        for secret, app_id in secrets.items():
            connection.execute(
                "INSERT INTO api_tokens (secret_sha256, hint, scope, app_id, created_at_us)"
                " VALUES (?, ?, 'read', ?, 1)",
                (tokens.hashed(secret), secret[:8], app_id),
            )
    store = opened(tmp_path)
    found = [store.credentials.token(secret) for secret in secrets]
    assert [one and (one.apps, one.name, one.origins) for one in found] == [
        (None, "", ()),
        (frozenset({7}), "", ()),
    ]
    assert store.credentials.apps() == {7}
    await store.close()


async def test_a_thousand_requests_of_a_token_are_one_record_of_its_use_an_hour_and_a_restart_keeps_it(
    store: Store, machine: Machine, tmp_path: Path
) -> None:
    token, secret = await made(store, machine.now_us)
    written = []
    record = tokens.mark_used

    def count(connection: object, used: dict[int, int]) -> None:
        written.append(dict(used))
        record(connection, used)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "mark_used", count)
        begin_us = machine.now_us
        for _ in range(1_000):
            machine.passes(3)
            found = store.credentials.token(secret)
            assert found is not None
            store.credentials.used(found)
            await store.record_uses()
        assert written == [{token.id: begin_us + 3 * SECOND_US}], "50 minutes"
        machine.passes(HOUR_US / SECOND_US)
        store.credentials.used(token)
        await store.close()
        assert len(written) == 2
        again = Store.open(url_of(tmp_path), clock=machine.clock, steady=machine.steady)
        kept = again.credentials.token(secret)
        assert kept is not None
        assert kept.last_used_at_us == machine.now_us
        again.credentials.used(kept)
        await again.close()
        assert len(written) == 2, "known from before the restart"


async def test_uses_of_many_tokens_share_a_commit_a_minute_and_what_could_not_be_written_is_kept(
    store: Store, machine: Machine
) -> None:
    many = [(await made(store, machine.now_us))[0] for _ in range(20)]
    commits = []
    for token in many:
        machine.passes(10)
        store.credentials.used(token)
        uses = store.credentials.unwritten_uses()
        if uses:
            commits.append(uses)
            if len(commits) == 1:
                store.credentials.keep_unwritten(uses)
    assert len(commits) == 4, "200 s"
    store.credentials.keep_unwritten(commits[-1])
    assert set().union(*commits) | set(store.credentials.unwritten_uses(at_once=True)) == {one.id for one in many}
    await store.append([Phone("alice").login(0)])
