"""Checks a ZIM token. The browser reads its expiry without sending it; with the secret the server checks it.

A token is a credential: what is sent is neither stored nor logged, and is not in the page that answers.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.page import render
from dashboard.parts.event_lines import shown_lines
from dashboard.site import Page, Site
from dashboard.text.app_names import apps
from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.domain import app_ids
from sidecar.domain.token04.check import CBC_IS_DEPRECATED, TokenCheck, check
from sidecar.domain.token04.problems import WITHOUT_SECRET, problem
from sidecar.web.forms import form_token, read_form

PATH: Final = "/token"
_READABLE: Final = tuple(problem(kind) for kind in WITHOUT_SECRET)


_NONE: Final = TokenCheck()


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/token``: the form, and what is said of a token that was sent."""
    clock = site.clock

    def secrets_of(request: web.Request) -> dict[int, tuple[str, ...]]:
        """Those of the apps that the reader may see."""
        own = access.apps_of(request)
        return {app_id: secrets for app_id, secrets in site.server_secrets.items() if app_ids.has(own, app_id)}

    def answer(request: web.Request, found: TokenCheck | None) -> web.Response:
        shown = found or _NONE
        response = render(
            "token04.html",
            tab="",
            here=PATH,
            now_us=clock(),
            form_token=form_token(request),
            has_secrets=bool(secrets_of(request)),
            readable=_READABLE,
            was_sent=found is not None,
            found=shown,
            kinds=[one.kind for one in shown.problems],
            others=[one for one in shown.problems if one.kind not in WITHOUT_SECRET],
            cbc=CBC_IS_DEPRECATED(),
            content=_content(shown),
        )
        response.headers["Cache-Control"] = "no-store, no-transform"
        return response

    async def form(request: web.Request) -> web.Response:
        return answer(request, None)

    async def checked(request: web.Request) -> web.Response:
        given = await read_form(request)
        return answer(request, check(given.get("token", ""), clock(), secrets_of(request), apps()))

    return [routing.get(PATH, form, Action.SEE_USERS), routing.post(PATH, checked, Action.SEE_USERS)]


PAGE: Final = Page(routes=_routes)


def _content(found: TokenCheck) -> dict[str, Any] | None:
    """What the token says of itself: its user, and all of it as JSON."""
    content = found.content
    if content is None:
        return None
    raw = msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
    user_id = content.user_id if isinstance(content.user_id, str) else ""
    return {"user_id": user_id, "raw": shown_lines(raw)}
