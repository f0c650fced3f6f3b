"""Who looks at a page, and whether a form that comes back is one of ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from dashboard.language import gettext as _

# Forms of a process that has ended are not taken: whoever sends one is asked to load the page anew.
_KEY: Final = secrets.token_bytes(32)
_FIELD: Final = "form_token"


class Visitor(msgspec.Struct, frozen=True):
    """What is known of a request: the app its token is bound to (None: every one), its name, where it came from."""

    app_of: Callable[[web.Request], int | None]
    who: Callable[[web.Request], str]
    is_own_origin: Callable[[web.Request], bool]

    async def form(self, request: web.Request) -> dict[str, str]:
        """The fields of a form of ours; 403 for one that another site, or another visitor, could have made."""
        posted = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        if request.headers.get("Origin") is not None and not self.is_own_origin(request):
            raise web.HTTPForbidden(text=_("The form comes from another site."))
        if not hmac.compare_digest(posted.pop(_FIELD, "").encode(), form_token(request).encode()):
            raise web.HTTPForbidden(text=_("The page is too old for this; load it again and repeat what you did."))
        return posted


def form_token(request: web.Request) -> str:
    """Bound to this process and to how the visitor signed in, so that no other site can know it."""
    visitor = request.headers.get("Authorization", "").encode()
    return hmac.new(_KEY, visitor, hashlib.sha256).hexdigest()
