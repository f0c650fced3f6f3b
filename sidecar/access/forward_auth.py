"""People whom a trusted proxy has signed in, and names in headers of each request (forward-auth).

Only peers in ``server.trusted_proxies`` are believed. From any other the headers prove nothing and are not read.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Final

from aiohttp import web

from sidecar.access import outside_tokens
from sidecar.access.groups import NO_ROLE, Grant, granted
from sidecar.access.policy import Role
from sidecar.access.principal import Principal, clean_name
from sidecar.access.proxies import address, is_trusted
from sidecar.access.refusals import NotAllowedError, NotSignedInError
from sidecar.clock import Clock
from sidecar.domain.texts import Sentence
from sidecar.errors import StoreUnavailableError
from sidecar.settings import Settings
from sidecar.store import Store

_TWICE: Final = Sentence(
    "forward_auth.twice", "the header %(header)s came twice; the proxy has to replace what a client sends"
)

PROXY: Final = "forward-auth"
"""Who says the groups, in the audit log, and before the name of a person."""


class ForwardAuth:
    """Reads the headers as the settings name them."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings.forward_auth
        self._server = settings.server
        self._groups = settings.groups

    async def principal(self, request: web.Request) -> Principal | None:
        """The person in the headers; None where no trusted proxy names one.

        NotSignedInError where a header is ambiguous, NotAllowedError for a person without a role.
        """
        headers = self._settings
        if not headers.enabled or not is_trusted(address(request.remote or ""), self._server):
            return None
        user = clean_name(self._read(request, headers.user_header))
        if not user:
            return None
        groups = self._read(request, headers.groups_header).split(headers.groups_separator)
        name = self._read(request, headers.name_header) or self._read(request, headers.email_header)
        grant, key = granted(self._groups, (group.strip() for group in groups)), f"{PROXY} {user}"
        await self._narrow_tokens(key, grant)
        if grant is None:
            raise NotAllowedError(NO_ROLE())
        return Principal(role=Role(grant.role), apps=grant.apps, proof=key, name=clean_name(name), identity=key)

    async def _narrow_tokens(self, identity: str, grant: Grant | None) -> None:
        if not outside_tokens.are_within(self._store, identity, grant):
            with contextlib.suppress(StoreUnavailableError):  # it is tried again at the next request
                revoke = partial(outside_tokens.revoke, by=PROXY, now_us=self._clock())
                await self._store.write(revoke, identity, grant)

    def _read(self, request: web.Request, name: str) -> str:
        values = request.headers.getall(name, [])
        if len(values) > 1:
            raise NotSignedInError(_TWICE(header=name), ())
        return values[0].strip() if values else ""
