"""Who may come in: the Host and Origin of a request, and its token.

A page on any site can reach a server on loopback through its visitor's browser. So the Host must be a name of ours
(DNS rebinding), and a request that changes something must not come from a stranger's page (CSRF).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.api.problem import Problem
from sidecar.domain.sentences import Sentence
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.records import Token

TOKEN: web.RequestKey[Token | None] = web.RequestKey("token", Token | None)  # type: ignore[arg-type]
# A hand-off is opened by the link itself, which is signed and ends. A callback of ZEGO's has no token; its signature is
# checked where it is taken.
_OPEN = ("/livez", "/readyz", "/tap/", "/static/", "/hand-off/", "/v1/callbacks/")
_SAFE = ("GET", "HEAD", "OPTIONS")
# What comes without a token is signed instead; the calls themselves look at that.
_SIGNED = ("/v1/chatops", "/v1/chatops/slack")

_LOCAL: Final = Sentence("local")
_FOREIGN_HOST: Final = Sentence("this Host is not one of this server's; name it in server.allowed_hosts if it is")
_FOREIGN_ORIGIN: Final = Sentence("pages of other origins may send events, and change nothing else")
_NO_TOKEN: Final = Sentence("a token is needed: Authorization: Bearer <token>")
_BAD_TOKEN: Final = Sentence("the token is unknown, revoked or expired")
_OTHER_SCOPE: Final = Sentence("the token's scope is %(scope)s; this needs %(needed)s")


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is this machine under a name that no one else can give it."""
    name = (host or "").strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def origin_is_allowed(origin: str, settings: Settings) -> bool:
    """Whether a page of this origin may send events: any on loopback, and those that the settings name."""
    if origin in settings.ingest.allowed_origins:
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and is_loopback(parts.hostname)


def check_host(request: web.Request, settings: Settings) -> None:
    """421 for a Host that is not ours."""
    try:
        name = urlsplit(f"//{request.host}").hostname
    except ValueError:
        name = None
    server = settings.server
    ours = {host.strip("[]").lower() for host in (server.host, *server.allowed_hosts)}
    if not is_loopback(name) and name not in ours:
        raise Problem(421, _FOREIGN_HOST())


def is_own_origin(request: web.Request) -> bool:
    """Whether a page of this server sent it. A proxy in front may speak TLS, so that only the host is compared."""
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host


def check_origin(request: web.Request, settings: Settings) -> None:
    """403 for a request that changes something and comes from a page that may not."""
    origin = request.headers.get("Origin")
    if origin is None or request.method in _SAFE or is_own_origin(request):
        return
    if request.path != "/v1/events":
        raise Problem(403, _FOREIGN_ORIGIN())
    if not origin_is_allowed(origin, settings):
        raise Problem(403, "pages of this origin may not send here; name it in ingest.allowed_origins if they may")


async def check_token(request: web.Request, store: Store) -> Token | None:
    """The token of a request, None where none is asked for. 401 without a good one, 403 where its scope is another."""
    if request.method == "OPTIONS" or request.path.startswith(_OPEN):
        return None
    secret = _secret(request)
    if secret is None:
        if request.path in _SIGNED or (not store.has_tokens and is_local(request)):
            return None
        raise _unauthorized(_NO_TOKEN())
    token = await store.token_of(secret)
    if token is None:
        raise _unauthorized(_BAD_TOKEN())
    ingests = request.method == "POST" and request.path == "/v1/events"
    reads = request.method in _SAFE or request.path in _SIGNED
    needed = {"ingest"} if ingests else {"read", "write"} if reads else {"write"}
    if token.scope not in needed:
        raise Problem(403, _OTHER_SCOPE(scope=token.scope, needed=" or ".join(sorted(needed))))
    return token


def app_of(request: web.Request) -> int | None:
    """The app that the request's token is bound to; None for every app."""
    token = request.get(TOKEN)
    return token.app_id if token else None


def who(request: web.Request) -> str:
    """Who did it, for the record: the name in a browser's sign-in box, else the token's beginning."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name = base64.b64decode(value, validate=True).decode().partition(":")[0].strip()
        except (binascii.Error, UnicodeDecodeError):
            name = ""
        if name:
            return name[:100]
    token = request.get(TOKEN)
    return _LOCAL() if token is None else f"token {token.id} ({token.hint}…)"


def is_local(request: web.Request) -> bool:
    """Whether it was sent on this machine."""
    # Behind a proxy on this machine every peer looks local.
    forwarded = "Forwarded" in request.headers or "X-Forwarded-For" in request.headers
    return not forwarded and is_loopback(request.remote)


def _secret(request: web.Request) -> str | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    # A browser sends this along by itself, so that it changes something only where our own page asks for it.
    from_own_page = not request.path.startswith("/v1/") and is_own_origin(request)
    if kind.lower() == "basic" and (request.method in _SAFE or from_own_page):
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return None


def _unauthorized(detail: str) -> Problem:
    return Problem(
        401, detail, {"WWW-Authenticate": 'Bearer realm="Zimwatch", Basic realm="Zimwatch", charset="UTF-8"'}
    )
