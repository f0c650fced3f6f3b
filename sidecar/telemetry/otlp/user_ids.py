"""How spans name a user: by the id, by a keyed hash of it, or not at all (``privacy.user_id_in_telemetry``)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from sidecar.telemetry.otlp import attributes as names

Naming = Callable[[int, str], tuple[str, str] | None]
"""The attribute for an app and a user id; None for none."""


def naming(mode: str, key: bytes) -> Naming:
    """As the setting has it. The hash is another one than the pseudonyms in the audit log: a collector is elsewhere."""
    if mode == "off":
        return lambda _app_id, _user_id: None
    if mode == "hash":
        return lambda app_id, user_id: (names.USER_HASH, user_hash(key, app_id, user_id))
    return plain


def plain(_app_id: int, user_id: str) -> tuple[str, str]:
    """The id itself."""
    return names.USER_ID, user_id


def user_hash(key: bytes, app_id: int, user_id: str) -> str:
    """32 hexadecimal digits, the same for the same user as long as the database is the same."""
    text = f"telemetry\0{app_id}\0{user_id}".encode()
    return hmac.digest(key, text, hashlib.sha256)[:16].hex()
