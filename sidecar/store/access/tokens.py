"""API tokens. A secret is shown once and stored as its SHA-256: it has 256 random bits, so it needs no slow hash.

A token that is rotated gets a successor with the same name, scope, apps and origins, and ends with the overlap. A token
that another one made ends with that: revoking a token revokes what it made. A successor that the token made by rotating
itself ends with it too, with the whole line after it: who stole a secret has that successor's.
"""

from __future__ import annotations

import hashlib
import secrets  # noqa: TID251 - they are secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain import api_token
from sidecar.domain.texts import Sentence
from sidecar.errors import ZimwatchError
from sidecar.store import database, schema
from sidecar.store.access import app_sets
from sidecar.store.values import Commit, Token

MOST_VALID: Final = 1_000
"""Tokens that have not ended. One more is refused."""
ENDED_LISTED: Final = 100
"""Of the others so many are listed."""

_TOO_MANY: Final = Sentence("token.too_many", "there are %(most)s valid tokens already; revoke some first")
_GONE: Final = Sentence("token.ended", "token %(id)s has ended; make a new one")
_ROTATED: Final = Sentence("token.rotated", "token %(id)s was rotated before: token %(by)s replaces it")

_token = schema.api_tokens.c
COLUMNS: Final = (
    _token.id,
    _token.scope,
    _token.name,
    _token.apps,
    _token.origins,
    _token.hint,
    _token.created_at_us,
    _token.made_by,
    _token.made_by_token,
    _token.made_by_account,
    _token.made_by_identity,
    _token.expires_at_us,
    _token.revoked_at_us,
    _token.last_used_at_us,
    _token.replaced_by,
    _token.ends_with,
)
_NAMES: Final = ", ".join(column.name for column in COLUMNS)
OF_IDENTITIES: Final = (
    f"SELECT {_NAMES} FROM api_tokens"
    " WHERE made_by_identity IS NOT NULL AND revoked_at_us IS NULL AND expires_at_us > ?"
)
"""Those that somebody made whom a provider or a proxy named. They always expire."""
WITH_THIS_SECRET: Final = f"SELECT {_NAMES} FROM api_tokens WHERE secret_sha256 = ?"
APPS: Final = (
    "SELECT apps, MAX(expires_at_us), COUNT(*) - COUNT(expires_at_us) FROM api_tokens"
    " WHERE apps IS NOT NULL AND revoked_at_us IS NULL GROUP BY apps"
)
"""The apps of each token that is bound to some, the latest expiry of these, and how many never expire."""
_REVOKE: Final = (
    "WITH RECURSIVE ended (id) AS (SELECT CAST(? AS BIGINT) UNION SELECT made.id FROM api_tokens made"
    " JOIN ended ON ended.id IN (made.made_by_token, made.ends_with))"
    " UPDATE api_tokens SET revoked_at_us = ? WHERE revoked_at_us IS NULL AND id IN (SELECT id FROM ended)"
)
CHANGED: Final = Commit(access=True)


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a new token is to be; its fields are those of :class:`~sidecar.store.values.Token`."""

    scope: str
    name: str = ""
    apps: frozenset[int] | None = None
    origins: tuple[str, ...] = ()
    expires_at_us: int | None = None
    made_by: str = ""
    made_by_token: int | None = None
    made_by_account: int | None = None
    made_by_identity: str | None = None
    ends_with: int | None = None


class TokenRefusedError(ZimwatchError):
    """The token was not made, or not rotated."""


def create(connection: sa.Connection, wanted: NewToken, now_us: int) -> tuple[Token, str]:
    """A new token and its secret, which cannot be read again. TokenRefusedError where there are too many."""
    if _valid(connection, now_us) >= MOST_VALID:
        raise TokenRefusedError(_TOO_MANY(most=MOST_VALID))
    random = "".join(secrets.choice(api_token.ALPHABET) for _ in range(api_token.RANDOM_CHARACTERS))
    secret = api_token.secret_of(wanted.scope, random)
    values = msgspec.structs.asdict(wanted) | {
        "secret_sha256": hashed(secret),
        "hint": api_token.hint_of(secret),
        "apps": app_sets.stored(wanted.apps),
        "origins": msgspec.json.encode(wanted.origins).decode(),
        "created_at_us": now_us,
    }
    row = connection.execute(sa.insert(schema.api_tokens).values(values).returning(*COLUMNS)).one()
    announce(connection)
    return token_of(row), secret


def rotate(
    connection: sa.Connection,
    token_id: int,
    *,
    overlap_us: int,
    now_us: int,
    made_by: str = "",
    by_token: int | None = None,
    by_account: int | None = None,
    by_identity: str | None = None,
    not_after_us: int | None = None,
) -> tuple[Token, str]:
    """Makes the successor of a valid token, which ends ``overlap_us`` from now, or earlier where it would have.

    The successor lives as long as the token was given, but not beyond ``not_after_us`` nor the token that made it. What
    the token made ends with the successor from now on. ``by_token``, ``by_account`` and ``by_identity`` are who rotates
    it; where it does so itself, the successor ends when it is revoked. TokenRefusedError where it has ended, or has a
    successor.
    """
    old = one(connection, token_id)
    if old is None or old.state(now_us) != "good":
        raise TokenRefusedError(_GONE(id=token_id))
    if old.replaced_by is not None:
        raise TokenRefusedError(_ROTATED(id=token_id, by=old.replaced_by))
    maker = None if old.made_by_token is None else one(connection, old.made_by_token)
    ends = [not_after_us, None if maker is None else maker.expires_at_us]
    if old.expires_at_us is not None:
        ends.append(now_us + old.expires_at_us - old.created_at_us)
    successor = NewToken(
        scope=old.scope,
        name=old.name,
        apps=old.apps,
        origins=old.origins,
        expires_at_us=min((end for end in ends if end is not None), default=None),
        made_by=made_by,
        made_by_token=old.made_by_token,
        made_by_account=by_account,
        made_by_identity=by_identity if by_token is None else old.made_by_identity,
        ends_with=old.id if by_token == old.id else old.ends_with,
    )
    new, secret = create(connection, successor, now_us)
    ends_us = min(now_us + overlap_us, old.expires_at_us or now_us + overlap_us)
    change = sa.update(schema.api_tokens).where(_token.id == token_id)
    connection.execute(change.values(expires_at_us=ends_us, replaced_by=new.id))
    made = sa.update(schema.api_tokens).where(_token.made_by_token == token_id)
    connection.execute(made.values(made_by_token=new.id))
    return new, secret


def revoke(connection: sa.Connection, token_id: int, now_us: int) -> bool:
    """Revokes a token, what it made, and its line where it rotated itself; also one that has expired.

    False where there is none, or it was revoked before.
    """
    found = one(connection, token_id)
    if found is None or found.revoked_at_us is not None:
        return False
    connection.exec_driver_sql(_REVOKE, (token_id, now_us))
    announce(connection)
    return True


def revoke_of_account(
    connection: sa.Connection, account_id: int, now_us: int, keeps: Callable[[Token], bool] = lambda _: False
) -> int:
    """Revokes the tokens that the account made, but for those that it ``keeps``; how many valid ones that ended."""
    before = _valid(connection, now_us)
    _revoke_made(connection, _token.made_by_account == account_id, now_us, keeps)
    return before - _valid(connection, now_us)


def revoke_of_identity(
    connection: sa.Connection, identity: str, now_us: int, keeps: Callable[[Token], bool]
) -> list[Token]:
    """Revokes the tokens that the identity made, but for those that it ``keeps``; the valid ones of them."""
    found = _revoke_made(connection, _token.made_by_identity == identity, now_us, keeps)
    return [token for token in found if token.state(now_us) == "good"]


def one(connection: sa.Connection, token_id: int) -> Token | None:
    """The token with this id."""
    row = connection.execute(sa.select(*COLUMNS).where(_token.id == token_id)).one_or_none()
    return None if row is None else token_of(row)


def listed(connection: sa.Connection, now_us: int) -> list[Token]:
    """All valid tokens, and the newest :data:`ENDED_LISTED` that have ended; oldest first."""
    ended = _has_ended(now_us)
    some = sa.select(*COLUMNS).where(ended).order_by(_token.id.desc()).limit(ENDED_LISTED)
    rows = [*connection.execute(sa.select(*COLUMNS).where(~ended)), *connection.execute(some)]
    return sorted(map(token_of, rows), key=lambda token: token.id)


def named(made: tuple[Token, str]) -> str:
    """What was made, for the audit log."""
    return f"token {made[0].id}"


def mark_used(connection: sa.Connection, used_us: Mapping[int, int]) -> None:
    """Records when tokens, by id, were used last. Not announced: nothing that is kept in memory depends on it."""
    if used_us:
        connection.exec_driver_sql(
            "UPDATE api_tokens SET last_used_at_us = ? WHERE id = ?", [(at_us, id_) for id_, at_us in used_us.items()]
        )


def announce(connection: sa.Connection) -> None:
    """Has what is kept in memory of tokens, accounts and sessions dropped, on every node, with the commit."""
    database.of(connection).announce(connection, CHANGED)


def token_of(row: Sequence[Any]) -> Token:
    """A row of ``COLUMNS`` as a token."""
    values = dict(zip((column.name for column in COLUMNS), row, strict=True))
    values["apps"] = app_sets.read(values["apps"])
    values["origins"] = msgspec.json.decode(values["origins"], type=tuple[str, ...])
    return Token(**values)


def hashed(secret: str) -> bytes:
    """The stored form of a secret. Any text of a header can be hashed."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _revoke_made(
    connection: sa.Connection, is_its: sa.ColumnElement[bool], now_us: int, keeps: Callable[[Token], bool]
) -> list[Token]:
    # Those that have expired too: a successor may end with them.
    rows = connection.execute(sa.select(*COLUMNS).where(is_its & _token.revoked_at_us.is_(None))).all()
    found = [token for token in map(token_of, rows) if not keeps(token)]
    for token in found:
        revoke(connection, token.id, now_us)
    return found


def _valid(connection: sa.Connection, now_us: int) -> int:
    valid = sa.select(_token.id).where(~_has_ended(now_us)).limit(MOST_VALID)
    return connection.execute(sa.select(sa.func.count()).select_from(valid.subquery())).scalar_one()


def _has_ended(now_us: int) -> sa.ColumnElement[bool]:
    expired = sa.and_(_token.expires_at_us.is_not(None), _token.expires_at_us <= now_us)
    return sa.or_(_token.revoked_at_us.is_not(None), expired)
