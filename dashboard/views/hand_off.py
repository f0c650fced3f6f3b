"""What another team sees of a user through a link: the story as it stood, without ids and raw data."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from dashboard import timeline
from dashboard.language import gettext as _
from dashboard.page import render
from dashboard.views.user import EVENTS, ROWS, header, lines_of
from sidecar.store import Store
from sidecar.store.records import SessionRow, StoredEvent


def routes(store: Store) -> list[web.AbstractRouteDef]:
    """``/hand-off/{link}``."""

    async def hand_off(request: web.Request) -> web.Response:
        link = await store.hand_off(request.match_info["link"])
        if link is None:
            raise web.HTTPGone(text=_("The link has ended, or it was not made here."))
        then = await store.user_as_of(link.app_id, link.user_id, link.as_of_us, limit=EVENTS)
        sessions = [_redacted(row) for row in then.detail.sessions] if then.detail else []
        stored = [_without_words(one) for one in then.events]
        letters = timeline.letters(sessions, stored)
        lines, targets = lines_of(stored, letters, lambda _stored: {}, None)
        values: dict[str, Any] = header(then.detail) | {
            "tab": "",
            "now_us": link.as_of_us,
            "app_id": link.app_id,
            "expires_at_us": link.expires_at_us,
            "sessions": sessions,
            "letters": letters,
            "picture": timeline.picture(sessions, stored, now_us=link.as_of_us, window=None),
            "lines": lines[:ROWS],
            "targets": targets,
        }
        return render("hand_off.html", handed=True, **values)

    return [web.get("/hand-off/{link:[A-Za-z0-9_-]+}", hand_off)]


def _redacted(row: SessionRow) -> SessionRow:
    return msgspec.structs.replace(row, device_id=None)


def _without_words(one: StoredEvent) -> StoredEvent:
    """The event without what an app or the SDK wrote in free text, which may name people; known codes stay."""
    event = one.event
    details = {key: value for key, value in event.details.items() if key != "message"}
    clean = msgspec.structs.replace(event, extended_data=None, device_id=None, user_id=None, details=details)
    return StoredEvent(one.position, clean)
