"""Validates ID tokens (OpenID Connect Core 1.0, section 3.1.3.7). Pure."""

from __future__ import annotations

from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    KeyParameterError,
    MissingAlgorithmError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import KeySet

from sidecar.access.oidc import errors
from sidecar.access.oidc.errors import OidcError
from sidecar.domain.texts import Sentence, Text

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
"""Asymmetric ones alone, so that a public key is never taken for a shared secret."""
LEEWAY_S: Final = 60
SUBJECT_CHARACTERS: Final = 255
# Providers add header parameters of their own; those that are critical are still refused.
_REGISTRY: Final = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_OF_CLAIM: Final = {
    "iss": errors.TOKEN_ISSUER,
    "aud": errors.TOKEN_AUDIENCE,
    "azp": errors.TOKEN_AUDIENCE,
    "nonce": errors.TOKEN_NONCE,
    "nbf": errors.TOKEN_EARLY,
    "iat": errors.TOKEN_EARLY,
}


class IdTokenError(OidcError):
    """The ID token is refused. ``unknown_key``: it may be signed with a key that the provider has only now."""

    def __init__(self, message: Text, *, unknown_key: bool = False) -> None:
        super().__init__(message, 403)
        self.unknown_key = unknown_key


def claims_of(
    token: str, keys: KeySet, *, issuer: str, client_id: str, now_s: int, nonce: str | None
) -> dict[str, Any]:
    """The claims of a valid token; IdTokenError for any other. ``nonce`` None: of a token that was renewed."""
    claims = verified(token, keys)
    options: dict[str, jwt.ClaimsOption] = {
        "iss": {"essential": True, "value": issuer},
        "sub": {"essential": True},
        "aud": {"essential": True, "value": client_id},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "azp": {"essential": isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1, "value": client_id},
    }
    if nonce is not None:
        options["nonce"] = {"essential": True, "value": nonce}
    checked(claims, now_s, **options)
    if len(claims["sub"]) > SUBJECT_CHARACTERS:
        raise IdTokenError(errors.TOKEN_CLAIM(claim="sub"))
    return claims


def verified(token: str, keys: KeySet) -> dict[str, Any]:
    """The claims of a token that one of the keys signed, unchecked. IdTokenError."""
    try:
        return jwt.decode(token, keys, registry=_REGISTRY).claims
    except (MissingAlgorithmError, UnsupportedAlgorithmError):
        raise IdTokenError(errors.TOKEN_ALGORITHM()) from None
    except InvalidKeyIdError:
        raise IdTokenError(errors.TOKEN_KEY(), unknown_key=True) from None
    except (BadSignatureError, KeyParameterError):
        raise IdTokenError(errors.TOKEN_SIGNATURE(), unknown_key=True) from None
    except (JoseError, ValueError, TypeError, RecursionError):
        raise IdTokenError(errors.TOKEN_UNREADABLE()) from None


def checked(claims: dict[str, Any], now_s: int, **options: jwt.ClaimsOption) -> dict[str, Any]:
    """The claims, which are as the options want and valid at this time. IdTokenError."""
    try:
        jwt.JWTClaimsRegistry(now=now_s, leeway=LEEWAY_S, **options).validate(claims)
    except ExpiredTokenError:
        raise IdTokenError(errors.TOKEN_EXPIRED()) from None
    except ClaimError as error:
        raise IdTokenError(_of(error.claim)) from None
    return claims


def _of(claim: str) -> Text:
    """The first of the claims that joserfc names, which lists several where they are missing."""
    first = claim.partition(",")[0]
    known: Sentence | None = _OF_CLAIM.get(first)
    return known() if known is not None else errors.TOKEN_CLAIM(claim=first)
