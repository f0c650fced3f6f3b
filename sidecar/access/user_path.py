"""The user in the path of a request. An id may hold anything, such as %2F: the path is split before it is decoded."""

from __future__ import annotations

from typing import Final

from aiohttp import web

_EVENTS: Final = "/events"
_USER_ID: Final = f"{{user_id:(?:(?!{_EVENTS}\\Z)[\\s\\S])+}}"
USER: Final = f"/v1/users/{{app_id}}/{_USER_ID}"
"""The pattern of a user's path. That of its events is none, so that each has its own methods."""
EVENTS: Final = f"/v1/users/{{app_id}}/{{user_id:[\\s\\S]*}}{_EVENTS}"
"""The pattern of the path of a user's events."""


def quoted_user(request: web.Request) -> tuple[str, str]:
    """The app and the user in the path of a request whose route has both; percent-encoded, and unchecked."""
    resource = request.match_info.route.resource
    pattern = "" if resource is None else resource.canonical
    app, *rest = request.rel_url.raw_path.split("/")[pattern.split("/").index("{app_id}") :]
    return app, "/".join(rest[:-1] if pattern.endswith(_EVENTS) else rest)
