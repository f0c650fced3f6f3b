"""Sessions of browsers that are signed in, found by the SHA-256 of the cookie's value.

The value is 256 random bits and is never stored, so that a copy of the database signs nobody in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.store import schema
from sidecar.store.access import tokens
from sidecar.store.values import BrowserSession, Token

MOST_OF_A_TOKEN: Final = 100
"""Sessions of one token. One more ends the one without a request for longest."""

_session = schema.browser_sessions.c
_OWN: Final = ("id", "name", "created_at_us", "seen_at_us")
WITH_THIS_SECRET: Final = (
    f"SELECT {', '.join(f's.{name}' for name in _OWN)}, {', '.join(f't.{one.name}' for one in tokens.COLUMNS)}"
    " FROM browser_sessions s JOIN api_tokens t ON t.id = s.token_id WHERE s.secret_sha256 = ?"
)


class New(msgspec.Struct, frozen=True):
    """A new session."""

    token_id: int
    name: str
    created_at_us: int


def begin(connection: sa.Connection, secret: str, begun: New, *, created_after_us: int) -> None:
    """Stores a new session, and deletes those that were created by ``created_after_us``, which have expired."""
    connection.execute(sa.delete(schema.browser_sessions).where(_session.created_at_us <= created_after_us))
    of_token = sa.select(_session.id).where(_session.token_id == begun.token_id)
    past_most = of_token.order_by(_session.seen_at_us.desc(), _session.id.desc()).offset(MOST_OF_A_TOKEN - 1)
    connection.execute(sa.delete(schema.browser_sessions).where(_session.id.in_(past_most)))
    connection.execute(
        sa.insert(schema.browser_sessions).values(
            secret_sha256=tokens.hashed(secret),
            token_id=begun.token_id,
            name=begun.name,
            created_at_us=begun.created_at_us,
            seen_at_us=begun.created_at_us,
        )
    )
    tokens.announce(connection)


def session_of(row: Sequence[Any]) -> tuple[BrowserSession, Token]:
    """A row of ``WITH_THIS_SECRET`` as the session and its token."""
    return BrowserSession(**dict(zip(_OWN, row, strict=False))), tokens.token_of(row[len(_OWN) :])


def seen(connection: sa.Connection, session_id: int, now_us: int) -> None:
    """Records a request of the session."""
    connection.execute(sa.update(schema.browser_sessions).where(_session.id == session_id).values(seen_at_us=now_us))
    tokens.announce(connection)


def end(connection: sa.Connection, secret: str) -> None:
    """Deletes the session, because its browser has signed out."""
    connection.execute(sa.delete(schema.browser_sessions).where(_session.secret_sha256 == tokens.hashed(secret)))
    tokens.announce(connection)
