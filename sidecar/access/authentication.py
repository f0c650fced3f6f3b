"""Authenticates requests by a token or by the cookie of a browser session.

Until the first token or account is made, requests from this machine need neither, unless they show signs of a proxy: a
local user can read the database file anyway. Once one was made, access without one never returns.
"""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from sidecar.access import routing
from sidecar.access.forward_auth import ForwardAuth
from sidecar.access.oidc_sign_in import OidcSignIn
from sidecar.access.policy import PEOPLE, SCOPES, Action, roles_with
from sidecar.access.principal import LOCAL, PRINCIPAL, Principal, begin
from sidecar.access.proxies import host_of, is_loopback, public_request
from sidecar.access.refusals import (
    BASIC,
    BEARER,
    INVALID_TOKEN,
    NotAllowedError,
    NotSignedInError,
    RefusedError,
)
from sidecar.access.sessions import Sessions
from sidecar.access.throttle import SignInThrottle
from sidecar.clock import Clock
from sidecar.domain import api_token
from sidecar.domain.texts import Sentence, Text
from sidecar.settings import ServerSettings, Settings
from sidecar.store import Store
from sidecar.store.values import Token

_SAFE: Final = ("GET", "HEAD", "OPTIONS")

_NO_TOKEN: Final = Sentence("request.no_token", "a token is needed: Authorization: Bearer <token>")
_OTHER_SCOPE: Final = Sentence("request.other_scope", "the token's scope is %(scope)s; this needs %(needed)s")
_OTHER_ROLE: Final = Sentence("request.other_role", "your role is %(role)s; this needs %(needed)s")
_CHANGED: Final = Sentence("sign_in.changed", "what you may see and do was changed")
_NEEDS_ACCOUNT: Final = Sentence("request.needs_account", "no token may do this; it needs an account: %(needed)s")


class Authenticator:
    """Authenticates requests, begins and ends browser sessions. One for a process, as it counts sign-in attempts."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._server = settings.server
        self._clock = clock
        self.throttle = SignInThrottle(clock)
        self.sessions = Sessions(store, settings, clock)
        self.oidc = OidcSignIn(store, settings, clock, self.sessions, self.throttle) if settings.oidc.is_on else None
        self._forward_auth = ForwardAuth(store, settings, clock)
        self._is_open_at_first = not (
            settings.server.public_url
            or not is_loopback(settings.server.host)
            or settings.oidc.is_on
            or settings.forward_auth.enabled
        )

    async def authorise(self, request: web.Request) -> Principal | None:
        """The principal of a permitted request; None where the route needs none. NotSignedInError or NotAllowedError.

        An unknown path needs a principal, whatever it may do: who has none cannot tell it from a known one.
        """
        declared = routing.declared_by(request.match_info.route)
        if request.method == hdrs.METH_OPTIONS or (declared is not None and declared.needed == routing.OPEN):
            return None
        if declared is not None and declared.signed_by in request.headers and not self._has_credentials(request):
            return None
        principal = await self.authenticate(request)
        # Also where it is refused: the page that says so has links to what the principal may open.
        begin(request, principal)
        if declared is not None and declared.needed != routing.OPEN:
            check_may(principal, declared.needed)
        return principal

    async def authenticate(self, request: web.Request) -> Principal:
        """The principal of a request. NotSignedInError."""
        given = self._given(request)
        # Credentials that are not known here are those of the proxy, where it has signed somebody in.
        is_known = given is not None and self._store.credentials.token(given[1]) is not None
        if not is_known and (forwarded := await self._forwarded(request)) is not None:
            return forwarded
        if given is not None:
            name, secret = given
            return Principal.of_token(self.valid_token(secret, *_challenges(request)), name=name)
        if self.needs_no_token(request):
            return LOCAL
        if secret := self._session_secret(request):
            session = self.sessions.valid(secret, *_challenges(request))
            if self.oidc is not None and await self.oidc.look_up_if_due(session, secret):
                session = self.sessions.valid(secret, *_challenges(request))
            await self.sessions.seen(request, session)
            return Principal.of_session(session)
        raise NotSignedInError(_NO_TOKEN(), _challenges(request))

    async def principal_or_none(self, request: web.Request) -> Principal | None:
        """As :meth:`authenticate`; None instead of an error."""
        try:
            return await self.authenticate(request)
        except RefusedError:
            return None

    async def reason_to_end(self, request: web.Request) -> Text | None:
        """Why a request lost the access with which it was authorised, or has another one now; None for neither."""
        before = request.get(PRINCIPAL)
        try:
            now = await self.authorise(request)
        except (NotSignedInError, NotAllowedError) as error:
            return error.text
        is_same = before is None or now is None or (before.role, before.apps) == (now.role, now.apps)
        return None if is_same else _CHANGED()

    def needs_no_token(self, request: web.Request) -> bool:
        """Whether the request is from this machine, and nobody was ever given another way to sign in."""
        is_open = self._is_open_at_first and not self._store.credentials.any_access_ever()
        return is_open and is_local(request, self._server)

    def why_signed_out(self, request: web.Request) -> Text | None:
        """Why the browser's session ended; None where it has none or a valid one, or needs none."""
        return None if self.needs_no_token(request) else self.sessions.why_ended(request)

    def valid_token(self, secret: str, *challenges: str) -> Token:
        """The token with this secret. NotSignedInError, with the reason, where it is not valid or there is none."""
        token = self._store.credentials.token(secret)
        if token is None:
            why = "mistyped" if api_token.is_mistyped(secret) else "unknown"
            raise NotSignedInError(INVALID_TOKEN[why](), challenges, was_tried=True)
        if (state := token.state(self._clock())) != "good":
            raise NotSignedInError(INVALID_TOKEN[state](), challenges, was_tried=True)
        self._store.credentials.used(token)
        return token

    def _given(self, request: web.Request) -> tuple[str, str] | None:
        """Name and secret in the Authorization header; None where it has neither."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return "", value.strip()
        if kind.lower() == "basic" and _counts_by_itself(request):
            try:
                name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
            except ValueError:
                return "", ""
            return name, secret
        return None

    async def _forwarded(self, request: web.Request) -> Principal | None:
        """The person whom a trusted proxy has signed in; None where there is none."""
        return await self._forward_auth.principal(request) if _counts_by_itself(request) else None

    def _has_credentials(self, request: web.Request) -> bool:
        return self._given(request) is not None or bool(self._session_secret(request))

    def _session_secret(self, request: web.Request) -> str:
        return self.sessions.secret_of(request) if _may_be_automatic(request) else ""


def check_may(principal: Principal | None, action: Action) -> None:
    """NotAllowedError, with the roles or scopes that may, where the principal may not, or there is none."""
    if principal is None:
        raise NotAllowedError(_NO_TOKEN())
    if principal.may(action):
        return
    is_scope = principal.role in SCOPES
    among = roles_with(action, SCOPES if is_scope else PEOPLE)
    if is_scope and among:
        raise NotAllowedError(_OTHER_SCOPE(scope=principal.role, needed=" or ".join(among)))
    if is_scope:
        needed = " or ".join(roles_with(action, PEOPLE))
        raise NotAllowedError(_NEEDS_ACCOUNT(needed=needed))
    raise NotAllowedError(_OTHER_ROLE(role=principal.role, needed=" or ".join(among)))


def is_local(request: web.Request, server: ServerSettings) -> bool:
    """Whether it comes from this machine, as far as can be seen."""
    public = public_request(request, server)
    named = urlsplit(f"//{host_of(request)}").hostname
    return not public.through_proxy and is_loopback(request.remote) and is_loopback(named)


def _may_be_automatic(request: web.Request) -> bool:
    """Whether credentials that a browser adds by itself count: to read, and for pages, whose forms have a token."""
    return request.method in _SAFE or not request.path.startswith("/v1/")


def _counts_by_itself(request: web.Request) -> bool:
    """The same, and for programs, which send what they send on purpose."""
    return _may_be_automatic(request) or not _is_of_a_browser(request)


def _is_of_a_browser(request: web.Request) -> bool:
    """Browsers send one of these with everything but a GET."""
    return "Origin" in request.headers or "Sec-Fetch-Site" in request.headers


def _challenges(request: web.Request) -> tuple[str, ...]:
    """Basic is for programs and typed addresses, as a browser shows its own dialog for it."""
    mode = request.headers.get("Sec-Fetch-Mode")
    offers_basic = mode is None or (mode == "navigate" and request.method in _SAFE)
    return (BASIC, BEARER) if offers_basic else (BEARER,)
