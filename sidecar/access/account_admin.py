"""Changes of accounts by administrators: on the command line and on the page. Each is one transaction."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from sidecar.access import token_form
from sidecar.access.policy import PEOPLE, Role
from sidecar.domain import app_ids
from sidecar.domain.account_names import name_problem, normal_name
from sidecar.domain.texts import Sentence
from sidecar.errors import ZimwatchError
from sidecar.store.access import accounts, second_factor, tokens
from sidecar.store.values import Account

_TAKEN: Final = Sentence("account.taken", "there is an account %(name)s already")
_UNKNOWN: Final = Sentence("account.unknown", "there is no account %(name)s")
_ROLE: Final = Sentence("account.role", "%(role)s is no role; there are %(known)s")
_LAST: Final = Sentence(
    "account.last_admin", "%(name)s is the last administrator of all apps who can sign in; make another one first"
)
_APPS: Final = Sentence("account.apps", "an account is limited to %(most)s apps at most")
NO_APP: Final = Sentence("account.no_app", "%(given)s is no AppID")
_SHOWN: Final = 64


class AccountError(ZimwatchError):
    """The account cannot be changed so; the text says why."""


def create(connection: sa.Connection, name: str, role: str, apps: frozenset[int] | None, now_us: int) -> Account:
    """A new account without a password, with which nobody can sign in yet. AccountError."""
    _check(role, apps)
    normal = normal_name(name)
    if normal is None:
        raise AccountError(name_problem(name))
    account = accounts.create(connection, normal, role, apps, now_us)
    if account is None:
        raise AccountError(_TAKEN(name=normal))
    return account


def named(connection: sa.Connection, name: str) -> Account:
    """The account of this name, in any spelling. AccountError where there is none."""
    normal = normal_name(name)
    account = None if normal is None else accounts.named(connection, normal)
    if account is None:
        raise AccountError(_UNKNOWN(name=name[:_SHOWN]))
    return account


def change(
    connection: sa.Connection, name: str, role: str, apps: frozenset[int] | None, now_us: int, *, force: bool = False
) -> tuple[Account, int]:
    """Gives another role and other apps, and ends the account's sessions and the tokens that it could not make now.

    How many valid tokens that ended. AccountError, of the last admin too.
    """
    _check(role, apps)
    account = named(connection, name)
    if role != Role.ADMIN or apps is not None:
        _keep_last(connection, account, force=force)
    accounts.change(connection, account.id, role=role, apps=apps)
    return account, tokens.revoke_of_account(connection, account.id, now_us, token_form.could_make(role, apps))


def disable(connection: sa.Connection, name: str, now_us: int, *, force: bool = False) -> tuple[Account, int]:
    """Disables the account, and ends its sessions and the tokens that it made; how many valid ones.

    AccountError, of the last admin too.
    """
    account = named(connection, name)
    _keep_last(connection, account, force=force)
    return account, accounts.disable(connection, account.id, now_us)


def enable(connection: sa.Connection, name: str) -> Account:
    """Lets the account sign in again. AccountError."""
    account = named(connection, name)
    accounts.enable(connection, account.id)
    return account


def turn_codes_off(connection: sa.Connection, name: str) -> Account:
    """Lets the account sign in by its password alone, because its device is lost. AccountError."""
    account = named(connection, name)
    second_factor.turn_off(connection, account.id)
    return account


def _check(role: str, apps: frozenset[int] | None) -> None:
    if role not in PEOPLE:
        raise AccountError(_ROLE(role=role[:_SHOWN], known=", ".join(PEOPLE)))
    if apps is not None and len(apps) > app_ids.MOST:
        raise AccountError(_APPS(most=app_ids.MOST))
    for app_id in sorted(apps or ()):
        if not 0 <= app_id <= app_ids.LARGEST:
            raise AccountError(NO_APP(given=app_id))


def _keep_last(connection: sa.Connection, account: Account, *, force: bool) -> None:
    if not force and accounts.is_last_admin(connection, account.id):
        raise AccountError(_LAST(name=account.name))
