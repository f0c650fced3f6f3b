"""API tokens. A secret is shown once and stored as its SHA-256: it has 256 random bits, so it needs no slow hash."""

from __future__ import annotations

import hashlib
import secrets  # noqa: TID251 - they are secrets
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.store import database, schema
from sidecar.store.values import Commit, Token

SCOPES = ("ingest", "read", "write")
_PREFIX = "zw_"
_HINT_CHARACTERS = 8
_token = schema.api_tokens.c
COLUMNS = (
    _token.id,
    _token.scope,
    _token.app_id,
    _token.hint,
    _token.created_at_us,
    _token.expires_at_us,
    _token.revoked_at_us,
)
_NAMES = ", ".join(column.name for column in COLUMNS)
WITH_THIS_SECRET: Final = f"SELECT {_NAMES} FROM api_tokens WHERE secret_sha256 = ?"
APPS: Final = (
    "SELECT app_id, MAX(expires_at_us), COUNT(*) - COUNT(expires_at_us) FROM api_tokens"
    " WHERE app_id IS NOT NULL AND revoked_at_us IS NULL GROUP BY app_id"
)
"""Each app that tokens are bound to, the latest expiry of these, and how many never expire."""
CHANGED: Final = Commit(access=True)


def create(
    connection: sa.Connection, scope: str, app_id: int | None, expires_at_us: int | None, now_us: int
) -> tuple[Token, str]:
    """A new token and its secret, which cannot be read again."""
    secret = _PREFIX + secrets.token_urlsafe(32)
    values = {
        "secret_sha256": hashed(secret),
        "hint": secret[:_HINT_CHARACTERS],
        "scope": scope,
        "app_id": app_id,
        "created_at_us": now_us,
        "expires_at_us": expires_at_us,
    }
    row = connection.execute(sa.insert(schema.api_tokens).values(values).returning(*COLUMNS)).one()
    announce(connection)
    return token_of(row), secret


def list_all(connection: sa.Connection) -> list[Token]:
    """All tokens, oldest first; also revoked and expired ones."""
    return [token_of(row) for row in connection.execute(sa.select(*COLUMNS).order_by(_token.id))]


def revoke(connection: sa.Connection, token_id: int, now_us: int) -> bool:
    """Revokes a token; False where there is none, or it was revoked before."""
    change = sa.update(schema.api_tokens).values(revoked_at_us=now_us)
    done = connection.execute(change.where(_token.id == token_id, _token.revoked_at_us.is_(None)))
    announce(connection)
    return done.rowcount == 1


def announce(connection: sa.Connection) -> None:
    """Has what is kept in memory of tokens, accounts and sessions dropped, on every node, with the commit."""
    database.of(connection).announce(connection, CHANGED)


def token_of(row: Sequence[Any]) -> Token:
    """A row of ``COLUMNS`` as a token."""
    return Token(**dict(zip((column.name for column in COLUMNS), row, strict=True)))


def hashed(secret: str) -> bytes:
    """The stored form of a secret. Any text of a header can be hashed."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()
