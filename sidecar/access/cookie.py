"""The cookies of a browser; their names and attributes depend on the dashboard's public address."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from sidecar.access.proxies import PublicRequest

SESSION: Final = "zimwatch-session"
"""Signs a browser in."""
DEVICE: Final = "zimwatch-device"
"""Shows that an account signed in with this browser before; it gives no access."""


class Cookie(msgspec.Struct, frozen=True):
    """HttpOnly and SameSite=Lax, so that a link in a chat opens signed in, and a form of another site changes nothing.

    Over TLS its name has a prefix, with which a browser accepts it only over TLS and, at the root, only from this host
    (https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-cookie-name-prefixes).
    """

    name: str
    path: str
    secure: bool

    @classmethod
    def of(cls, public: PublicRequest, name: str = SESSION) -> Cookie:
        """The cookie for a browser with such requests."""
        if public.scheme != "https":
            return cls(name, public.prefix or "/", secure=False)
        return cls(f"{'__Secure-' if public.prefix else '__Host-'}{name}", public.prefix or "/", secure=True)

    def read(self, request: web.Request) -> str:
        """Its value; empty where there is none."""
        return request.cookies.get(self.name, "")

    def put(self, response: web.StreamResponse, value: str, max_age_s: int) -> None:
        """Sets the cookie for so many seconds."""
        response.set_cookie(
            self.name, value, max_age=max_age_s, path=self.path, secure=self.secure, httponly=True, samesite="Lax"
        )

    def drop(self, response: web.StreamResponse) -> None:
        """Deletes the cookie."""
        self.put(response, "", 0)
