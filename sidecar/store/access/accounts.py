"""Accounts of people: names, roles, apps and passwords. Rows are never deleted, so that no name gets a second owner.

A change of the role, the apps, the password or the state of an account ends its sessions in the same transaction.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from sidecar.store.access import app_sets, browser_sessions, tokens
from sidecar.store.access.account_rows import COLUMNS, account_of
from sidecar.store.access.account_schema import account_links, accounts
from sidecar.store.values import Account

_ADMIN: Final = "admin"

_account = accounts.c


def create(connection: sa.Connection, name: str, role: str, apps: frozenset[int] | None, now_us: int) -> Account | None:
    """A new account without a password; None where there is one of this name."""
    if named(connection, name) is not None:
        return None
    values = {"name": name, "role": role, "apps": app_sets.stored(apps), "created_at_us": now_us}
    row = connection.execute(sa.insert(accounts).values(values).returning(*COLUMNS)).one()
    tokens.announce(connection)
    return account_of(row)


def list_all(connection: sa.Connection) -> list[Account]:
    """All accounts by name; also disabled ones."""
    return [account_of(row) for row in connection.execute(sa.select(*COLUMNS).order_by(_account.name))]


def named(connection: sa.Connection, name: str) -> Account | None:
    """The account of this name, in its normal form; None where there is none."""
    row = connection.execute(sa.select(*COLUMNS).where(_account.name == name)).one_or_none()
    return None if row is None else account_of(row)


def with_hash(connection: sa.Connection, name: str) -> tuple[Account, str | None] | None:
    """The account of this name, in its normal form, with the hash of its password; None where there is none."""
    select = sa.select(*COLUMNS, _account.password_hash).where(_account.name == name)
    row = connection.execute(select).one_or_none()
    return None if row is None else (account_of(row[:-1]), row[-1])


def of_id(connection: sa.Connection, account_id: int) -> Account | None:
    """The account; None where there is none."""
    row = connection.execute(sa.select(*COLUMNS).where(_account.id == account_id)).one_or_none()
    return None if row is None else account_of(row)


def change(connection: sa.Connection, account_id: int, *, role: str, apps: frozenset[int] | None) -> None:
    """Gives the account another role and other apps, and ends its sessions."""
    _update(connection, account_id, role=role, apps=app_sets.stored(apps))
    _end_sessions(connection, account_id)


def disable(connection: sa.Connection, account_id: int, now_us: int) -> int:
    """Disables the account, and ends its sessions, its link and the tokens that it made; how many valid ones."""
    _update(connection, account_id, disabled_at_us=now_us)
    connection.execute(sa.delete(account_links).where(account_links.c.account_id == account_id))
    _end_sessions(connection, account_id)
    return tokens.revoke_of_account(connection, account_id, now_us)


def enable(connection: sa.Connection, account_id: int) -> None:
    """Lets the account sign in again."""
    _update(connection, account_id, disabled_at_us=None)


def set_password(connection: sa.Connection, account_id: int, hashed: str, now_us: int) -> None:
    """Gives the account another password; ends its sessions and its link."""
    _update(connection, account_id, password_hash=hashed, password_changed_at_us=now_us)
    connection.execute(sa.delete(account_links).where(account_links.c.account_id == account_id))
    _end_sessions(connection, account_id)


def rehash(connection: sa.Connection, account_id: int, former: str, hashed: str) -> None:
    """Stores another hash of the same password, unless the password was changed meanwhile."""
    is_same = (_account.id == account_id) & (_account.password_hash == former)
    connection.execute(sa.update(accounts).where(is_same).values(password_hash=hashed))


def signed_in(connection: sa.Connection, account_id: int, now_us: int) -> None:
    """Records a sign-in."""
    _update(connection, account_id, signed_in_at_us=now_us)


def is_last_admin(connection: sa.Connection, account_id: int) -> bool:
    """Whether the account is the only administrator of every app that may sign in."""
    is_admin = (_account.role == _ADMIN) & _account.disabled_at_us.is_(None) & _account.apps.is_(None)
    admins = connection.execute(sa.select(_account.id).where(is_admin).limit(2)).scalars().all()
    return list(admins) == [account_id]


def _update(connection: sa.Connection, account_id: int, **values: Any) -> None:  # noqa: ANN401 - columns
    connection.execute(sa.update(accounts).where(_account.id == account_id).values(values))
    tokens.announce(connection)


def _end_sessions(connection: sa.Connection, account_id: int) -> None:
    browser_sessions.end_of(connection, browser_sessions.key_of_account(account_id))
