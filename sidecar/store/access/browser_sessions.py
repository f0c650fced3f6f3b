"""Sessions of browsers that are signed in, found by the SHA-256 of the cookie's value.

The value is 256 random bits and is never stored, so that a copy of the database signs nobody in.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.store import schema
from sidecar.store.access import tokens
from sidecar.store.values import BrowserSession, Token

MOST_OF_A_TOKEN: Final = 100
"""Sessions of one token. One more ends the one without a request for longest."""

_session = schema.browser_sessions.c
_COLUMNS: Final = (_session.id, _session.name, _session.created_at_us, _session.seen_at_us)
_FOUND: Final = (
    sa.select(*_COLUMNS, *tokens.COLUMNS)
    .join(schema.api_tokens, schema.api_tokens.c.id == _session.token_id)
    .where(_session.secret_sha256 == sa.bindparam("secret_sha256"))
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


def find(connection: sa.Connection, secret: str) -> tuple[BrowserSession, Token] | None:
    """The session with this secret and its token, also if expired or revoked; None where there is none."""
    row = connection.execute(_FOUND, {"secret_sha256": tokens.hashed(secret)}).one_or_none()
    if row is None:
        return None
    split = len(_COLUMNS)
    session = dict(zip((column.name for column in _COLUMNS), row[:split], strict=True))
    return BrowserSession(**session), tokens.token_of(row[split:])


def seen(connection: sa.Connection, session_id: int, now_us: int) -> None:
    """Records a request of the session."""
    connection.execute(sa.update(schema.browser_sessions).where(_session.id == session_id).values(seen_at_us=now_us))


def end(connection: sa.Connection, secret: str) -> None:
    """Deletes the session, because its browser has signed out."""
    connection.execute(sa.delete(schema.browser_sessions).where(_session.secret_sha256 == tokens.hashed(secret)))
