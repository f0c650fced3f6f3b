"""Browser sessions of people whom an OpenID Connect provider signed in: begun, looked up again, and ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog
from aiohttp import web

from sidecar.access import outside_tokens
from sidecar.access.groups import NO_ROLE, Grant, granted
from sidecar.access.oidc import LASTS_S, FlowCookie, LookUp, LostRoleError, OidcError, OpenIdConnect, errors
from sidecar.access.oidc.id_token import IdTokenError
from sidecar.access.oidc.logout_token import Logout
from sidecar.access.oidc.proof import Proof, unsealed
from sidecar.access.proxies import public_request
from sidecar.access.sessions import Sessions
from sidecar.access.throttle import SignInThrottle
from sidecar.clock import Clock
from sidecar.domain.texts import Text
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.logs import Bounded
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.access import audit_log, browser_sessions, keys, signed_requests
from sidecar.store.access.audit_values import AuditAction, Entry
from sidecar.store.values import BrowserSession, OutsideIdentity, identity_called, identity_key

log = structlog.stdlib.get_logger(__name__)

LOOK_UP_EVERY_US: Final = MINUTE_US
WAITS_S: Final = 2.0
"""How long a request waits for the groups; a provider that is slower than that is as good as absent."""
_KEY: Final = "sign_in"


class OidcSignIn:
    """Signs people in by ``client``, and keeps their sessions in step with it. One for a process."""

    def __init__(
        self, store: Store, settings: Settings, clock: Clock, sessions: Sessions, throttle: SignInThrottle
    ) -> None:
        self.client: Final = OpenIdConnect(settings.oidc, clock)
        self._store = store
        self._server = settings.server
        self._groups = settings.groups
        self._clock = clock
        self._sessions = sessions
        self._throttle = throttle
        # Roles of sessions that were looked up before may be those of other settings.
        self._mapping: tuple[object, object] | None = None
        self._mapped_us = 0
        # By session: each look-up in progress, and until when requests wait for it, by the event loop's clock.
        self._looking_up: dict[int, tuple[asyncio.Task[None], float]] = {}
        self._failures = Bounded(clock)
        self._key: bytes | None = None
        # In the audit log.
        self._provider = f"provider {settings.oidc.issuer}"

    async def begin(self, request: web.Request, response: web.StreamResponse, following: str) -> None:
        """Sends the browser to the provider, with what it has to bring back in a cookie. ProviderError."""
        public = public_request(request, self._server)
        address, flow = await self.client.begin(public, following)
        FlowCookie.of(public).put(response, flow, await self._flow_key(), self._clock() // SECOND_US)
        response.headers["Location"] = address

    async def finish(self, request: web.Request, response: web.StreamResponse) -> None:
        """Begins the session of whom the provider signed in, and leads to the page that was wanted.

        OidcError or TooManyAttemptsError. The flow's cookie stays then, so that no link can end a sign-in in progress.
        """
        try:
            await self._finish(request, response)
        except OidcError as error:
            if (more := self._failures.more()) is not None:
                log.warning("a sign-in by OpenID Connect failed", problem=str(error), unlogged=more)
            raise

    async def _finish(self, request: web.Request, response: web.StreamResponse) -> None:
        public = public_request(request, self._server)
        attempt = self._throttle.other(public.client)
        cookie, now_us = FlowCookie.of(public), self._clock()
        flow = cookie.read(request, await self._flow_key(), now_us // SECOND_US)
        person = await self.client.finish(flow, request.query)
        grant = granted(self._groups, person.groups)
        narrow = self._narrowing(identity_key(flow.issuer, person.subject), grant, now_us)
        if grant is None:
            await self._store.write(narrow)
            raise LostRoleError(NO_ROLE())
        await self._use(flow.state, now_us)
        attempt.take_back()
        owner = OutsideIdentity(
            issuer=flow.issuer,
            subject=person.subject,
            name=person.name,
            role=grant.role,
            apps=grant.apps,
            checked_at_us=now_us,
        )
        await self._sessions.begin(
            request,
            response,
            owner,
            name=person.name,
            refresh=lambda secret: person.proof.sealed(secret, now_us),
            sid=person.sid,
            also=narrow,
        )
        cookie.drop(response)
        response.headers["Location"] = flow.following

    async def look_up_if_due(self, session: BrowserSession, secret: str) -> bool:
        """Looks the groups up again, at most once a minute. Whether the session may have changed or ended by that."""
        owner, now_s = session.owner, asyncio.get_running_loop().time()
        if not isinstance(owner, OutsideIdentity):
            return False
        found = self._looking_up.get(session.id)
        if found is None:
            if not self._is_due(owner):
                return False
            task = asyncio.create_task(self._look_up(session, owner, secret), name="groups of a session")
            task.add_done_callback(partial(self._looked_up, session.id))
            found = self._looking_up[session.id] = (task, now_s + WAITS_S)
        task, until_s = found
        await asyncio.wait({task}, timeout=max(0.0, until_s - now_s))
        return True

    async def log_out(self, token: str) -> None:
        """Ends the sessions that the provider names by a logout token. OidcError; also where it came before."""
        try:
            await self._store.write(self._end_named, await self.client.logout(token), self._clock())
        except OidcError as error:
            if (more := self._failures.more()) is not None:
                log.warning("a logout by the provider was refused", problem=str(error), unlogged=more)
            raise

    async def leave(self, request: web.Request) -> str | None:
        """Where the browser of such a session has to go to sign out at the provider too; None where nowhere."""
        secret = self._sessions.secret_of(request)
        session = self._store.credentials.session(secret) if secret else None
        if session is None or not self.is_of_provider(session):
            return None
        try:
            proof = await self._proof(session, secret)
        except OidcError:
            return None
        return await self.client.leave(proof, f"{public_request(request, self._server).url}/sign-in")

    def is_of_provider(self, session: BrowserSession) -> bool:
        """Whether the provider of the settings signed it in."""
        owner = session.owner
        return isinstance(owner, OutsideIdentity) and owner.issuer == self.client.settings.issuer

    async def close(self) -> None:
        """Ends the look-ups in progress."""
        for task in (tasks := [task for task, _ in self._looking_up.values()]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_due(self, owner: OutsideIdentity) -> bool:
        now_us = self._clock()
        if self._mapping != (mapping := (self._groups.roles, self._groups.apps)):
            self._mapping, self._mapped_us = mapping, now_us
        return owner.checked_at_us < max(self._mapped_us, now_us - LOOK_UP_EVERY_US + 1)

    async def _look_up(self, session: BrowserSession, owner: OutsideIdentity, secret: str) -> None:
        with contextlib.suppress(StoreUnavailableError):  # reading works while the database cannot commit
            now_us = self._clock()
            if not await self._store.write(browser_sessions.claim_check, session.id, owner.checked_at_us, now_us):
                return  # another node does it
            try:
                proof = await self._proof(session, secret)
                found = await self.client.look_up(proof)
                changed = self._confirmed(owner, found, now_us)
            except OidcError as error:
                log.info("a session was ended by its provider", session=session.id, reason=str(error))
                await self._store.write(self._end, session.id, owner, error, now_us)
            else:
                is_same = (changed.role, changed.apps, found.proof) == (owner.role, owner.apps, proof)
                grant = Grant(changed.role, changed.apps)
                if is_same and (found.groups is None or outside_tokens.are_within(self._store, owner.key, grant)):
                    return  # the claim says that it was looked up
                kept, narrow = found.proof.sealed(secret, now_us), self._narrowing(owner.key, grant, now_us)

                def confirm(connection: sa.Connection) -> None:
                    browser_sessions.confirm(connection, session.id, changed, kept)
                    if found.groups is not None:
                        narrow(connection)

                await self._store.write(confirm)

    def _end(
        self, connection: sa.Connection, session_id: int, owner: OutsideIdentity, error: OidcError, now_us: int
    ) -> None:
        """Ends a session because of what the provider says. Who lost their role lose their tokens too."""
        browser_sessions.end_because(connection, session_id, error.text)
        audit_log.record(connection, self._ended(session_id, owner.called, error.text, now_us))
        if isinstance(error, LostRoleError):
            self._narrowing(owner.key, None, now_us)(connection)

    def _end_named(self, connection: sa.Connection, wanted: Logout, now_us: int) -> None:
        issuer, why = self.client.settings.issuer, errors.SIGNED_OUT_BY_PROVIDER()
        once = signed_requests.digest("oidc logout", issuer, wanted.jti)
        until_us = wanted.until_s * SECOND_US
        if signed_requests.taken_before(connection, once, once, now_us=now_us, until_us=until_us) is not None:
            raise IdTokenError(errors.TOKEN_CLAIM(claim="jti"))
        for session_id, subject in browser_sessions.end_of_provider(connection, issuer, wanted.sub, wanted.sid, why):
            audit_log.record(connection, self._ended(session_id, identity_called(issuer, subject), why, now_us))

    def _ended(self, session_id: int, whose: str, why: Text, now_us: int) -> Entry:
        return Entry(
            at_us=now_us,
            actor=self._provider,
            action=AuditAction.SIGNED_OUT,
            subject=whose,
            details={"session": session_id, "reason": why.sentence},
        )

    def _narrowing(self, identity: str, grant: Grant | None, now_us: int) -> Callable[[sa.Connection], None]:
        """Revokes the tokens that the identity could not make with the grant."""
        return lambda connection: outside_tokens.revoke(connection, identity, grant, by=self._provider, now_us=now_us)

    async def _proof(self, session: BrowserSession, secret: str) -> Proof:
        """The provider's tokens behind the session. OidcError where they cannot be read any more."""
        stored = await self._store.read(browser_sessions.refresh_of, session.id)
        proof = unsealed(stored, secret) if stored else None
        if proof is None:
            raise OidcError(errors.SIGNED_OUT_UNRENEWED(), 403)
        return proof

    def _confirmed(self, owner: OutsideIdentity, found: LookUp, now_us: int) -> OutsideIdentity:
        """The identity with what its groups give it now. OidcError where that is nothing."""
        if found.groups is None:
            return msgspec.structs.replace(owner, checked_at_us=now_us)
        grant = granted(self._groups, found.groups)
        if grant is None:
            raise LostRoleError(errors.SIGNED_OUT_NO_ROLE())
        return msgspec.structs.replace(owner, checked_at_us=now_us, role=grant.role, apps=grant.apps)

    def _looked_up(self, session_id: int, task: asyncio.Task[None]) -> None:
        self._looking_up.pop(session_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the groups of a session could not be looked up", exc_info=error)

    async def _flow_key(self) -> bytes:
        """Encrypts the cookies of flows; made at the first sign-in, and read once for each process."""
        if self._key is None:
            self._key = await self._store.write(keys.made_when_needed, _KEY)
        return self._key

    async def _use(self, state: str, now_us: int) -> None:
        """OidcError where the flow was finished before, on any node."""

        def write(connection: sa.Connection) -> bytes | None:
            once = signed_requests.digest("oidc", state)
            until_us = now_us + 2 * LASTS_S * SECOND_US
            return signed_requests.taken_before(connection, once, once, now_us=now_us, until_us=until_us)

        if await self._store.write(write) is not None:
            raise OidcError(errors.USED(), 400)
