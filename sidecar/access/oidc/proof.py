"""The tokens behind a session, encrypted with its cookie's value: a copy of the database has no use for them."""

from __future__ import annotations

import base64
from typing import Final, Literal

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sidecar.access.oidc.endpoints import Tokens
from sidecar.domain.units import SECOND_US

# RFC 6749 recommends that a provider says it, or documents it.
_EXPIRES_S: Final = 3_600
_PURPOSE: Final = b"zimwatch openid connect tokens"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider gave at sign-in or renewed since. ``groups_in`` is where it said the groups.

    ``id_token`` tells the provider at sign-out who leaves.
    """

    subject: str
    groups_in: Literal["id_token", "userinfo"]
    id_token: str
    access_token: str
    expires_at_us: int
    refresh_token: str | None = None

    def renewed(self, tokens: Tokens, now_us: int) -> Proof:
        """With the tokens of another response, which may leave out those that stay."""
        return msgspec.structs.replace(
            self,
            id_token=tokens.id_token or self.id_token,
            access_token=tokens.access_token,
            expires_at_us=expiry_us(tokens, now_us),
            refresh_token=tokens.refresh_token or self.refresh_token,
        )

    def sealed(self, secret: str, now_us: int) -> str:
        """The stored form, for the session whose cookie has this value."""
        return _cipher(secret).encrypt_at_time(msgspec.msgpack.encode(self), now_us // SECOND_US).decode()


def unsealed(stored: str, secret: str) -> Proof | None:
    """The inverse of :meth:`Proof.sealed`; None for what this secret does not open, or another version stored."""
    try:
        return msgspec.msgpack.decode(_cipher(secret).decrypt(stored), type=Proof)
    except (InvalidToken, ValueError, msgspec.DecodeError):
        return None


def expiry_us(tokens: Tokens, now_us: int) -> int:
    """When the access token expires."""
    seconds = _EXPIRES_S if tokens.expires_in is None else tokens.expires_in
    return now_us + seconds * SECOND_US


def _cipher(secret: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(secret.encode(errors="replace"))
    return Fernet(base64.urlsafe_b64encode(key))
