"""Sessions of browsers: begun with a new secret in a cookie, found by it, and ended.

A session belongs to a token, an account, or an identity from outside, and is valid no longer than that.
"""

from __future__ import annotations

import contextlib
import secrets  # noqa: TID251 - a session's cookie is a secret
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from aiohttp import hdrs, web

from sidecar.access import audit
from sidecar.access.cookie import Cookie
from sidecar.access.principal import Principal, clean_name
from sidecar.access.proxies import public_request
from sidecar.access.refusals import INVALID_TOKEN, NotSignedInError
from sidecar.clock import Clock
from sidecar.domain.outside_text import one_line
from sidecar.domain.texts import Sentence, Text
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.settings import Settings, duration_us
from sidecar.store import Store
from sidecar.store.access import browser_sessions
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.access.browser_sessions import New
from sidecar.store.values import Account, BrowserSession, OutsideIdentity, SessionOwner, Token

# An open page reconnects by itself, so that a stream is no sign of activity.
_STREAMS: Final = ("/live/", "/v1/stream")
# The precision of a session's last activity, so that not every request is a commit.
_SEEN_EVERY_US: Final = MINUTE_US
_BROWSER_CHARACTERS: Final = 200

_SIGNED_OUT: Final = Sentence("sign_in.signed_out", "you are signed out")
_IDLE: Final = Sentence("sign_in.idle", "you were signed out after a long time of inactivity")
_EXPIRED: Final = Sentence("sign_in.over", "you were signed out: a sign-in is valid for a limited time")
_DISABLED: Final = Sentence("sign_in.disabled", "the account is disabled")


class Sessions:
    """Begins, finds and ends the sessions of browsers."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._server = settings.server
        self._sign_in = settings.sign_in
        self._issuer = settings.oidc.issuer
        self._clock = clock

    @property
    def _idle_us(self) -> int:
        return duration_us(self._sign_in.idle)

    @property
    def _lifetime_us(self) -> int:
        return duration_us(self._sign_in.lifetime)

    async def begin(
        self,
        request: web.Request,
        response: web.StreamResponse,
        owner: SessionOwner,
        *,
        name: str = "",
        refresh: Callable[[str], str] | None = None,
        sid: str | None = None,
        also: Callable[[sa.Connection], None] = lambda _connection: None,
    ) -> None:
        """Begins a session and sets its cookie on ``response``.

        ``refresh`` makes what is kept, of the cookie's value; ``sid`` is the session at the provider. The secret is
        always new, and the session of the browser's former cookie ends (session fixation). ``also`` is done in the same
        transaction; where it raises no session begins.
        """
        public, now_us = public_request(request, self._server), self._clock()
        cookie, secret = Cookie.of(public), secrets.token_urlsafe(32)
        former, trail = cookie.read(request), audit.of(request)
        begun = New(
            owner=owner,
            created_at_us=now_us,
            name=clean_name(name),
            address=str(public.client or ""),
            browser=one_line(request.headers.get(hdrs.USER_AGENT, ""))[:_BROWSER_CHARACTERS],
            refresh=refresh(secret) if refresh else None,
            sid=sid,
        )

        def write(connection: sa.Connection) -> None:
            also(connection)
            browser_sessions.end(connection, former)
            browser_sessions.begin(connection, secret, begun, created_after_us=now_us - self._lifetime_us)
            # Only now: until then the request may be refused, and nobody is signed in.
            trail.actor = Principal.of_owner(owner, name=name).called()
            trail.record(connection, action=AuditAction.SIGNED_IN)

        await self._store.write(write)
        cookie.put(response, secret, self._lifetime_us // SECOND_US)

    async def end(self, request: web.Request, response: web.StreamResponse) -> None:
        """Ends the browser's session, if it has one, and deletes its cookie."""
        secret, trail = self.secret_of(request), audit.of(request)
        session = self._store.credentials.session(secret) if secret else None
        if session is None:
            trail.is_settled = True  # nobody was signed in
        else:
            trail.actor = Principal.of_session(session).called()

            def write(connection: sa.Connection) -> None:
                browser_sessions.end(connection, secret)
                trail.record(connection, action=AuditAction.SIGNED_OUT)

            await self._store.write(write)
        self._cookie(request).drop(response)

    def secret_of(self, request: web.Request) -> str:
        """The value of the browser's cookie; empty where it has none."""
        return self._cookie(request).read(request)

    def valid(self, secret: str, *challenges: str) -> BrowserSession:
        """The session with this secret. NotSignedInError, with the reason, where it is over or there is none."""
        session = self._store.credentials.session(secret)
        if session is None:
            raise NotSignedInError(_SIGNED_OUT(), challenges)
        if (why := self._end_reason(session)) is not None:
            raise NotSignedInError(why, challenges)
        if isinstance(session.owner, Token):
            self._store.credentials.used(session.owner)
        return session

    def current(self, request: web.Request) -> BrowserSession | None:
        """The valid session of the browser; None where it has none."""
        try:
            return self.valid(self.secret_of(request))
        except NotSignedInError:
            return None

    def why_ended(self, request: web.Request) -> Text | None:
        """Why the browser's session ended; None where it has none, or a valid one."""
        secret = self.secret_of(request)
        if not secret:
            return None
        try:
            self.valid(secret)
        except NotSignedInError as error:
            return error.text
        return None

    async def seen(self, request: web.Request, session: BrowserSession) -> None:
        """Records the request as activity of its session."""
        now_us = self._clock()
        if request.path.startswith(_STREAMS) or now_us - session.seen_at_us < _SEEN_EVERY_US:
            return
        with contextlib.suppress(StoreUnavailableError):  # reading works while the database cannot commit
            await self._store.write(browser_sessions.seen, session.id, now_us)

    def is_over(self, session: BrowserSession) -> bool:
        """Whether it has ended, though it is still stored."""
        return self._end_reason(session) is not None

    def _end_reason(self, session: BrowserSession) -> Text | None:
        now_us, owner = self._clock(), session.owner
        if session.ended is not None:
            return session.ended
        if isinstance(owner, Token) and (state := owner.state(now_us)) != "good":
            return INVALID_TOKEN[state]()
        if isinstance(owner, Account) and owner.disabled_at_us is not None:
            return _DISABLED()
        if isinstance(owner, OutsideIdentity) and owner.issuer != self._issuer:
            return _SIGNED_OUT()
        if now_us >= session.created_at_us + self._lifetime_us:
            return _EXPIRED()
        return _IDLE() if now_us >= session.seen_at_us + self._idle_us else None

    def _cookie(self, request: web.Request) -> Cookie:
        return Cookie.of(public_request(request, self._server))
