"""API tokens. A secret is shown once and stored as its SHA-256: it has 256 random bits, so it needs no slow hash."""

from __future__ import annotations

import hashlib
import secrets  # noqa: TID251 - they are secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.store import schema
from sidecar.store.database import Database
from sidecar.store.values import Token

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
_WITH_THIS_SECRET = f"SELECT {_NAMES} FROM api_tokens WHERE secret_sha256 = ?"
ANY = "SELECT 1 FROM api_tokens LIMIT 1"
"""Has a row once a token was created; rows are never deleted."""
_APPS = (
    "SELECT DISTINCT app_id FROM api_tokens WHERE app_id IS NOT NULL AND revoked_at_us IS NULL"
    " AND (expires_at_us IS NULL OR expires_at_us > ?)"
)


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
    return token_of(row), secret


def list_all(connection: sa.Connection) -> list[Token]:
    """All tokens, oldest first; also revoked and expired ones."""
    return [token_of(row) for row in connection.execute(sa.select(*COLUMNS).order_by(_token.id))]


def revoke(connection: sa.Connection, token_id: int, now_us: int) -> bool:
    """Revokes a token; False where there is none, or it was revoked before."""
    change = sa.update(schema.api_tokens).values(revoked_at_us=now_us)
    done = connection.execute(change.where(_token.id == token_id, _token.revoked_at_us.is_(None)))
    return done.rowcount == 1


class TokenLookup:
    """Finds the token of a request on the caller's thread: one row by its index costs less than a switch of threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._any_ever = False

    def of(self, secret: str) -> Token | None:
        """The token with this secret, also one that is revoked or expired; None where there is none."""
        row = self._row(_WITH_THIS_SECRET, hashed(secret))
        return token_of(row) if row else None

    def any_ever(self) -> bool:
        """Whether a token was ever created. From then on every request needs one: rows are never deleted."""
        self._any_ever = self._any_ever or self._row(ANY) is not None
        return self._any_ever

    def apps(self) -> frozenset[int]:
        """The apps that valid tokens are bound to."""
        return frozenset(row[0] for row in self._database.peek(_APPS, self._clock()))

    def _row(self, sql: str, *values: int | bytes) -> Sequence[Any] | None:
        return next(iter(self._database.peek(sql, *values)), None)


def token_of(row: Sequence[Any]) -> Token:
    """A row of ``COLUMNS`` as a token."""
    return Token(**dict(zip((column.name for column in COLUMNS), row, strict=True)))


def hashed(secret: str) -> bytes:
    """The stored form of a secret. Any text of a header can be hashed."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()
