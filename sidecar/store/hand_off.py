"""Links that let somebody without a token read one user's story as it stood at one moment, until they end.

Nothing is kept for a link: it carries the user's row number, the moment and its end, and is signed with a key of this
database over those and the user's id, which the link itself does not give away. A link that was made before the rows
were numbered anew is refused rather than shown another's story.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from typing import Final

import msgspec
import sqlalchemy as sa

_CLAIMS: Final = struct.Struct(">QqQ")
_MAC_BYTES: Final = 16
_SECOND_US: Final = 1_000_000


class HandOff(msgspec.Struct, frozen=True):
    """Whose story, as of when, and until when it may be read."""

    app_id: int
    user_id: str
    as_of_us: int
    expires_at_us: int


def sign(connection: sa.Connection, given: HandOff) -> str | None:
    """The text of the link; None where nobody has heard of the user. Its end is rounded down to a second."""
    sql = "SELECT user_key FROM user_status WHERE app_id = ? AND user_id = ?"
    user_key = connection.exec_driver_sql(sql, (given.app_id, given.user_id)).scalar()
    if user_key is None:
        return None
    claims = _CLAIMS.pack(user_key, given.as_of_us, given.expires_at_us // _SECOND_US)
    signed = claims + _mac(connection, claims, given.app_id, given.user_id)
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def read(connection: sa.Connection, text: str, now_us: int) -> HandOff | None:
    """What the link says; None where it is not ours, was changed, or has ended."""
    try:
        signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(signed) != _CLAIMS.size + _MAC_BYTES:
        return None
    claims, mac = signed[: _CLAIMS.size], signed[_CLAIMS.size :]
    user_key, as_of_us, expires_s = _CLAIMS.unpack(claims)
    if expires_s * _SECOND_US <= now_us or user_key >= 2**63:
        return None
    found = connection.exec_driver_sql(
        "SELECT app_id, user_id FROM user_status WHERE user_key = ?", (user_key,)
    ).first()
    if found is None or not hmac.compare_digest(mac, _mac(connection, claims, found[0], found[1])):
        return None
    return HandOff(found[0], found[1], as_of_us, expires_s * _SECOND_US)


def _mac(connection: sa.Connection, claims: bytes, app_id: int, user_id: str) -> bytes:
    key = connection.exec_driver_sql("SELECT value FROM keys WHERE name = 'hand_off'").scalar_one()
    said = claims + struct.pack(">q", app_id) + user_id.encode(errors="surrogatepass")
    return hmac.digest(key, said, hashlib.sha256)[:_MAC_BYTES]
