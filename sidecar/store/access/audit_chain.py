"""The hash chain of the audit log. Pure.

The hash of a row covers its values and the hash of the row before it, so that whoever has saved a hash can prove every
row up to it. The seal of a row is an HMAC of its hash, with a key of the database: it is out of reach for whoever can
write to this table alone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import msgspec

HASHED: Final = ("id", "at_us", "actor", "action", "subject", "address", "request_id", "details")
"""The columns that a hash covers, in this order."""
_HASH_BYTES: Final = 32


def hash_of(before: bytes, values: Sequence[Any]) -> bytes:
    """The hash of a row, from that of the row before it and its values in the order of ``HASHED``."""
    return hashlib.sha256(before + msgspec.json.encode(values)).digest()


def seal_of(key: bytes, row_id: int, hash_: bytes) -> bytes:
    """The seal of a row."""
    return _hmac(key, b"row", row_id, hash_)


def seal_of_mark(key: bytes, name: str, row_id: int, at_us: int, hash_: bytes) -> bytes:
    """The seal of the head or of the anchor."""
    return _hmac(key, name.encode(), row_id, at_us, hash_)


def first_hash(key: bytes) -> bytes:
    """The hash before the first row: another one in each database."""
    return _hmac(key, b"first")


def pseudonym_of_user(key: bytes, app_id: int, user_id: str) -> str:
    """The keyed pseudonym of a user."""
    return f"user {_short(key, b'user', app_id, user_id)}"


def pseudonym_of_text(key: bytes, text: str) -> str:
    """The keyed pseudonym of a text that was searched for."""
    return f"search {_short(key, b'search', text)}"


def is_hash(value: object) -> bool:
    """Whether a value of a row can be a hash or seal."""
    return isinstance(value, bytes) and len(value) == _HASH_BYTES


def _short(key: bytes, *parts: Any) -> str:  # noqa: ANN401 - as below
    return _hmac(key, *parts)[:16].hex()


def _hmac(key: bytes, *parts: Any) -> bytes:  # noqa: ANN401 - texts, numbers and bytes
    """Each part with its length before it, so that no two lists of parts are alike."""
    signed = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode(errors="surrogatepass")
        signed.update(b"%d:" % len(raw))
        signed.update(raw)
    return signed.digest()
