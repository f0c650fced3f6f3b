"""A provider in the test's own loop, which does all as it should unless a test has it do otherwise."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import unquote_plus, urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from joserfc.jwt import Claims

from sidecar.domain.units import SECOND_US
from tests.support.clocks import Machine
from tests.support.small_server import served

CLIENT_ID: Final = "zimwatch"
CLIENT_SECRET: Final = "a secret with spaces & signs: %+/"
Sign = Callable[[Claims], str]


def new_key() -> ECKey:
    return ECKey.generate_key("P-256", parameters={"use": "sig", "alg": "ES256"}, auto_kid=True)


def unsigned(claims: Claims) -> str:
    """By the algorithm ``none``, which libraries refuse to sign with."""
    return f"{_signed_part({'alg': 'none'}, claims)}."


def signed_with_secret(secret: bytes, kid: str | None) -> Sign:
    """By HS256 with any secret: libraries refuse one that is a public key."""

    def sign(claims: Claims) -> str:
        signed = _signed_part({"alg": "HS256", "kid": kid}, claims)
        return f"{signed}.{_base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    return sign


def _signed_part(header: dict[str, Any], claims: Claims) -> str:
    return ".".join(_base64url(json.dumps(one).encode()) for one in (header, claims))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_with(key: Any, alg: str = "ES256", **header: Any) -> Sign:
    """Signs by this key, under its own id unless the header has another."""
    return lambda claims: jwt.encode({"alg": alg, "kid": key.kid} | header, claims, key, algorithms=[alg])


class HostileProvider:
    """``asked`` counts the requests to each endpoint."""

    def __init__(self, machine: Machine) -> None:
        self.is_honest_again()
        self.issuer = ""
        self._machine = machine
        self._numbers = itertools.count()
        self._begun: dict[str, dict[str, str]] = {}
        self._refresh_token = ""

    def is_honest_again(self) -> None:
        """As at its beginning, with a new key."""
        self.person: dict[str, Any] = {"sub": "dana", "name": "Dana", "groups": ["sre"]}
        self.person_in_userinfo: dict[str, Any] | None = None
        self.groups_in_userinfo = True
        self.metadata: dict[str, Any] = {}
        self.response: dict[str, str | None] = {}
        self.claims: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.key = new_key()
        self.keys: Any = None
        self.sign: Sign | None = None
        self.codes_last = False
        self.status = 200
        self.waits: asyncio.Event | None = None
        self.asked: dict[str, int] = {}

    def now_s(self) -> int:
        return self._machine.clock() // SECOND_US

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with served(
            web.get("/.well-known/openid-configuration", self._discovery),
            web.get("/authorize", self._authorize),
            web.post("/token", self._token),
            web.get("/userinfo", self._userinfo),
            web.get("/keys", self._keys),
            middlewares=[self._counted],
        ) as self.issuer:
            yield

    @web.middleware
    async def _counted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if self.waits is not None:
            await self.waits.wait()
        if self.status != 200:
            return web.json_response({"error": "server_error"}, status=self.status)
        response: web.StreamResponse = await handler(request)
        return response

    async def _discovery(self, _request: web.Request) -> web.Response:
        usual = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/end?realm=1",
            "authorization_response_iss_parameter_supported": True,
        }
        return web.json_response(usual | self.metadata)

    async def _authorize(self, request: web.Request) -> web.Response:
        given = dict(request.query)
        assert given["response_type"] == "code"
        assert (given["client_id"], given["code_challenge_method"]) == (CLIENT_ID, "S256")
        code = f"code-{next(self._numbers)}"
        self._begun[code] = given
        query = {"code": code, "state": given["state"], "iss": self.issuer} | self.response
        kept = {name: value for name, value in query.items() if value is not None}
        return web.Response(status=303, headers={"Location": f"{given['redirect_uri']}?{urlencode(kept)}"})

    async def _token(self, request: web.Request) -> web.Response:
        given = await request.post()
        pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode().split(":")
        assert [unquote_plus(part) for part in pair] == [CLIENT_ID, CLIENT_SECRET]
        if given["grant_type"] == "refresh_token":
            if given["refresh_token"] != self._refresh_token:
                return web.json_response({"error": "invalid_grant"}, status=400)
            return web.json_response(self._answer({}))
        begun = self._begun.get(str(given["code"]))
        if begun is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if not self.codes_last:
            del self._begun[str(given["code"])]
        digest = hashlib.sha256(str(given["code_verifier"]).encode()).digest()
        assert _base64url(digest) == begun["code_challenge"]
        assert given["redirect_uri"] == begun["redirect_uri"]
        return web.json_response(self._answer({"nonce": begun["nonce"]}))

    def _answer(self, of_flow: dict[str, Any]) -> dict[str, Any]:
        now_s = self.now_s()
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now_s,
            "exp": now_s + 300,
            "sub": self.person["sub"],
            **of_flow,
            **self.claims,
        }
        if not self.groups_in_userinfo:
            claims = self.person | claims
        sign = self.sign or signed_with(self.key)
        token = sign({name: value for name, value in claims.items() if value is not None})
        self._refresh_token = f"refresh-{next(self._numbers)}"
        usual = {"access_token": f"access-{next(self._numbers)}", "token_type": "Bearer", "expires_in": 300}
        given = usual | {"id_token": token, "refresh_token": self._refresh_token} | self.tokens
        return {name: value for name, value in given.items() if value is not None}

    def logout_token(self, **claims: Any) -> str:
        """One that ends the sessions of its person, with other claims where they are given; None leaves one out."""
        now_s = self.now_s()
        usual = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now_s,
            "exp": now_s + 120,
            "jti": f"logout-{next(self._numbers)}",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sub": self.person["sub"],
        }
        sign = self.sign or signed_with(self.key, typ="logout+jwt")
        return sign({name: value for name, value in (usual | claims).items() if value is not None})

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("Bearer access-")
        if self.person.get("gone"):
            return web.json_response({"error": "invalid_token"}, status=401)
        hidden = set() if self.groups_in_userinfo else {"groups"}
        told = self.person_in_userinfo or self.person
        return web.json_response({name: value for name, value in told.items() if name not in hidden})

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response(self.keys or KeySet([self.key]).as_dict(private=False))
