"""The pages: overview, users and one user. Whole without JavaScript; with it, htmx fetches them anew on a change."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final
from urllib.parse import unquote, urlencode

from aiohttp import web

from dashboard.page import render
from sidecar.clock import Clock
from sidecar.domain.status import STATUSES
from sidecar.store import Store, alert_log
from sidecar.store.records import UserFilter

_ROWS: Final = 50
_NEWEST: Final = 10
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILTERS: Final = ("q", "status", "reason", "app_id", "platform")


AppOf = Callable[[web.Request], int | None]
"""The app that a request's token is bound to; None for every app."""


class _QueryError(Exception):
    """A filter in the address that cannot be meant; its text is for the page."""


def routes(store: Store, clock: Clock, app_of: AppOf) -> list[web.AbstractRouteDef]:
    """Every page."""

    async def overview(request: web.Request) -> web.Response:
        app_id = app_of(request)
        page = await store.users(UserFilter(limit=_NEWEST, app_id=app_id))
        return render(
            "overview.html",
            here=request.path_qs,
            now_us=clock(),
            summary=await store.summary(app_id),
            users=page.users,
            firing=sum((await store.read(alert_log.counts, app_id)).values()),
            address=f"{request.scheme}://{request.host}",
            example_id=uuid.uuid4(),
        )

    async def users(request: web.Request) -> web.Response:
        given = {name: request.query.get(name, "").strip() for name in _FILTERS}
        values: dict[str, Any] = {"here": request.path_qs, "now_us": clock(), "given": given, "statuses": STATUSES}
        try:
            wanted = _filter(request.query, given, app_of(request))
        except _QueryError as error:
            return render("users.html", 400, users=[], older=None, problem=str(error), **values)
        page = await store.users(wanted)
        kept = {name: value for name, value in given.items() if value}
        older = None if page.next_cursor is None else "?" + urlencode(kept | {"cursor": page.next_cursor})
        return render("users.html", users=page.users, older=older, problem=None, **values)

    async def user(request: web.Request) -> web.Response:
        app_id, user_id = _target(request)
        if app_of(request) not in {None, app_id}:
            raise web.HTTPForbidden(text="The token is bound to another app.")
        before = request.query.get("before", "")
        detail = await store.user(app_id, user_id)
        events = await store.timeline(app_id, user_id, before=int(before) if _is_number(before) else None, limit=_ROWS)
        shown = {key: value for key, value in request.query.items() if key != "before"}
        more = len(events) == _ROWS
        return render(
            "user.html",
            200 if detail else 404,
            here=request.path_qs,
            now_us=clock(),
            app_id=app_id,
            user_id=user_id,
            user=detail.user if detail else None,
            sessions=detail.sessions if detail else [],
            events=events,
            older="?" + urlencode(shown | {"before": events[-1].position}) if more else None,
            stream=urlencode({"app_id": app_id, "user_id": user_id}),
        )

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        file = resources.files("dashboard") / "static" / name
        kind = _TYPES.get(name[name.rfind(".") :])
        if kind is None or not file.is_file():
            raise web.HTTPNotFound
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.read_bytes(), content_type=kind, charset="utf-8", headers=headers)

    return [
        web.get("/", overview),
        web.get("/users", users),
        web.get("/users/{app_id:[0-9]+}/{user_id:.*}", user),
        web.get("/static/{name:[a-z0-9.-]+}", static),
    ]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 2**63


def _filter(query: Mapping[str, str], given: dict[str, str], own_app: int | None) -> UserFilter:
    status: Any = given["status"] or None
    if status not in {None, *STATUSES}:
        raise _QueryError(f"There is no status “{status}”.")
    for name in ("app_id", "cursor"):
        if query.get(name) and not _is_number(query[name]):
            raise _QueryError(f"{name} must be a whole number, not “{query[name][:40]}”.")
    app_id = int(given["app_id"]) if given["app_id"] else None
    if own_app is not None and app_id not in {None, own_app}:
        raise _QueryError(f"The token is bound to app {own_app}.")
    return UserFilter(
        status=status,
        q=given["q"] or None,
        app_id=own_app if own_app is not None else app_id,
        platform=given["platform"] or None,
        reason=given["reason"] or None,
        cursor=int(query["cursor"]) if query.get("cursor") else None,
        limit=_ROWS,
    )


def _target(request: web.Request) -> tuple[int, str]:
    """The app and the user. The path is split before it is decoded: a user id may have slashes in it (%2F)."""
    _, _, app_id, user_id = request.rel_url.raw_path.split("/", 3)
    if not _is_number(app_id):
        raise web.HTTPNotFound(text="There is no such app.")
    return int(app_id), unquote(user_id, errors="replace") or request.query.get("id", "")
