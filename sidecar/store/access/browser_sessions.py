"""Sessions of browsers that are signed in, found by the SHA-256 of the cookie's value.

The value is 256 random bits and is never stored, so that a copy of the database signs nobody in. A session belongs to
a token, an account, or an identity from outside, and is read together with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain import texts
from sidecar.domain.texts import Text
from sidecar.store.access import account_rows, app_sets, tokens
from sidecar.store.access.account_schema import browser_sessions as table
from sidecar.store.values import Account, BrowserSession, OutsideIdentity, SessionOwner, Token, identity_key

MOST_OF_AN_OWNER: Final = 100
"""Sessions of one token, account or identity. One more ends the one without a request for longest."""

_session = table.c
_OWN: Final = ("id", "name", "address", "browser", "created_at_us", "seen_at_us", "ended")
_OUTSIDE: Final = ("issuer", "subject", "role", "apps", "checked_at_us")
_IS_OF: Final = ("token_id", "account_id")
_FROM_TOKEN: Final = len(_IS_OF) + len(_OWN) + len(_OUTSIDE)
_FROM_ACCOUNT: Final = _FROM_TOKEN + len(tokens.COLUMNS)
_SELECT: Final = (
    f"SELECT {', '.join(f's.{name}' for name in (*_IS_OF, *_OWN, *_OUTSIDE))},"
    f" {', '.join(f't.{one.name}' for one in tokens.COLUMNS)},"
    f" {', '.join(f'a.{one.name}' for one in account_rows.COLUMNS)}"
    " FROM browser_sessions s LEFT JOIN api_tokens t ON t.id = s.token_id LEFT JOIN accounts a ON a.id = s.account_id"
)
WITH_THIS_SECRET: Final = f"{_SELECT} WHERE s.secret_sha256 = ?"


class New(msgspec.Struct, frozen=True, kw_only=True):
    """A new session. ``refresh`` is what the identity provider's part needs later, and ``sid`` the session there.

    Neither is read with the session.
    """

    owner: SessionOwner
    created_at_us: int
    name: str = ""
    address: str = ""
    browser: str = ""
    refresh: str | None = None
    sid: str | None = None


def owner_key(owner: SessionOwner) -> str:
    """What the sessions of one owner have in common."""
    match owner:
        case Token():
            return f"token {owner.id}"
        case Account():
            return key_of_account(owner.id)
        case OutsideIdentity():
            return owner.key


def key_of_account(account_id: int) -> str:
    """What the sessions of an account have in common."""
    return f"account {account_id}"


def begin(connection: sa.Connection, secret: str, begun: New, *, created_after_us: int) -> None:
    """Stores a new session, and deletes those that were created by ``created_after_us``, which have expired."""
    connection.execute(sa.delete(table).where(_session.created_at_us <= created_after_us))
    owner, key = begun.owner, owner_key(begun.owner)
    of_owner = sa.select(_session.id).where(_session.owner == key)
    past_most = of_owner.order_by(_session.seen_at_us.desc(), _session.id.desc()).offset(MOST_OF_AN_OWNER - 1)
    connection.execute(sa.delete(table).where(_session.id.in_(past_most)))
    values: dict[str, Any] = {
        "secret_sha256": tokens.hashed(secret),
        "owner": key,
        "token_id": owner.id if isinstance(owner, Token) else None,
        "account_id": owner.id if isinstance(owner, Account) else None,
        "refresh": begun.refresh,
        "sid": begun.sid,
        "name": begun.name,
        "address": begun.address,
        "browser": begun.browser,
        "created_at_us": begun.created_at_us,
        "seen_at_us": begun.created_at_us,
    }
    if isinstance(owner, OutsideIdentity):
        values |= _of_identity(owner)
    connection.execute(sa.insert(table).values(values))
    tokens.announce(connection)


def session_of(row: Sequence[Any]) -> BrowserSession:
    """A row of ``WITH_THIS_SECRET``."""
    token_id, account_id, *rest = row
    own = dict(zip(_OWN, rest, strict=False))
    ended = None if own["ended"] is None else texts.load(own["ended"])
    return BrowserSession(**own | {"ended": ended}, owner=_owner_of(row, token_id, account_id))


def list_of(connection: sa.Connection, owner: str) -> list[BrowserSession]:
    """The sessions of one owner, by its key, the last seen first; also those that have expired."""
    sql = f"{_SELECT} WHERE s.owner = ? ORDER BY s.seen_at_us DESC, s.id DESC"
    return [session_of(row) for row in connection.exec_driver_sql(sql, (owner,))]


def seen(connection: sa.Connection, session_id: int, now_us: int) -> None:
    """Records a request of the session."""
    connection.execute(sa.update(table).where(_session.id == session_id).values(seen_at_us=now_us))
    tokens.announce(connection)


def refresh_of(connection: sa.Connection, session_id: int) -> str | None:
    """What the identity provider's part kept with the session; None where it has ended, or nothing was kept."""
    found: str | None = connection.execute(sa.select(_session.refresh).where(_session.id == session_id)).scalar()
    return found


def claim_check(connection: sa.Connection, session_id: int, checked_at_us: int, now_us: int) -> bool:
    """Whether the caller is the one that looks the identity up now: nobody has since ``checked_at_us``."""
    due = (_session.id == session_id, _session.checked_at_us == checked_at_us, _session.ended.is_(None))
    done = connection.execute(sa.update(table).where(*due).values(checked_at_us=now_us))
    tokens.announce(connection)
    return done.rowcount == 1


def confirm(connection: sa.Connection, session_id: int, identity: OutsideIdentity, refresh: str | None) -> None:
    """Stores what the identity provider says now of the identity of a session."""
    change = sa.update(table).where(_session.id == session_id)
    connection.execute(change.values(**_of_identity(identity), refresh=refresh))
    tokens.announce(connection)


def end_because(connection: sa.Connection, session_id: int, why: Text) -> None:
    """Ends the session, and keeps the reason for its browser. What was kept for the identity provider is deleted."""
    change = sa.update(table).where(_session.id == session_id)
    connection.execute(change.values(ended=texts.dump(why), refresh=None))
    tokens.announce(connection)


def end_of_provider(
    connection: sa.Connection, issuer: str, subject: str | None, sid: str | None, why: Text
) -> list[tuple[int, str]]:
    """Ends the sessions of a subject, or those begun with one session at the provider; see :func:`end_because`.

    Of a known subject also those of which it is not known what they were begun with. The ids and subjects of these.
    """
    wanted = (_session.issuer == issuer) & _session.ended.is_(None)
    if subject is not None:
        wanted &= _session.owner == identity_key(issuer, subject)
    if sid is not None:
        wanted &= (_session.sid == sid) if subject is None else sa.or_(_session.sid == sid, _session.sid.is_(None))
    rows = connection.execute(sa.select(_session.id, _session.subject).where(wanted).order_by(_session.id)).all()
    for session_id, _ in rows:
        end_because(connection, session_id, why)
    return [(session_id, its_subject) for session_id, its_subject in rows]


def end(connection: sa.Connection, secret: str) -> None:
    """Deletes the session, because its browser has signed out."""
    connection.execute(sa.delete(table).where(_session.secret_sha256 == tokens.hashed(secret)))
    tokens.announce(connection)


def end_of(connection: sa.Connection, owner: str, session_id: int | None = None) -> int:
    """Deletes the sessions of one owner, by its key, or only one of them. Returns how many there were."""
    gone = sa.delete(table).where(_session.owner == owner)
    done = connection.execute(gone if session_id is None else gone.where(_session.id == session_id))
    tokens.announce(connection)
    return done.rowcount


def _of_identity(identity: OutsideIdentity) -> dict[str, Any]:
    values = {name: getattr(identity, name) for name in _OUTSIDE}
    return values | {"apps": app_sets.stored(identity.apps), "name": identity.name}


def _owner_of(row: Sequence[Any], token_id: int | None, account_id: int | None) -> SessionOwner:
    if token_id is not None:
        return tokens.token_of(row[_FROM_TOKEN:_FROM_ACCOUNT])
    if account_id is not None:
        return account_rows.account_of(row[_FROM_ACCOUNT:])
    outside = dict(zip(_OUTSIDE, row[len(_IS_OF) + len(_OWN) : _FROM_TOKEN], strict=True))
    name = row[len(_IS_OF) + _OWN.index("name")]
    return OutsideIdentity(**outside | {"apps": app_sets.read(outside["apps"])}, name=name)
