"""What people do to their own accounts: passwords, one-time codes, and links that others made for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from aiohttp import web

from sidecar.access import audit, one_time_codes
from sidecar.access.passwords import Passwords
from sidecar.access.sign_in import SignIn
from sidecar.clock import Clock
from sidecar.domain.account_names import password_problem
from sidecar.domain.texts import Sentence
from sidecar.errors import ZimwatchError
from sidecar.store import Store
from sidecar.store.access import account_links, accounts, second_factor
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.values import Account

_WRONG_CODE: Final = Sentence("account.wrong_code", "the code is wrong: check the clock of the device, and scan again")
_LINK_OVER: Final = Sentence("account.link_over", "this link was used or has expired; ask for another one")


class AccountFormError(ZimwatchError):
    """The form cannot be done as given; the text says why."""


class OwnAccount:
    """Changes to an account by its owner. Each ends all its sessions; where the browser has one, a new one begins."""

    def __init__(self, store: Store, clock: Clock, sign_in: SignIn, passwords: Passwords) -> None:
        self._store = store
        self._clock = clock
        self._sign_in = sign_in
        self._passwords = passwords

    async def change_password(
        self, request: web.Request, response: web.Response, name: str, present: str, new: str
    ) -> None:
        """Replaces the password. AccountFormError, or those of :meth:`SignIn.prove` for the present one."""
        account, _hash = await self._sign_in.prove(request, name, present)
        await self._check_and_set(request, account, new)
        await self._begin_again(request, response, account.id)

    async def turn_codes_on(
        self, request: web.Request, response: web.Response, name: str, password: str, *, secret: str, code: str
    ) -> Sequence[str]:
        """Asks for one-time codes by this secret from now on. Returns the recovery codes, which are shown once."""
        account, _hash = await self._sign_in.prove(request, name, password)
        is_secret = one_time_codes.is_secret(secret)
        step = one_time_codes.step_of(secret, code, self._clock()) if is_secret else None
        if step is None:
            raise AccountFormError(_WRONG_CODE())
        recovery, keys = one_time_codes.new_recovery_codes(), await self._sign_in.keys()
        encrypted = keys.totp.encrypt(secret.encode())

        def write(connection: sa.Connection) -> None:
            second_factor.turn_on(connection, account.id, encrypted, step, recovery)
            _record(request, connection, account, "codes-on")

        await self._store.write(write)
        await self._begin_again(request, response, account.id)
        return [one_time_codes.readable(one) for one in recovery]

    async def turn_codes_off(self, request: web.Request, response: web.Response, name: str, password: str) -> None:
        """The password is enough from now on."""
        account, _hash = await self._sign_in.prove(request, name, password)

        def write(connection: sa.Connection) -> None:
            second_factor.turn_off(connection, account.id)
            _record(request, connection, account, "codes-off")

        await self._store.write(write)
        await self._begin_again(request, response, account.id)

    async def of_link(self, secret: str) -> Account:
        """The account of a link. AccountFormError where it is not valid."""
        account = await self._store.read(account_links.account_with, secret, self._clock())
        if account is None:
            raise AccountFormError(_LINK_OVER())
        return account

    async def set_by_link(self, request: web.Request, secret: str, new: str) -> None:
        """Sets the password of the link's account, which uses up the link. AccountFormError or BusyError."""
        account = await self.of_link(secret)
        audit.of(request).actor = f"{account.called}, by its link"
        await self._check_and_set(request, account, new, link=secret)

    async def _check_and_set(
        self, request: web.Request, account: Account, new: str, *, link: str | None = None
    ) -> None:
        if (problem := password_problem(new, account.name)) is not None:
            raise AccountFormError(problem)
        hashed, now_us = await self._passwords.hashed(new), self._clock()

        def write(connection: sa.Connection) -> None:
            if link is not None and account_links.account_with(connection, link, now_us) is None:
                raise AccountFormError(_LINK_OVER())
            accounts.set_password(connection, account.id, hashed, now_us)
            _record(request, connection, account, "password")

        await self._store.write(write)

    async def _begin_again(self, request: web.Request, response: web.Response, account_id: int) -> None:
        account = await self._store.read(accounts.of_id, account_id)
        if account is not None:
            await self._sign_in.begin(request, response, account)


def _record(request: web.Request, connection: sa.Connection, account: Account, did: str) -> None:
    trail = audit.of(request)
    trail.details["did"] = did
    trail.record(connection, about=account.called, action=AuditAction.ACCOUNT_CHANGED)
    del trail.details["did"]
