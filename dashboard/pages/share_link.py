"""The page behind a share link: a user at one moment, without ids, raw data and free text."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.page import render
from dashboard.pages.user import EVENTS, evidence_of, happened, header
from dashboard.site import Page, Site
from dashboard.text.language import gettext as _
from dashboard.text.status_texts import OS_NAMES, SERVER_TEXTS
from sidecar.access import audit, routing
from sidecar.alerting.user_life import life_of
from sidecar.domain import findings, sdk_words
from sidecar.domain.findings import Finding
from sidecar.domain.platforms import PLATFORMS
from sidecar.domain.session import Session
from sidecar.store.access import share_links
from sidecar.store.access.audit_values import User
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
        audit.of(request).subjects = (User(link.app_id, link.user_id),)
        who = (link.app_id, link.user_id, link.as_of_us)
        then = await store.read(as_of.user_as_of, *who, store.now(), limit=EVENTS, until_position=link.position)
        detail = _redacted(then.detail) if then.detail else None
        stored = [_without_words(one) for one in then.events]
        found = _findings(detail, stored, link.as_of_us)
        head = header(detail, stored, found)
        shown_events = happened(detail, stored, at_us=link.as_of_us, window="", site=None)
        values: dict[str, Any] = (
            head
            | shown_events
            | {
                "tab": "",
                "now_us": link.as_of_us,
                "app_id": link.app_id,
                "expires_at_us": link.expires_at_us,
                "evidence": evidence_of(
                    head["head"], stored, shown_events["targets"], lambda _first: None, lambda _event: None
                ),
            }
        )
        return render("share_link.html", bare=True, here=request.path, **values)

    return [routing.get("/hand-off/{link:[A-Za-z0-9._-]+}", shown, routing.OPEN)]


PAGE: Final = Page(routes=_routes)


def _findings(detail: UserDetail | None, stored: Sequence[StoredEvent], at_us: int) -> list[Finding]:
    """From what the link may show alone, so that no finding quotes a sender; storms are not of one user."""
    return [] if detail is None else findings.find(life_of(detail, _("the user"), stored, at_us))


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
        reporter_name=None,
        reporter_version=None,
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
        reporter_name=None,
        reporter_version=None,
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
