"""Links by which anyone can read one user's history as of one moment, until they expire.

Nothing is stored for a link: it has the user's row number, the moment, the expiry and the last event by the moment, and
is signed with a key of this database for the user's id, which is not in the link. What it shows never grows: a future
moment becomes that of signing. After a rebuild has changed the row numbers, older links are refused: their signature is
for another user's id. So are those to what was erased, whoever the user is that came back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec
import sqlalchemy as sa
from itsdangerous import Signer

from sidecar.domain.units import DAY_US, HOUR_US, SECOND_US
from sidecar.store.access import keys
from sidecar.store.access.pseudonyms import erased_through
from sidecar.store.log_positions import position_as_of

LIFETIMES: Final[Mapping[str, int]] = {"1h": HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US}
"""How long a link may be valid, as a request has it, in microseconds."""
_KEY: Final = "hand_off"


class ShareLink(msgspec.Struct, frozen=True):
    """Whose history, as of when, and until when it may be read. ``position`` is the last event by then, once signed."""

    app_id: int
    user_id: str
    as_of_us: int
    expires_at_us: int
    position: int = 0


def sign(connection: sa.Connection, given: ShareLink, now_us: int) -> str | None:
    """The text of the link; None for an unknown user. The expiry is rounded down to a second."""
    as_of_us = min(given.as_of_us, now_us)
    sql = "SELECT user_key FROM user_status WHERE app_id = ? AND user_id = ?"
    user_key = connection.exec_driver_sql(sql, (given.app_id, given.user_id)).scalar()
    if user_key is None:
        return None
    position = position_as_of(connection, as_of_us)
    claims = f"{user_key}.{as_of_us}.{given.expires_at_us // SECOND_US}.{position}"
    return _signer(connection, given.app_id, given.user_id).sign(claims).decode()


def read(connection: sa.Connection, text: str, now_us: int) -> ShareLink | None:
    """The contents of a link; None where it was not signed here, was changed, or has expired."""
    try:
        user_key, as_of_us, expires_s, position = map(int, text.split(".")[:-1])
    except ValueError:
        return None
    if expires_s * SECOND_US <= now_us or not 0 < user_key < 2**63:
        return None
    found = connection.exec_driver_sql(
        "SELECT app_id, user_id FROM user_status WHERE user_key = ?", (user_key,)
    ).first()
    if found is None or not _signer(connection, found[0], found[1]).validate(text):
        return None
    if 0 < erased_through(connection, found[0], found[1]) >= position:
        return None
    return ShareLink(found[0], found[1], as_of_us, expires_s * SECOND_US, position)


def _signer(connection: sa.Connection, app_id: int, user_id: str) -> Signer:
    salt = f"{app_id} {user_id}".encode(errors="surrogatepass")
    return Signer(keys.key(connection, _KEY), salt, key_derivation="hmac", digest_method=hashlib.sha256)
