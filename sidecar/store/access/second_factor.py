"""One-time codes of accounts: the encrypted secret, the newest step that was used, and codes for when it is lost.

A recovery code has 80 random bits, so that its SHA-256 cannot be searched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from sidecar.store.access import browser_sessions, tokens
from sidecar.store.access.account_schema import accounts, recovery_codes

RECOVERY_CODES: Final = 10
"""Of each account."""
_account, _code = accounts.c, recovery_codes.c


def secret(connection: sa.Connection, account_id: int) -> bytes | None:
    """The encrypted secret; None where the account has no one-time codes."""
    found: bytes | None = connection.execute(sa.select(_account.totp_secret).where(_account.id == account_id)).scalar()
    return found


def turn_on(connection: sa.Connection, account_id: int, encrypted: bytes, step: int, codes: Iterable[str]) -> None:
    """Stores the secret, the step of the code that confirmed it, and new recovery codes; ends the sessions."""
    _set(connection, account_id, encrypted, step)
    for code in codes:
        values = {"account_id": account_id, "code_sha256": tokens.hashed(code)}
        connection.execute(sa.insert(recovery_codes).values(values))


def turn_off(connection: sa.Connection, account_id: int) -> None:
    """The password is enough from now on; ends the sessions."""
    _set(connection, account_id, None, None)


def use_step(connection: sa.Connection, account_id: int, step: int) -> bool:
    """Uses up the code of a step; False where that one or a later one was used before."""
    is_new = (_account.id == account_id) & (_account.totp_step.is_(None) | (_account.totp_step < step))
    done = connection.execute(sa.update(accounts).where(is_new).values(totp_step=step))
    return done.rowcount == 1


def use_recovery_code(connection: sa.Connection, account_id: int, code: str) -> bool:
    """Uses up a recovery code; False where the account has none like it."""
    is_it = (_code.account_id == account_id) & (_code.code_sha256 == tokens.hashed(code))
    return connection.execute(sa.delete(recovery_codes).where(is_it)).rowcount == 1


def recovery_codes_left(connection: sa.Connection, account_id: int) -> int:
    """How many recovery codes were not used yet."""
    counted = sa.select(sa.func.count()).select_from(recovery_codes).where(_code.account_id == account_id)
    return connection.execute(counted).scalar_one()


def _set(connection: sa.Connection, account_id: int, encrypted: bytes | None, step: int | None) -> None:
    connection.execute(sa.delete(recovery_codes).where(_code.account_id == account_id))
    change = sa.update(accounts).where(_account.id == account_id)
    connection.execute(change.values(totp_secret=encrypted, totp_step=step))
    browser_sessions.end_of(connection, browser_sessions.key_of_account(account_id))
