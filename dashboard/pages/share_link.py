"""The page behind a share link: a user at one moment, without ids, raw data and free text."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.page import render
from dashboard.pages.user import (
    EVENTS,
    ROWS,
    header,
    lines_of,
)
from dashboard.parts import timeline
from dashboard.site import Page, Site
from dashboard.text.language import gettext as _
from dashboard.text.status_texts import OS_NAMES, SERVER_TEXTS
from sidecar.domain import sdk_words
from sidecar.domain.platforms import PLATFORMS
from sidecar.domain.session import Session
from sidecar.store.access import share_links
from sidecar.store.users import as_of
from sidecar.store.values import StoredEvent, UserDetail

# Replaces a value that is not one of the SDK's.
_UNKNOWN: Final = "UNKNOWN"
_VERSION: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}")
# Details that are numbers, moments or flags; every other one may hold free text.
_NUMBERS: Final = frozenset({"code", "second", "offline_login", "token_expires_at_us", "asked"})


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/hand-off/{link}``."""
    store, clock = site.store, site.clock

    async def shown(request: web.Request) -> web.Response:
        link = await store.read(share_links.read, request.match_info["link"], clock())
        if link is None:
            raise web.HTTPGone(text=_("The link has expired or is not valid."))
        who = (link.app_id, link.user_id, link.as_of_us)
        then = await store.read(as_of.user_as_of, *who, store.now(), limit=EVENTS, until_position=link.position)
        detail = _redacted(then.detail) if then.detail else None
        sessions = detail.sessions if detail else []
        stored = [_without_words(one) for one in then.events]
        letters = timeline.letters(sessions, stored)
        lines, targets = lines_of(stored, letters, lambda _stored: {}, None)
        values: dict[str, Any] = header(detail) | {
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
        return render("share_link.html", bare=True, here=request.path, **values)

    return [web.get("/hand-off/{link:[A-Za-z0-9._-]+}", shown)]


PAGE: Final = Page(routes=_routes)


def _redacted(detail: UserDetail) -> UserDetail:
    user = msgspec.structs.replace(
        detail.user,
        user_id="",
        reason=_known(detail.user.reason, sdk_words.EVENTS),
        platform=_known(detail.user.platform, PLATFORMS),
    )
    return UserDetail(user, [_session(row) for row in detail.sessions])


def _session(row: Session) -> Session:
    return msgspec.structs.replace(
        row,
        device_id=None,
        platform=_known(row.platform, PLATFORMS),
        reason=_known(row.reason, sdk_words.EVENTS),
        sdk_name=None,
        sdk_version=_version(row.sdk_version),
        app_version=_version(row.app_version),
    )


def _without_words(one: StoredEvent) -> StoredEvent:
    """The event without free text of apps, devices and servers, which may name people."""
    event = one.event
    details: dict[str, Any] = {
        key: value for key, value in event.details.items() if key in _NUMBERS and isinstance(value, int | float | None)
    }
    if "action" in event.details:
        status = _known(event.details.get("status"), SERVER_TEXTS)
        details |= {"status": status, "action": _UNKNOWN, "os": _known(event.details.get("os"), OS_NAMES)}
    clean = msgspec.structs.replace(
        event,
        user_id=None,
        device_id=None,
        platform=None,
        sdk_name=None,
        sdk_version=None,
        app_version=None,
        connection_state=_known(event.connection_state, sdk_words.STATES),
        connection_event=_known(event.connection_event, sdk_words.EVENTS),
        extended_data=None,
        details=details,
    )
    return StoredEvent(one.position, clean)


def _known(value: str | None, known: Collection[str]) -> str | None:
    return value if value is None or value in known else _UNKNOWN


def _version(text: str | None) -> str | None:
    return text if text is not None and _VERSION.fullmatch(text) else None
