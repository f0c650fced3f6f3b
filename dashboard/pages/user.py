"""One user: what is wrong or its status, what to say, devices, alerts, timeline and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from dashboard.page_request import (
    Loader,
    MomentError,
    PageRequest,
    View,
    past_moment,
)
from dashboard.pages.watches import watched
from dashboard.parts import event_lines, fold, timeline
from dashboard.parts.event_lines import Reader
from dashboard.parts.user_links import others_path
from dashboard.site import Page, Site
from dashboard.text.headline import Headline, headline
from dashboard.text.language import marked
from dashboard.text.times import iso, lasted
from sidecar import access
from sidecar.access.policy import Action
from sidecar.alerting import user_life
from sidecar.alerting.tables import alert_log, notifications, storm_rows
from sidecar.alerting.tables.alert_values import AlertFilter, Notification
from sidecar.domain import findings, sdk_words
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from sidecar.domain.findings.finding import EVENTS_NAMED
from sidecar.domain.kick import Cause, cause_of
from sidecar.domain.paths import user_path
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.store.access import share_links
from sidecar.store.access.share_links import ShareLink
from sidecar.store.users import as_of, user_reads
from sidecar.store.values import StoredEvent, UserDetail, UserRow
from sidecar.web.params import is_number

# The newest events, shown in the timeline and the list; older ones are on further pages.
EVENTS: Final = 400
ROWS: Final = 50
ALERTS: Final = 5
DEVICES: Final = 12
# Back from now, as the query has it, and in words.
BACK: Final = {
    "-5m": marked("5 minutes ago"),
    "-1h": marked("1 hour ago"),
    "-1d": marked("this time yesterday"),
}
# From one past moment to another.
MINUS: Final = "\N{MINUS SIGN}"
STEPS: Final = (-DAY_US, -HOUR_US, -5 * MINUTE_US, 5 * MINUTE_US, HOUR_US, DAY_US)


class Evidence(msgspec.Struct, frozen=True):
    """Where the events of a finding are: the address of their line, None if none of them is among the newest.

    ``others`` is the list of users to whom the same happened around then.
    """

    count: int
    is_counted: bool
    address: str | None
    others: str | None = None


def _views(site: Site) -> dict[str, Loader]:
    """``/users/{app_id}/{user_id}``."""
    store, clock = site.store, site.clock

    async def _alerts(app_id: int, user_id: str, own: AppIds) -> list[tuple[Alert, list[Notification]]]:
        """The newest alerts about the user, and storms that it is a part of, with their notifications."""
        wanted = AlertFilter(apps=frozenset({app_id}), user_id=user_id, limit=ALERTS)
        found = (await store.read(alert_log.page, wanted)).alerts
        found += await store.read(storm_rows.of_user, app_id, user_id, wanted.limit)
        found = sorted(found, key=lambda one: one.id, reverse=True)[: wanted.limit]
        return [(one, await store.read(notifications.of_alert, one.id, own)) for one in found]

    async def _share_link(page_request: PageRequest, app_id: int, user_id: str, now_us: int) -> str | None:
        lifetime_us = share_links.LIFETIMES.get(page_request.get("hand_off"))
        if lifetime_us is None:
            return None
        access.check_may(access.current(), Action.SHARE)
        as_of_us, _problem = _as_of(page_request, now_us)
        link = ShareLink(app_id, user_id, as_of_us or now_us, now_us + lifetime_us)
        signed = await store.read(share_links.sign, link, now_us)
        return f"{page_request.site}/hand-off/{signed}" if signed else None

    async def _found(detail: UserDetail | None, known: Sequence[StoredEvent], at_us: int) -> list[Finding]:
        if detail is None:
            return []
        return findings.find(await store.read(user_life.life, detail, known, at_us))

    async def user(page_request: PageRequest) -> View:
        app_id, user_id = page_request.target()
        now_us = clock()
        as_of_us, problem = _as_of(page_request, now_us)
        if as_of_us is not None:
            then = await store.read(as_of.user_as_of, app_id, user_id, as_of_us, store.now(), limit=EVENTS)
            detail, newest = then.detail, then.events
        else:
            detail = await store.read(user_reads.user, app_id, user_id, store.now())
            newest = await store.read(user_reads.timeline, app_id, user_id, before=None, limit=EVENTS)
        at_us = now_us if as_of_us is None else as_of_us
        known: Sequence[StoredEvent] = newest
        if detail is not None and as_of_us is None:
            known = await store.read(user_life.newest_events, detail, now_us)
        found = await _found(detail, known, at_us)
        before, first = _place(page_request, "before", newest), _place(page_request, "begin", newest)
        is_older_page = before is not None or first is not None
        stored = newest
        if is_older_page:
            stored = await store.read(
                user_reads.timeline, app_id, user_id, before=before, limit=EVENTS, beginning_with=first
            )
        watching = (
            {"watches": []} if as_of_us is not None else await watched(site, app_id, user_id, page_request.own_apps)
        )
        share_link = await _share_link(page_request, app_id, user_id, now_us)
        status = header(detail, newest, found)
        shown = happened(detail, stored, at_us=at_us, window=page_request.get("window"), site=site)
        return View(
            name="user.html",
            status=200 if detail or as_of_us is not None else 404,
            concerns=frozenset({(app_id, user_id)}),
            is_live=as_of_us is None and not is_older_page,
            with_secret=share_link is not None,
            values=status
            | shown
            | watching
            | {
                "tab": "users",
                "now_us": at_us,
                "today_us": now_us,
                "as_of_us": as_of_us,
                "problem": problem,
                "app_id": app_id,
                "user_id": user_id,
                "evidence": evidence_of(
                    status["head"],
                    known,
                    shown["targets"],
                    lambda first: _with(page_request, begin=str(first), hand_off=""),
                    others_path,
                ),
                "windows": {name: _with(page_request, window=name) for name in timeline.WINDOWS},
                "alerts": await _alerts(app_id, user_id, page_request.own_apps) if as_of_us is None else [],
                "share_link": share_link,
                "older": _with(page_request, before=str(shown["before"])) if shown["before"] else None,
                "back": {text: _with(page_request, as_of=name, hand_off="") for name, text in BACK.items()},
                "steps": _steps(page_request, as_of_us, now_us),
                "path": user_path(app_id, user_id),
                "newest": _with(page_request, before=""),
                "is_older_page": is_older_page,
                "sought": shown["lines"][0].position if first is not None and shown["lines"] else None,
            },
        )

    return {"/users/{app_id:[0-9]+}/{user_id:[\\s\\S]*}": user}


PAGE: Final = Page(needed=Action.SEE_USERS, views=_views)


def header(detail: UserDetail | None, newest: Sequence[StoredEvent], found: Sequence[Finding]) -> dict[str, Any]:
    """The values of the head of the page; ``found`` are the user's findings, ``newest`` its newest events."""
    user = detail.user if detail else None
    status = user.status if user else NOT_LOGGED_IN
    reason = user.reason if user else None
    failed = status == NOT_LOGGED_IN and reason in sdk_words.FAILURES
    itself = _kicked_itself(user, newest)
    return {"user": user, "status": status, "failed": failed, "head": headline(user, found, kicked_itself=itself)}


def _kicked_itself(user: UserRow | None, newest: Sequence[StoredEvent]) -> bool:
    """Whether the device's own old connection may have caused the last kick."""
    if user is None or user.reason != sdk_words.KICKED_OUT:
        return False
    known = [one.event for one in newest]
    kick = next((event for event in known if event.connection_event == sdk_words.KICKED_OUT), None)
    return kick is not None and cause_of(kick, known).may_be_itself


def happened(
    detail: UserDetail | None, stored: Sequence[StoredEvent], *, at_us: int, window: str, site: Site | None
) -> dict[str, Any]:
    """The values of devices, timeline and list of events. Without ``site`` there is nothing raw, and no trace."""
    sessions = detail.sessions if detail else []
    letters = timeline.letters(sessions, stored)
    causes: Mapping[int, Cause] = timeline.causes_of_kicks(stored)
    part = fold.part(stored, causes, rows=ROWS, is_all=len(stored) < EVENTS)
    reader = Reader(letters=letters, causes=causes)
    if site is not None:
        reader = msgspec.structs.replace(reader, event_view=site.event_view, trace_url_template=site.trace_url_template)
    return {
        "sessions": sessions,
        "devices_shown": DEVICES,
        "letters": letters,
        "picture": timeline.picture(sessions, stored, now_us=at_us, window=window or None, causes=causes),
        "lines": event_lines.lines(part.groups, reader),
        "targets": event_lines.targets(part.groups),
        "before": part.before,
    }


def _as_of(page_request: PageRequest, now_us: int) -> tuple[int | None, str | None]:
    try:
        return past_moment(page_request, "as_of", now_us), None
    except MomentError as error:
        return None, str(error)


def _place(page_request: PageRequest, name: str, newest: Sequence[StoredEvent]) -> int | None:
    """A position at which an older page begins; a past page never shows what came after its moment."""
    text = page_request.get(name)
    place = int(text) if is_number(text) else None
    return None if place is None or not newest or place > newest[0].position else place


def _with(page_request: PageRequest, **changed: str) -> str:
    kept = [(name, value) for name, value in page_request.query if name not in {*changed, "before", "begin"} and value]
    return "?" + urlencode([*kept, *((name, value) for name, value in changed.items() if value)])


def _steps(page_request: PageRequest, as_of_us: int | None, now_us: int) -> list[tuple[str, str]]:
    """The moments around a past one, and their addresses; none of them is in the future."""
    if as_of_us is None:
        return []
    return [
        (
            f"{'+' if by_us > 0 else MINUS}{lasted(abs(by_us))}",
            _with(page_request, as_of=iso(as_of_us + by_us), hand_off=""),
        )
        for by_us in STEPS
        if as_of_us + by_us <= now_us
    ]


def evidence_of(
    head: Headline,
    known: Sequence[StoredEvent],
    targets: Mapping[int, int],
    page_from: Callable[[int], str | None],
    others_of: Callable[[Event], str | None],
) -> dict[str, Evidence]:
    """By the kind of each finding where its newest event by moment is: on this page, or on one that begins with it.

    ``known`` are the events that findings are made from, ``targets`` the lines of this page. ``page_from`` gives the
    address of the page that begins with the event at a position, None where there are no further pages; ``others_of``
    that of the others of an event.
    """
    stored = {one.event.id: one for one in known}
    found = {}
    for finding in (*((head.first,) if head.first else ()), *head.more):
        own = [stored[event] for event in reversed(finding.events) if event in stored]
        address = _address([one.position for one in own], targets, page_from)
        count = len(finding.events)
        others = next((path for one in own if (path := others_of(one.event))), None)
        found[finding.kind] = Evidence(count, count < EVENTS_NAMED, address, others)
    return found


def _address(
    positions: Sequence[int], targets: Mapping[int, int], page_from: Callable[[int], str | None]
) -> str | None:
    """The address of the line of the first of these events, or of the first one that can be shown."""
    for position in positions:
        if position in targets:
            return f"#event-{targets[position]}"
        page = page_from(position)
        if page is not None:
            return f"{page}#sought"
    return None
