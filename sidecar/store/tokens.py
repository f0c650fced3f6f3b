"""API tokens. A secret is shown once and kept as its SHA-256: it is 256 random bits, so no slow hash is owed.

Tokens are written on a connection of their own, so that the command line can make one while the sidecar runs.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Sequence
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


class Tokens:
    """Makes, lists, revokes and recognises tokens. Blocking, but small: a few rows, read anew when the file changed."""

    def __init__(self, reader: sa.Engine, writer: sa.Engine, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._lock = threading.Lock()
        # The driver's own connection: SQLAlchemy's would hold a transaction open, and see no change from then on.
        self._connection = reader.raw_connection()
        self._version: int | None = None
        self._by_hash: dict[bytes, Token] = {}

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
        return sorted(self._known().values(), key=lambda token: token.id)

    def revoke(self, token_id: int) -> bool:
        """Whether there was such a token that was not revoked before."""
        change = sa.update(tables.api_tokens).values(revoked_at_us=self._clock())
        with self._writer.begin() as connection:
            done = connection.execute(change.where(_token.id == token_id, _token.revoked_at_us.is_(None)))
        return done.rowcount == 1

    def of(self, secret: str) -> Token | None:
        """The token with this secret, unless it is revoked or expired."""
        token = self._known().get(_hash(secret))
        return token if token is not None and self._is_valid(token) else None

    def any_valid(self) -> bool:
        """Whether there is a token that opens anything."""
        return any(self._is_valid(token) for token in self._known().values())

    def close(self) -> None:
        """Gives the connection back."""
        self._connection.close()

    def _is_valid(self, token: Token) -> bool:
        return token.revoked_at_us is None and (token.expires_at_us is None or token.expires_at_us > self._clock())

    def _known(self) -> dict[bytes, Token]:
        with self._lock:
            # data_version moves when another connection has committed: https://www.sqlite.org/pragma.html
            cursor = self._connection.cursor()
            version = cursor.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                names = ", ".join(column.name for column in _COLUMNS)
                cursor.execute(f"SELECT secret_sha256, {names} FROM api_tokens")
                self._by_hash = {row[0]: _token_of(row[1:]) for row in cursor.fetchall()}
                self._version = version
            return self._by_hash


def _token_of(row: Sequence[Any]) -> Token:
    return Token(**dict(zip((column.name for column in _COLUMNS), row, strict=True)))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
