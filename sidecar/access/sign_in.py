"""Signing in by the form: with a token, or with the name and password of an account and its one-time code.

Accounts sign in here alone. A program that sent a password with each request would have it hashed each time, and could
give no second factor; programs have tokens.
"""

from __future__ import annotations

import secrets  # noqa: TID251 - a device's number is a secret
from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa
from aiohttp import web

from sidecar.access import audit, one_time_codes
from sidecar.access.authentication import Authenticator, check_may
from sidecar.access.cookie import DEVICE, Cookie
from sidecar.access.passwords import Passwords
from sidecar.access.policy import Action
from sidecar.access.principal import Principal
from sidecar.access.proxies import PublicRequest, public_request
from sidecar.access.refusals import BEARER, BusyError, NotSignedInError
from sidecar.clock import Clock
from sidecar.domain.account_names import normal_name
from sidecar.domain.texts import Sentence
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.settings import ServerSettings
from sidecar.store import Store
from sidecar.store.access import accounts, second_factor
from sidecar.store.access.account_keys import AccountKeys
from sidecar.store.values import Account

_TICKET_US: Final = 5 * MINUTE_US
_DEVICE_US: Final = 180 * DAY_US
_DEVICE_BYTES: Final = 12
_UNKNOWN_CHARACTERS: Final = 64

_WRONG: Final = Sentence("sign_in.wrong", "the name or the password is wrong")
_WRONG_CODE: Final = Sentence("sign_in.wrong_code", "the code is wrong, or was used before")
_TICKET_OVER: Final = Sentence("sign_in.ticket_over", "that took too long; sign in again")


class _Ticket(msgspec.Struct, frozen=True):
    """Whose password was right, which one, and until when a code may follow."""

    account_id: int
    password_changed_at_us: int
    until_us: int


class SignIn:
    """Begins sessions by the form. One for a process, as it counts attempts."""

    def __init__(
        self,
        store: Store,
        server: ServerSettings,
        clock: Clock,
        authenticator: Authenticator,
        passwords: Passwords,
    ) -> None:
        self._store = store
        self._server = server
        self._clock = clock
        self._authenticator = authenticator
        self._passwords = passwords
        self._throttle = authenticator.throttle
        self._known_keys: AccountKeys | None = None

    async def by_form(self, request: web.Request, response: web.Response, name: str, password: str) -> str | None:
        """Begins a session, and sets its cookie on ``response``.

        Of an account with one-time codes it begins none, and returns the ticket for :meth:`by_code`. NotSignedInError,
        NotAllowedError, TooManyAttemptsError or BusyError.
        """
        secret = password.strip()
        if self._store.credentials.token(secret) is not None or not name.strip():
            await self._by_token(request, response, name, secret)
            return None
        return await self._by_password(request, response, name, password)

    async def by_code(self, request: web.Request, response: web.Response, ticket: str, code: str) -> None:
        """Begins a session of an account whose password was right. Errors as :meth:`by_form`."""
        keys, read = await self.keys(), await self._read_ticket(ticket)
        if read is None:
            raise NotSignedInError(_TICKET_OVER(), (BEARER,), was_tried=True)
        account, public = read, public_request(request, self._server)
        audit.of(request).subjects = (account.called,)
        attempt = self._throttle.code(public.client, account.id, self._device(request, public, keys, account))

        def use(connection: sa.Connection) -> None:
            if not uses_code(connection, keys, account.id, code, self._clock()):
                raise NotSignedInError(_WRONG_CODE(), (BEARER,), was_tried=True)

        await self.begin(request, response, account, use)
        attempt.take_back()

    async def prove(self, request: web.Request, name: str, password: str) -> tuple[Account, str]:
        """The account of this name and its hash, if this is its password.

        The answer and the work are the same for an unknown name, a wrong password and a disabled account.
        """
        keys, normal = await self.keys(), normal_name(name)
        found = None if normal is None else await self._store.read(accounts.with_hash, normal)
        account, hashed = found or (None, None)
        if account is not None:
            audit.of(request).subjects = (account.called,)
        public = public_request(request, self._server)
        device = None if account is None else self._device(request, public, keys, account)
        account_id = None if account is None else account.id
        counted_as = normal or name[:_UNKNOWN_CHARACTERS]
        attempt = self._throttle.password(public.client, account_id, counted_as, device)
        try:
            is_of = await self._passwords.is_of(password, hashed if account and not account.disabled_at_us else None)
        except BusyError:
            attempt.take_back()
            raise
        if account is None or hashed is None or not is_of:
            raise NotSignedInError(_WRONG(), (BEARER,), was_tried=True)
        attempt.take_back()
        return account, hashed

    async def begin(
        self,
        request: web.Request,
        response: web.Response,
        account: Account,
        also: Callable[[sa.Connection], None] = lambda _connection: None,
    ) -> None:
        """Begins a session of the account, as it was when it was proved, and makes the browser known to it.

        ``also`` is done in the same transaction, and may refuse.
        """
        public, keys = public_request(request, self._server), await self.keys()
        device = self._device(request, public, keys, account) or secrets.token_urlsafe(_DEVICE_BYTES)

        def write(connection: sa.Connection) -> None:
            now = accounts.of_id(connection, account.id)
            if now is None or _state(now) != _state(account):
                raise NotSignedInError(_WRONG(), (BEARER,), was_tried=True)
            also(connection)
            accounts.signed_in(connection, account.id, self._clock())

        await self._authenticator.sessions.begin(request, response, account, also=write)
        until_us = self._clock() + _DEVICE_US
        value = keys.sign("device", f"{account.id} {device} {until_us}")
        Cookie.of(public, DEVICE).put(response, value, _DEVICE_US // SECOND_US)

    async def keys(self) -> AccountKeys:
        """The keys of accounts, read once."""
        if self._known_keys is None:
            self._known_keys = await self._store.read(AccountKeys.read)
        return self._known_keys

    async def _by_token(self, request: web.Request, response: web.Response, name: str, secret: str) -> None:
        attempt = self._throttle.other(public_request(request, self._server).client)
        token = self._authenticator.valid_token(secret, BEARER)
        attempt.take_back()
        check_may(Principal.of_token(token), Action.SEE_COUNTS)
        await self._authenticator.sessions.begin(request, response, token, name=name)

    async def _by_password(self, request: web.Request, response: web.Response, name: str, password: str) -> str | None:
        account, hashed = await self.prove(request, name, password)
        if self._passwords.is_outdated(hashed):
            again = await self._passwords.hashed(password)
            await self._store.write(accounts.rehash, account.id, hashed, again)
        if account.has_totp:
            until_us = self._clock() + _TICKET_US
            text = f"{account.id} {account.password_changed_at_us} {until_us}"
            return (await self.keys()).sign("ticket", text)
        await self.begin(request, response, account)
        return None

    async def _read_ticket(self, ticket: str) -> Account | None:
        text = (await self.keys()).signed("ticket", ticket)
        if text is None:
            return None
        read = _Ticket(*map(int, text.split()))
        account = await self._store.read(accounts.of_id, read.account_id)
        is_good = account is not None and account.password_changed_at_us == read.password_changed_at_us
        return account if is_good and self._clock() < read.until_us else None

    def _device(self, request: web.Request, public: PublicRequest, keys: AccountKeys, account: Account) -> str | None:
        """The browser's number, where it signed in to this account before; None else."""
        text = keys.signed("device", Cookie.of(public, DEVICE).read(request))
        if text is None:
            return None
        account_id, device, until_us = text.split(" ")
        return device if int(account_id) == account.id and self._clock() < int(until_us) else None


def uses_code(connection: sa.Connection, keys: AccountKeys, account_id: int, code: str, now_us: int) -> bool:
    """Uses up a one-time code or a recovery code of the account; False where it is neither, or was used before."""
    encrypted = second_factor.secret(connection, account_id)
    if encrypted is None or len(code) > one_time_codes.CODE_CHARACTERS:
        return False
    step = one_time_codes.step_of(keys.totp.decrypt(encrypted).decode(), code, now_us)
    if step is not None:
        return second_factor.use_step(connection, account_id, step)
    recovery = one_time_codes.normal_recovery_code(code)
    return second_factor.use_recovery_code(connection, account_id, recovery)


def _state(account: Account) -> tuple[object, ...]:
    return account.role, account.apps, account.password_changed_at_us, account.disabled_at_us, account.has_totp
