"""Validates logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.6). Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from joserfc.jwk import KeySet

from sidecar.access.oidc import errors
from sidecar.access.oidc.id_token import LEEWAY_S, IdTokenError, checked, verified

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LASTS_S: Final = 600
"""How old a token may be, also without an expiry; so long it is remembered, so that none counts twice."""
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Logout(msgspec.Struct, frozen=True):
    """Whose sessions end: those of ``sub``, or that with ``sid``; one of the two is known. ``jti`` is the token's."""

    jti: _Id
    iat: int
    events: dict[str, dict[str, Any]]
    sub: _Id | None = None
    sid: _Id | None = None

    @property
    def until_s(self) -> int:
        """From when on it is too old."""
        return self.iat + LASTS_S + LEEWAY_S


def logout_of(token: str, keys: KeySet, *, issuer: str, client_id: str, now_s: int) -> Logout:
    """What a valid token says; IdTokenError for any other, such as an ID token."""
    claims = checked(
        verified(token, keys),
        now_s,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        iat={"essential": True},
    )
    try:
        found = msgspec.convert(claims, Logout)
    except msgspec.ValidationError:
        raise IdTokenError(errors.TOKEN_CLAIM(claim="jti, events, sub or sid")) from None
    if EVENT not in found.events:
        raise IdTokenError(errors.TOKEN_CLAIM(claim="events"))
    if found.sub is None and found.sid is None:
        raise IdTokenError(errors.TOKEN_CLAIM(claim="sub"))
    if "nonce" in claims:
        raise IdTokenError(errors.TOKEN_NONCE())
    if now_s >= found.until_s:
        raise IdTokenError(errors.TOKEN_EXPIRED())
    return found
