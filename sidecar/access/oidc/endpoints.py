"""The provider's endpoints that Zimwatch itself calls: for tokens, and for what is known of a person."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import msgspec

from sidecar.access.oidc.documents import Documents, Metadata, call, decoded
from sidecar.access.oidc.errors import (
    CODE_REFUSED,
    SIGNED_OUT_BY_PROVIDER,
    UNUSABLE,
    EndedByProviderError,
    ProviderError,
)
from sidecar.domain.outside_text import cut
from sidecar.http_client import Answer, HttpClient
from sidecar.settings import OidcSettings

_FORM: Final = "application/x-www-form-urlencoded"
MOST_TOKENS_BYTES: Final = 49_152
"""Of one response, since tokens are stored with each session."""
_ERROR_CHARACTERS: Final = 60
# Of RFC 6749, section 5.2: the grant itself is refused, not the client or its request.
_GRANT_REFUSED: Final = "invalid_grant"


class Tokens(msgspec.Struct, frozen=True):
    """A response of the token endpoint. ``expires_in`` is that of the access token, in seconds."""

    access_token: str
    id_token: str | None = None
    refresh_token: str | None = None
    expires_in: int | None = None


class _Failure(msgspec.Struct, frozen=True):
    error: str = ""


class Endpoints:
    """Calls them as the client of the settings."""

    def __init__(self, settings: OidcSettings, documents: Documents, http: Callable[[], HttpClient]) -> None:
        self._settings = settings
        self._documents = documents
        self._http = http

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """The tokens for a code; EndedByProviderError where the provider refuses it, else ProviderError."""
        fields = {"code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
        return await self._tokens({"grant_type": "authorization_code"} | fields)

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens; EndedByProviderError once the provider refuses to renew them, else ProviderError."""
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def userinfo(self, access_token: str, subject: str) -> dict[str, Any] | None:
        """The claims about the subject; None where the provider has no such endpoint.

        EndedByProviderError once the access token is not valid any more, else ProviderError.
        """
        url = (await self._documents.metadata.get()).userinfo_endpoint
        if url is None:
            return None
        answer = await call(self._http(), "GET", url, headers={"Authorization": f"Bearer {access_token}"})
        if answer.status == 401:  # noqa: PLR2004 - RFC 6750's invalid_token
            raise EndedByProviderError(SIGNED_OUT_BY_PROVIDER())
        claims = decoded(answer, dict[str, Any], "userinfo response")
        if claims.get("sub") != subject:  # OpenID Connect Core 1.0, section 5.3.2
            raise ProviderError(UNUSABLE(document="userinfo response", why="it is about somebody else"))
        return claims

    async def _tokens(self, fields: dict[str, str]) -> Tokens:
        metadata = await self._documents.metadata.get()
        headers, own = self._credentials(metadata)
        body = urlencode(fields | own).encode()
        headers["Content-Type"] = _FORM
        answer = await call(self._http(), "POST", metadata.token_endpoint, body, headers, most_bytes=MOST_TOKENS_BYTES)
        if answer.is_success:
            return decoded(answer, Tokens, "token response")
        error = _error_of(answer)
        if error == _GRANT_REFUSED:
            raise EndedByProviderError(CODE_REFUSED(error=error))
        raise ProviderError(UNUSABLE(document="token response", why=f"HTTP {answer.status} {error}".rstrip()))

    def _credentials(self, metadata: Metadata) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and fields that prove the client: RFC 6749, section 2.3.1."""
        client_id, secret = self._settings.client_id, self._settings.client_secret
        methods = metadata.token_endpoint_auth_methods_supported
        if secret is None:
            return {}, {"client_id": client_id}
        if "client_secret_basic" not in methods and "client_secret_post" in methods:
            return {}, {"client_id": client_id, "client_secret": secret}
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}, {}


def _error_of(answer: Answer) -> str:
    try:
        return cut(msgspec.json.decode(answer.body, type=_Failure).error, _ERROR_CHARACTERS)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
