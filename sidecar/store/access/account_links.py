"""Links by which a person sets the password of an account: one for each account, used once, found by its SHA-256."""

from __future__ import annotations

import secrets  # noqa: TID251 - they are secrets
from typing import Final

import sqlalchemy as sa

from sidecar.domain.units import DAY_US
from sidecar.store.access import accounts, tokens
from sidecar.store.access.account_schema import account_links
from sidecar.store.values import Account

VALID_US: Final = 3 * DAY_US
_link = account_links.c


def create(connection: sa.Connection, account_id: int, now_us: int) -> str:
    """The secret of a new link, which replaces the account's former one."""
    secret = secrets.token_urlsafe(32)
    connection.execute(sa.delete(account_links).where(_link.account_id == account_id))
    values = {"secret_sha256": tokens.hashed(secret), "account_id": account_id, "until_us": now_us + VALID_US}
    connection.execute(sa.insert(account_links).values(values))
    return secret


def account_with(connection: sa.Connection, secret: str, now_us: int) -> Account | None:
    """The account whose password may be set with this secret; None where there is none, or no longer."""
    is_it = (_link.secret_sha256 == tokens.hashed(secret)) & (_link.until_us > now_us)
    account_id = connection.execute(sa.select(_link.account_id).where(is_it)).scalar()
    account = None if account_id is None else accounts.of_id(connection, account_id)
    return None if account is None or account.disabled_at_us is not None else account
