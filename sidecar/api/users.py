"""``/v1/users``, one user, its events, and ``/v1/summary``."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from aiohttp import web

from sidecar.api import guard, json
from sidecar.api.problem import Problem
from sidecar.domain.status import STATUSES
from sidecar.store import Store, alert_log
from sidecar.store.records import UserFilter

_LIMIT_MOST = 500
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def routes(store: Store) -> list[web.AbstractRouteDef]:
    """The read calls."""

    async def users(request: web.Request) -> web.Response:
        query = request.query
        own, asked = guard.app_of(request), number(query.get("app_id"), "app_id")
        if own is not None and asked not in {None, own}:
            raise Problem(403, f"the token is bound to app {own}")
        status: Any = query.get("status") or None
        if status not in {None, *STATUSES}:
            raise Problem(400, f"status must be one of {', '.join(STATUSES)}")
        wanted = UserFilter(
            status=status,
            q=query.get("q") or None,
            app_id=own if own is not None else asked,
            platform=query.get("platform") or None,
            reason=query.get("reason") or None,
            unconfirmed=flag(query.get("unconfirmed"), "unconfirmed"),
            disagreement=flag(query.get("disagreement"), "disagreement"),
            cursor=number(query.get("cursor"), "cursor"),
            limit=limit_of(request),
        )
        page = await store.users(wanted)
        return json.response(
            {
                "users": [json.user_view(row) for row in page.users],
                "next_cursor": None if page.next_cursor is None else str(page.next_cursor),
            }
        )

    async def user_or_events(request: web.Request) -> web.Response:
        app_id, user_id, events = target(request)
        if guard.app_of(request) not in {None, app_id}:
            raise Problem(403, f"the token is bound to app {guard.app_of(request)}")
        detail = await store.user(app_id, user_id)
        if detail is None:
            raise Problem(404, "nobody has heard of this user: not logged in, never seen")
        if not events:
            return json.response(json.detail_view(detail))
        before, limit = number(request.query.get("before"), "before"), limit_of(request)
        found = await store.timeline(app_id, user_id, before=before, limit=limit)
        more = len(found) == limit
        return json.response(
            {
                "events": [json.event_view(stored) for stored in found],
                "next_before": str(found[-1].position) if more else None,
            }
        )

    async def summary(request: web.Request) -> web.Response:
        own = guard.app_of(request)
        counts = await store.summary(own)
        firing = await store.read(alert_log.counts, own)
        return json.response(json.summary_view(counts, firing))

    return [
        web.get("/v1/users", users),
        web.get("/v1/users/{app_id}/{user_id:[\\s\\S]+}", user_or_events),
        web.get("/v1/summary", summary),
    ]


def number(text: str | None, name: str) -> int | None:
    """A query's whole number; 400 that names it for anything else."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise Problem(400, f"{name} must be a whole number")
    return int(text)


def flag(text: str | None, name: str) -> bool | None:
    """A query's yes or no, None where it is not given; 400 that names it for anything else."""
    if not text:
        return None
    if text not in _FLAGS:
        raise Problem(400, f"{name} must be true or false")
    return _FLAGS[text]


def limit_of(request: web.Request) -> int:
    """How many the caller wants at most."""
    limit = number(request.query.get("limit"), "limit")
    if limit is None:
        return 50
    if not 1 <= limit <= _LIMIT_MOST:
        raise Problem(400, f"limit must lie between 1 and {_LIMIT_MOST}")
    return limit


def target(request: web.Request) -> tuple[int, str, bool]:
    """The app, the user and whether its events are asked for, from the path as it was sent.

    A user id may hold anything, slashes among it (%2F), so that the path is split before it is decoded.
    """
    parts = request.rel_url.raw_path.split("/")[3:]
    events = len(parts) > 2 and parts[-1] == "events"  # noqa: PLR2004 - app, user, "events"
    app_id = number(unquote(parts[0]), "app_id")
    user_id = unquote("/".join(parts[1:-1] if events else parts[1:]), errors="surrogateescape")
    try:
        user_id.encode()
    except UnicodeEncodeError:
        raise Problem(400, "the user id in the path is not UTF-8") from None
    if app_id is None:
        raise Problem(400, "app_id must be a whole number")
    return app_id, user_id, events
