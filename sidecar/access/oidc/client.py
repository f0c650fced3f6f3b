"""OpenID Connect as Zimwatch uses it: begin and finish a sign-in, look the groups up again, and sign out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from sidecar.access.oidc import errors
from sidecar.access.oidc.claims import groups_of, name_of
from sidecar.access.oidc.documents import Documents
from sidecar.access.oidc.endpoints import Endpoints, Tokens
from sidecar.access.oidc.errors import EndedByProviderError, ProviderError
from sidecar.access.oidc.flow import Flow, with_query
from sidecar.access.oidc.id_token import SUBJECT_CHARACTERS, IdTokenError, claims_of
from sidecar.access.oidc.logout_token import Logout, logout_of
from sidecar.access.oidc.proof import Proof, expiry_us
from sidecar.access.proxies import PublicRequest
from sidecar.clock import Clock
from sidecar.domain.units import SECOND_US
from sidecar.http_client import HttpClient
from sidecar.settings import OidcSettings

T = TypeVar("T")


class Person(msgspec.Struct, frozen=True):
    """Somebody whom the provider has signed in. ``sid`` is its own session; None where it did not say."""

    subject: str
    name: str
    groups: tuple[str, ...]
    proof: Proof
    sid: str | None = None


class LookUp(msgspec.Struct, frozen=True):
    """The groups now; None where the provider did not say. ``proof`` replaces the former one."""

    groups: tuple[str, ...] | None
    proof: Proof


class OpenIdConnect:
    """One provider; one for a process, as it keeps the provider's documents. ``http`` is set while it is in use."""

    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self.settings = settings
        self.http: HttpClient | None = None
        self._clock = clock
        self._documents = Documents(settings.issuer, self._client, clock)
        self._endpoints = Endpoints(settings, self._documents, self._client)

    async def check(self) -> None:
        """Fetches the provider's documents. ProviderError where one of them cannot be used."""
        await self._documents.keys.get()

    async def begin(self, public: PublicRequest, following: str) -> tuple[str, Flow]:
        """Where the browser goes to sign in, and what it has to bring back. ProviderError."""
        flow = Flow.begin(self.settings.issuer, public, following)
        return flow.address(await self._documents.metadata.get(), self.settings), flow

    async def finish(self, flow: Flow, query: Mapping[str, str]) -> Person:
        """Who signed in, by the provider's response to this flow. OidcError."""
        code = flow.code_of(query, await self._documents.metadata.get(), self.settings.issuer)
        tokens = await self._endpoints.exchange(code, flow.verifier, flow.redirect_uri)
        if tokens.id_token is None:
            raise IdTokenError(errors.TOKEN_UNREADABLE())
        claims = await self._claims(tokens.id_token, nonce=flow.nonce)
        told = await self._endpoints.userinfo(tokens.access_token, claims["sub"]) or {}
        groups = groups_of(told, self.settings.groups_claim)
        proof = Proof(
            subject=claims["sub"],
            groups_in="id_token" if groups is None else "userinfo",
            id_token=tokens.id_token,
            access_token=tokens.access_token,
            expires_at_us=expiry_us(tokens, self._clock()),
            refresh_token=tokens.refresh_token,
        )
        if groups is None:
            groups = groups_of(claims, self.settings.groups_claim)
        sid = claims.get("sid")
        kept = sid if isinstance(sid, str) and len(sid) <= SUBJECT_CHARACTERS else None
        return Person(proof.subject, name_of(claims | told) or proof.subject, groups or (), proof, kept)

    async def logout(self, token: str) -> Logout:
        """Whose sessions the provider ends by this logout token. OidcError."""
        return await self._by_keys(partial(logout_of, token))

    async def look_up(self, proof: Proof) -> LookUp:
        """The person's groups now. OidcError, but no ProviderError, where the sign-in is over.

        Where the provider fails, the groups are not said: that says nothing about the person.
        """
        try:
            if proof.groups_in == "userinfo" and not self._is_expired(proof):
                try:
                    return await self._by_userinfo(proof)
                except EndedByProviderError:
                    if proof.refresh_token is None:
                        raise
            return await self._by_renewal(proof)
        except ProviderError:
            return LookUp(None, proof)

    async def leave(self, proof: Proof, return_to: str) -> str | None:
        """Where the browser goes to end its session at the provider; None where that has no such address, or fails."""
        try:
            address = (await self._documents.metadata.get()).end_session_endpoint
        except ProviderError:
            return None
        if address is None:
            return None
        query = {"id_token_hint": proof.id_token, "client_id": self.settings.client_id}
        return with_query(address, query | {"post_logout_redirect_uri": return_to})

    async def _by_renewal(self, proof: Proof) -> LookUp:
        if proof.refresh_token is None:
            if self._is_expired(proof):
                raise EndedByProviderError(errors.SIGNED_OUT_UNRENEWED())
            return LookUp(None, proof)
        try:
            tokens = await self._endpoints.refresh(proof.refresh_token)
        except EndedByProviderError:
            raise EndedByProviderError(errors.SIGNED_OUT_BY_PROVIDER()) from None
        renewed = proof.renewed(tokens, self._clock())
        # From here on the former refresh token may be used up, so that the new one is kept whatever follows.
        try:
            if proof.groups_in == "userinfo":
                return await self._by_userinfo(renewed)
            return LookUp(await self._groups_of_renewed(proof, tokens), renewed)
        except ProviderError:
            return LookUp(None, renewed)

    async def _by_userinfo(self, proof: Proof) -> LookUp:
        told = await self._endpoints.userinfo(proof.access_token, proof.subject)
        return LookUp(None if told is None else groups_of(told, self.settings.groups_claim) or (), proof)

    async def _groups_of_renewed(self, proof: Proof, tokens: Tokens) -> tuple[str, ...] | None:
        if tokens.id_token is None:
            return None
        claims = await self._claims(tokens.id_token, nonce=None)
        if claims["sub"] != proof.subject:  # OpenID Connect Core 1.0, section 12.2
            raise IdTokenError(errors.TOKEN_CLAIM(claim="sub"))
        return groups_of(claims, self.settings.groups_claim) or ()

    async def _claims(self, token: str, *, nonce: str | None) -> dict[str, Any]:
        return await self._by_keys(partial(claims_of, token, nonce=nonce))

    async def _by_keys(self, read: Callable[..., T]) -> T:
        """What is read of a valid token with the provider's keys, also of one whose key is new."""
        read = partial(
            read,
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            now_s=self._clock() // SECOND_US,
        )
        try:
            return read(await self._documents.keys.get())
        except IdTokenError as error:
            if not error.unknown_key:
                raise
        return read(await self._documents.keys.get(newer=True))

    def _is_expired(self, proof: Proof) -> bool:
        return self._clock() >= proof.expires_at_us

    def _client(self) -> HttpClient:
        if self.http is None:
            raise ProviderError(errors.UNREACHABLE(why="Zimwatch is stopping"))
        return self.http
