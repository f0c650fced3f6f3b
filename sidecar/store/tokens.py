"""API tokens. A secret is shown once and kept as its SHA-256: it is 256 random bits, so no slow hash is owed.

Tokens are written on a connection of their own, so that the command line can make one while the sidecar runs.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from sidecar.clock import Clock
from sidecar.store import tables
from sidecar.store.records import Token

SCOPES = ("ingest", "read", "write")
_PREFIX = "zw_"
_HINT_CHARACTERS = 8
_token = tables.api_tokens.c
_COLUMNS = (
    _token.id,
    _token.scope,
    _token.app_id,
    _token.hint,
    _token.created_at_us,
    _token.expires_at_us,
    _token.revoked_at_us,
)
_NAMES = ", ".join(column.name for column in _COLUMNS)
_VALID = f"SELECT {_NAMES} FROM api_tokens WHERE revoked_at_us IS NULL AND (expires_at_us IS NULL OR expires_at_us > ?)"
_WITH_THIS_SECRET = f"{_VALID} AND secret_sha256 = ?"
_ANY = f"{_VALID} LIMIT 1"


class Tokens:
    """Makes, lists, revokes and recognises tokens. Blocking, but small: a request costs a row found by its index."""

    def __init__(self, reader: sa.Engine, writer: sa.Engine, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        # The driver's own connection: SQLAlchemy's would hold a transaction open, and see no change from then on.
        self._connection = reader.raw_connection()

    def create(self, scope: str, app_id: int | None, expires_at_us: int | None) -> tuple[Token, str]:
        """A new token and its secret, which cannot be had again."""
        secret = _PREFIX + secrets.token_urlsafe(32)
        row = {
            "secret_sha256": _hash(secret),
            "hint": secret[:_HINT_CHARACTERS],
            "scope": scope,
            "app_id": app_id,
            "created_at_us": self._clock(),
            "expires_at_us": expires_at_us,
        }
        with self._writer.begin() as connection:
            made = connection.execute(sa.insert(tables.api_tokens).values(row).returning(*_COLUMNS)).one()
        return _token_of(made), secret

    def all(self) -> list[Token]:
        """Every token ever made, oldest first."""
        with self._reader.connect() as connection:
            return [_token_of(row) for row in connection.execute(sa.select(*_COLUMNS).order_by(_token.id))]

    def revoke(self, token_id: int) -> bool:
        """Whether there was such a token that was not revoked before."""
        change = sa.update(tables.api_tokens).values(revoked_at_us=self._clock())
        with self._writer.begin() as connection:
            done = connection.execute(change.where(_token.id == token_id, _token.revoked_at_us.is_(None)))
        return done.rowcount == 1

    def of(self, secret: str) -> Token | None:
        """The token with this secret, unless it is revoked or expired."""
        row = self._row(_WITH_THIS_SECRET, self._clock(), _hash(secret))
        return _token_of(row) if row else None

    def any_valid(self) -> bool:
        """Whether there is a token that opens anything."""
        return self._row(_ANY, self._clock()) is not None

    def close(self) -> None:
        """Gives the connection back."""
        self._connection.close()

    def _row(self, sql: str, *values: int | bytes) -> Sequence[Any] | None:
        # Where a row was left, the read would go on and keep the log from being folded in.
        with closing(self._connection.cursor()) as cursor:
            found: Sequence[Any] | None = cursor.execute(sql, values).fetchone()
        return found


def _token_of(row: Sequence[Any]) -> Token:
    return Token(**dict(zip((column.name for column in _COLUMNS), row, strict=True)))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
