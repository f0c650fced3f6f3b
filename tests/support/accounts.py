"""Accounts, made and changed in the store that a test has open."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
from argon2 import PasswordHasher

from sidecar.access import FirstRun
from sidecar.access.passwords import Passwords
from sidecar.domain.texts import verbatim
from sidecar.settings import ServerSettings, Settings
from sidecar.store import Store
from sidecar.store.access import account_links, accounts, browser_sessions, keys, second_factor
from sidecar.store.access.account_keys import AccountKeys
from sidecar.store.access.browser_sessions import New
from sidecar.store.values import Account, OutsideIdentity

ERIN = OutsideIdentity(
    issuer="https://id.example", subject="8f1", name="Erin", role="viewer", apps=frozenset({1, 22}), checked_at_us=1
)
"""An identity from outside."""


async def new_account(
    store: Store, name: str = "dana", role: str = "support", apps: frozenset[int] | None = None
) -> Account:
    """An account without a password."""
    account = await store.write(accounts.create, name, role, apps, 1)
    assert account is not None, name
    return account


PASSWORD = "correct horse battery"


async def with_password(
    store: Store, name: str = "dana", role: str = "support", apps: frozenset[int] | None = None, at_us: int = 1
) -> Account:
    """An account whose password is ``PASSWORD``."""
    account = await new_account(store, name, role, apps)
    await store.write(accounts.set_password, account.id, weak_hasher().hash(PASSWORD), at_us)
    found = await store.read(accounts.of_id, account.id)
    assert found is not None
    return found


async def every_statement_of_accounts(store: Store) -> None:
    """Executes every statement about accounts and their sessions, in a store without any."""
    with ThreadPoolExecutor(1) as pool:
        settings = Settings(server=ServerSettings(public_url="https://zim.example.com"))
        link = FirstRun(store, settings, lambda: 1, Passwords(weak_hasher(), pool))
        assert link.path is not None
        await link.make(link.path.rpartition("/")[2], "root", PASSWORD)
    dana = await new_account(store)
    key = browser_sessions.owner_key(dana)
    await store.write(accounts.set_password, dana.id, "hash", 2)
    await store.write(accounts.rehash, dana.id, "hash", "another")
    await store.read(accounts.with_hash, "dana")
    await store.read(accounts.of_id, dana.id)
    await store.read(accounts.list_all)
    await store.read(accounts.is_last_admin, dana.id)
    await store.write(accounts.signed_in, dana.id, 3)
    for secret in ("first", "second"):
        new = New(owner=dana, created_at_us=3)
        await store.write(browser_sessions.begin, secret, new, created_after_us=0)
    (first, *_) = await store.read(browser_sessions.list_of, key)
    await store.write(browser_sessions.end_of, key, first.id)
    await store.write(browser_sessions.end_of, key)
    await store.write(second_factor.turn_on, dana.id, b"secret", 1, ["code"])
    await store.read(second_factor.secret, dana.id)
    await store.read(second_factor.recovery_codes_left, dana.id)
    await store.write(second_factor.use_step, dana.id, 2)
    await store.write(second_factor.use_recovery_code, dana.id, "code")
    await store.write(second_factor.turn_off, dana.id)
    once = await store.write(account_links.create, dana.id, 3)
    await store.read(account_links.account_with, once, 3)
    await store.read(AccountKeys.read)
    await store.write(accounts.change, dana.id, role="viewer", apps=frozenset({7}))
    await store.write(accounts.disable, dana.id, 4)
    await store.write(accounts.enable, dana.id)
    await store.write(browser_sessions.begin, "third", New(owner=ERIN, created_at_us=4), created_after_us=0)
    found = store.credentials.session("third")
    assert found is not None
    await store.write(browser_sessions.confirm, found.id, msgspec.structs.replace(ERIN, role="support"), "opaque")
    await store.read(browser_sessions.refresh_of, found.id)
    await store.write(browser_sessions.claim_check, found.id, 1, 5)
    assert store.credentials.of_identity(ERIN.key) == []
    why = verbatim("no group is left")
    ended = await store.write(browser_sessions.end_of_provider, ERIN.issuer, ERIN.subject, "a session there", why)
    assert ended == [(found.id, ERIN.subject)]
    await store.write(keys.made_when_needed, "of a test")


def weak_hasher() -> PasswordHasher:
    """As cheap as Argon2 can be, so that tests do not wait for it."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
