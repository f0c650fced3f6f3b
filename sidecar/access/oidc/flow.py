"""One sign-in between its two requests: kept in an encrypted cookie, so that any node can finish it.

Authorization code flow with PKCE (RFC 7636), state, nonce and the issuer of the response (RFC 9207).
"""

from __future__ import annotations

import base64
import hashlib
import secrets  # noqa: TID251 - they are secrets
from collections.abc import Mapping
from hmac import compare_digest
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from sidecar.access.oidc import errors
from sidecar.access.oidc.documents import Metadata
from sidecar.access.oidc.errors import OidcError
from sidecar.access.proxies import PublicRequest
from sidecar.domain.outside_text import cut
from sidecar.settings import OidcSettings

LASTS_S: Final = 600
PATH: Final = "/sign-in/oidc"
CALLBACK: Final = f"{PATH}/callback"
LOGOUT: Final = f"{PATH}/back-channel-logout"
_NAME: Final = "zimwatch-oidc"
# A browser keeps no cookie of more than 4,096 bytes.
_FOLLOWING_BYTES: Final = 1_500
_ERROR_CHARACTERS: Final = 60


class Flow(msgspec.Struct, frozen=True):
    """A sign-in that a browser has begun. ``following`` is the page that it leads to."""

    state: str
    nonce: str
    verifier: str
    issuer: str
    redirect_uri: str
    following: str

    @classmethod
    def begin(cls, issuer: str, public: PublicRequest, following: str) -> Flow:
        """A new one, with 256 random bits for each of its secrets."""
        return cls(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(32),
            issuer=issuer,
            redirect_uri=public.url + CALLBACK,
            following=following if len(following) <= _FOLLOWING_BYTES else "/",
        )

    def address(self, metadata: Metadata, settings: OidcSettings) -> str:
        """Where the browser goes to sign in."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(settings.scopes),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        return with_query(metadata.authorization_endpoint, query)

    def code_of(self, query: Mapping[str, str], metadata: Metadata, issuer: str) -> str:
        """The code of the provider's response; OidcError for any response that is not to this very sign-in."""
        if not compare_digest(query.get("state", "").encode(errors="replace"), self.state.encode()):
            raise OidcError(errors.OTHER_STATE(), 400)
        given = query.get("iss")
        # The settings may name another provider since, whose code must not go to the former one's endpoint or back.
        is_other = given is not None and given != self.issuer
        if (
            self.issuer != issuer
            or is_other
            or (given is None and metadata.authorization_response_iss_parameter_supported)
        ):
            raise OidcError(errors.OTHER_PROVIDER(), 400)
        if "error" in query:
            raise OidcError(errors.DENIED(error=cut(query["error"], _ERROR_CHARACTERS)), 403)
        if not query.get("code"):
            raise OidcError(errors.NO_CODE(), 400)
        return query["code"]


class FlowCookie(msgspec.Struct, frozen=True):
    """Holds a flow for ten minutes. It is sent to these paths alone; SameSite=Lax, as the response is a link."""

    name: str
    path: str
    secure: bool

    @classmethod
    def of(cls, public: PublicRequest) -> FlowCookie:
        """The cookie for a browser with such requests."""
        is_secure = public.scheme == "https"
        return cls(f"__Secure-{_NAME}" if is_secure else _NAME, public.prefix + PATH, is_secure)

    def put(self, response: web.StreamResponse, flow: Flow, key: bytes, now_s: int) -> None:
        """Sets the cookie, encrypted with a key of 32 bytes."""
        value = _cipher(key).encrypt_at_time(msgspec.msgpack.encode(flow), now_s).decode()
        self._put(response, value, LASTS_S)

    def read(self, request: web.Request, key: bytes, now_s: int) -> Flow:
        """The flow; OidcError where there is none, or it was not begun here or not lately."""
        try:
            raw = _cipher(key).decrypt_at_time(request.cookies.get(self.name, ""), LASTS_S, now_s)
            return msgspec.msgpack.decode(raw, type=Flow)
        except (InvalidToken, ValueError, msgspec.DecodeError):
            raise OidcError(errors.NOT_BEGUN(), 400) from None

    def drop(self, response: web.StreamResponse) -> None:
        """Deletes the cookie: its sign-in is over."""
        self._put(response, "", 0)

    def _put(self, response: web.StreamResponse, value: str, max_age_s: int) -> None:
        response.set_cookie(
            self.name, value, max_age=max_age_s, path=self.path, secure=self.secure, httponly=True, samesite="Lax"
        )


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The address with these parameters behind its own."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"


def _cipher(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
