"""Everybody who may make requests: a person of each role, a token of each scope, and nobody."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from sidecar import web_application
from sidecar.access import routing
from sidecar.access.policy import PEOPLE, SCOPES
from sidecar.clock import now_us
from sidecar.store import Store
from sidecar.store.access import browser_sessions
from sidecar.store.access.browser_sessions import New
from sidecar.web import forms
from tests.support.accounts import new_account
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token

NOBODY: Final = "nobody"
EVERYBODY: Final = (*(str(role) for role in (*PEOPLE, *SCOPES)), NOBODY)
_COOKIE: Final = "zimwatch-session"
_PART: Final = re.compile(r"\{(\w+)[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")


async def headers_of(store: Store, who: str, apps: frozenset[int] | None = None) -> dict[str, str]:
    """The headers of a request: the cookie of a new session, a new token, or none."""
    if who == NOBODY:
        return {}
    if who in SCOPES:
        _, secret = await new_token(store, who, apps=apps or ())
        return {"Authorization": f"Bearer {secret}"}
    account = await new_account(store, f"{who}-{secrets.token_hex(4)}", who, apps)
    secret, begun = secrets.token_urlsafe(32), New(owner=account, created_at_us=now_us())
    await store.write(browser_sessions.begin, secret, begun, created_after_us=0)
    return {"Cookie": f"{_COOKIE}={secret}"}


@contextlib.asynccontextmanager
async def with_router(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncIterator[tuple[Zimwatch, web.UrlDispatcher]]:
    """A running Zimwatch and its router."""
    built: list[web.Application] = []
    build = web_application.build

    def and_kept(*given: Any, **named: Any) -> web.Application:
        built.append(build(*given, **named))
        return built[-1]

    with monkeypatch.context() as patched:
        patched.setattr(web_application, "build", and_kept)
        async with zimwatch(folder, **options) as running:
            yield running, built[-1].router


class Call:
    """One route, with an address that fits it."""

    def __init__(self, route: web.AbstractRoute, **values: str) -> None:
        assert route.resource is not None
        declared = routing.declared_by(route)
        assert declared is not None
        self.method, self.needed, self.pattern = route.method, declared.needed, route.resource.canonical
        self.path = re.sub(
            r"\{(\w+)[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", lambda found: values.get(found[1], "1"), self.pattern
        )

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def calls_of(router: web.UrlDispatcher, **values: str) -> list[Call]:
    """Each route once. ``values`` are those of its parts, 1 where none is given."""
    return [Call(route, **values) for route in router.routes() if route.method != "HEAD"]


def form_token_of(running: Zimwatch, headers: dict[str, str]) -> str:
    """The token that pages of this session put into their forms; of no session for other headers."""
    _, _, secret = headers.get("Cookie", "").partition("=")
    session = running.store.credentials.session(secret) if secret else None
    credentials = headers.get("Authorization", "") if session is None else f"session {session.id}"
    key, mask = form_key(running.store), bytes(forms._KEY_BYTES)
    return base64.urlsafe_b64encode(mask + hmac.new(key, credentials.encode(), hashlib.sha256).digest()).decode()


def form_key(store: Store) -> bytes:
    """The key of the forms, once the pages are served."""
    (row,) = store._database.peek("SELECT value FROM keys WHERE name = ?", forms._KEY_NAME)
    return bytes(row[0])
