"""People whom a trusted proxy has signed in, and names in headers of each request (forward-auth).

Only peers in ``server.trusted_proxies`` are believed. From any other the headers prove nothing and are not read.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sidecar.access.groups import NO_ROLE, granted
from sidecar.access.policy import Role
from sidecar.access.principal import Principal, clean_name
from sidecar.access.proxies import address, is_trusted
from sidecar.access.refusals import NotAllowedError, NotSignedInError
from sidecar.domain.texts import Sentence
from sidecar.settings import Settings

_TWICE: Final = Sentence(
    "forward_auth.twice", "the header %(header)s came twice; the proxy has to replace what a client sends"
)


class ForwardAuth:
    """Reads the headers as the settings name them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.forward_auth
        self._server = settings.server
        self._groups = settings.groups

    def principal(self, request: web.Request) -> Principal | None:
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
        grant = granted(self._groups, (group.strip() for group in groups))
        if grant is None:
            raise NotAllowedError(NO_ROLE())
        return Principal(role=Role(grant.role), apps=grant.apps, proof=f"forward-auth {user}", name=clean_name(name))

    def _read(self, request: web.Request, name: str) -> str:
        values = request.headers.getall(name, [])
        if len(values) > 1:
            raise NotSignedInError(_TWICE(header=name), ())
        return values[0].strip() if values else ""
