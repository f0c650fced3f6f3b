"""The first administrator, made by a link that the start of the server prints. There is never a default password.

The link is valid while neither a token nor an account exists, for a day at most, and as long as the process runs.
"""

from __future__ import annotations

import secrets  # noqa: TID251 - the link is a secret
from typing import Final

import sqlalchemy as sa
from aiohttp import web

from sidecar.access import account_admin
from sidecar.access.own_account import AccountFormError
from sidecar.access.passwords import Passwords
from sidecar.access.policy import Role
from sidecar.access.proxies import is_loopback
from sidecar.clock import Clock
from sidecar.domain.account_names import name_problem, normal_name, password_problem
from sidecar.domain.texts import Sentence
from sidecar.domain.units import DAY_US
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.access import accounts, credentials
from sidecar.store.values import Account

PATH: Final = "/first-account"
VALID_US: Final = DAY_US
_OVER: Final = Sentence(
    "first_run.over", "this link was used or has expired; `zimwatch account add NAME --role admin` makes an account too"
)


class FirstRun:
    """Makes the first administrator, once."""

    def __init__(self, store: Store, settings: Settings, clock: Clock, passwords: Passwords) -> None:
        self._store = store
        self._clock = clock
        self._passwords = passwords
        self._until_us = clock() + VALID_US
        is_reached = bool(settings.server.public_url) or not is_loopback(settings.server.host)
        others_sign_in = settings.oidc.is_on or settings.forward_auth.enabled or store.credentials.any_access_ever()
        is_needed = is_reached and not others_sign_in
        self._secret = secrets.token_urlsafe(32) if is_needed else None

    @property
    def path(self) -> str | None:
        """The path of the link; None where none is needed."""
        return None if self._secret is None else f"{PATH}/{self._secret}"

    def check(self, secret: str) -> None:
        """AccountFormError where the link is not valid, or no longer."""
        own = self._secret
        is_it = own is not None and secrets.compare_digest(own.encode(), secret.encode(errors="replace"))
        if not is_it or self._clock() >= self._until_us or self._store.credentials.any_access_ever():
            raise AccountFormError(_OVER())

    async def make(self, secret: str, name: str, password: str) -> Account:
        """The first administrator. AccountFormError or BusyError."""
        self.check(secret)
        normal = normal_name(name)
        if normal is None:
            raise AccountFormError(name_problem(name))
        if (problem := password_problem(password, normal)) is not None:
            raise AccountFormError(problem)
        hashed, now_us = await self._passwords.hashed(password), self._clock()

        def write(connection: sa.Connection) -> Account:
            if connection.exec_driver_sql(credentials.ANY_EVER).first() is not None:
                raise AccountFormError(_OVER())
            account = account_admin.create(connection, normal, Role.ADMIN, None, now_us)
            accounts.set_password(connection, account.id, hashed, now_us)
            return account

        made = await self._store.write(write)
        self._secret = None
        return made


FIRST_RUN: Final = web.AppKey("first_run", FirstRun)
"""Of an application."""
