"""Keys of accounts, each derived for one purpose from a key of this database."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

import msgspec
import sqlalchemy as sa
from cryptography.fernet import Fernet
from itsdangerous import BadSignature, Signer

from sidecar.store.access import keys

NAME: Final = "accounts"


class AccountKeys(msgspec.Struct, frozen=True):
    """What encrypts the secrets of one-time codes, and signs what browsers keep."""

    totp: Fernet
    _key: bytes

    @classmethod
    def read(cls, connection: sa.Connection) -> AccountKeys:
        """From the table of keys."""
        key = keys.key(connection, NAME)
        derived = hmac.new(key, b"totp", hashlib.sha256).digest()
        return cls(Fernet(urlsafe_b64encode(derived)), key)

    def sign(self, purpose: str, text: str) -> str:
        """The text with a signature for this purpose alone."""
        return self._signer(purpose).sign(text).decode()

    def signed(self, purpose: str, text: str) -> str | None:
        """The text that was signed for this purpose; None where it was not."""
        try:
            return self._signer(purpose).unsign(text.encode(errors="replace")).decode()
        except (BadSignature, ValueError):
            return None

    def _signer(self, purpose: str) -> Signer:
        return Signer(self._key, purpose, key_derivation="hmac", digest_method=hashlib.sha256)
