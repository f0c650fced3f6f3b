"""One user: status, reason, advice, devices, alerts, timeline and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from dashboard.page import shown
from dashboard.page_request import (
    Loader,
    MomentError,
    PageRequest,
    View,
    past_moment,
)
from dashboard.pages.watches import watched
from dashboard.parts import timeline
from dashboard.parts.event_sentence import EventSentence, event_sentence
from dashboard.site import Page, Site
from dashboard.text.language import gettext as _
from sidecar.alerting.tables import alert_log, notifications, storm_rows
from sidecar.alerting.tables.alert_values import AlertFilter, Notification
from sidecar.domain import sdk_words
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.moment import clock_off_us, wrong_by_us
from sidecar.domain.paths import user_path
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.units import DAY_US, HOUR_US
from sidecar.store.access import share_links
from sidecar.store.access.share_links import ShareLink
from sidecar.store.users import as_of, user_reads
from sidecar.store.values import StoredEvent, UserDetail
from sidecar.web.params import is_number

# The newest events, shown in the timeline and the list; older ones are on further pages.
EVENTS: Final = 400
ROWS: Final = 50
ALERTS: Final = 5
# At most this many events of a run are shown raw.
RAW_OF_A_RUN: Final = 10
RAW_CHARACTERS: Final = 20_000
# After so many in all, an event is shown with the fewest: a sender may fill 64 KiB of each, and a page shows hundreds.
RAW_OF_A_PAGE: Final = 200_000
RAW_FEWEST: Final = 500
SHARE_LINK_LIFETIMES: Final = {"1h": HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list: an event, or a run of equal ones (the SDK repeats RECONNECTING at each retry)."""

    position: int
    newest: int
    at_us: int
    until_us: int
    letter: str
    sentence: EventSentence
    count: int
    clock_off_us: int
    trace: str | None
    raw: list[str]
    by: str | None


def _views(site: Site) -> dict[str, Loader]:
    """``/users/{app_id}/{user_id}``."""
    store, clock = site.store, site.clock

    async def _alerts(app_id: int, user_id: str, own: int | None) -> list[tuple[Alert, list[Notification]]]:
        """The newest alerts about the user, and storms that it is a part of, with their notifications."""
        wanted = AlertFilter(app_id=app_id, user_id=user_id, limit=ALERTS)
        found = (await store.read(alert_log.page, wanted)).alerts
        found += await store.read(storm_rows.of_user, app_id, user_id, wanted.limit)
        found = sorted(found, key=lambda one: one.id, reverse=True)[: wanted.limit]
        return [(one, await store.read(notifications.of_alert, one.id, own)) for one in found]

    async def _share_link(page_request: PageRequest, app_id: int, user_id: str, now_us: int) -> str | None:
        lifetime_us = SHARE_LINK_LIFETIMES.get(page_request.get("hand_off"))
        if lifetime_us is None:
            return None
        as_of_us, _problem = _as_of(page_request, now_us)
        link = ShareLink(app_id, user_id, as_of_us or now_us, now_us + lifetime_us)
        signed = await store.read(share_links.sign, link, now_us)
        return f"{page_request.site}/hand-off/{signed}" if signed else None

    async def user(page_request: PageRequest) -> View:
        app_id, user_id = page_request.target()
        now_us = clock()
        as_of_us, problem = _as_of(page_request, now_us)
        before = page_request.get("before")
        if as_of_us is not None:
            then = await store.read(as_of.user_as_of, app_id, user_id, as_of_us, store.now(), limit=EVENTS)
            detail, stored = then.detail, then.events
        else:
            detail = await store.read(user_reads.user, app_id, user_id, store.now())
            place = int(before) if is_number(before) else None
            stored = await store.read(user_reads.timeline, app_id, user_id, before=place, limit=EVENTS)
        sessions = detail.sessions if detail else []
        letters = timeline.letters(sessions, stored)
        lines, targets = lines_of(stored, letters, site.event_view, site.trace_url_template)
        causes = timeline.causes_of_kicks(stored)
        window = page_request.get("window")
        watching = (
            {"watches": []} if as_of_us is not None else await watched(site, app_id, user_id, page_request.own_app)
        )
        share_link = await _share_link(page_request, app_id, user_id, now_us)
        return View(
            name="user.html",
            status=200 if detail or as_of_us is not None else 404,
            concerns=frozenset({(app_id, user_id)}),
            is_live=as_of_us is None and not before,
            with_secret=share_link is not None,
            values=header(detail)
            | watching
            | {
                "tab": "users",
                "now_us": now_us if as_of_us is None else as_of_us,
                "as_of_us": as_of_us,
                "problem": problem,
                "app_id": app_id,
                "user_id": user_id,
                "sessions": sessions,
                "letters": letters,
                "picture": timeline.picture(sessions, stored, now_us=as_of_us or now_us, window=window or None),
                "windows": {name: _with(page_request, window=name) for name in timeline.WINDOWS},
                "lines": lines[:ROWS],
                "targets": targets,
                "alerts": await _alerts(app_id, user_id, page_request.own_app) if as_of_us is None else [],
                "share_link": share_link,
                "older": _older(page_request, stored, lines),
                "path": user_path(app_id, user_id),
                "is_older_page": bool(before),
                "kicked_itself": bool(causes) and causes[max(causes)].may_be_itself,
            },
        )

    return {"/users/{app_id:[0-9]+}/{user_id:[\\s\\S]*}": user}


PAGE: Final = Page(views=_views)


def header(detail: UserDetail | None) -> dict[str, Any]:
    """The values of the head of the page."""
    found = detail.user if detail else None
    status = found.status if found else NOT_LOGGED_IN
    reason = found.reason if found else None
    failed = status == NOT_LOGGED_IN and reason in sdk_words.FAILURES
    return {"user": found, "status": status, "reason": reason, "failed": failed}


def _as_of(page_request: PageRequest, now_us: int) -> tuple[int | None, str | None]:
    try:
        return past_moment(page_request, "as_of", now_us), None
    except MomentError as error:
        return None, str(error)


def _with(page_request: PageRequest, **changed: str) -> str:
    kept = [(name, value) for name, value in page_request.query if name not in {*changed, "before"} and value]
    return "?" + urlencode([*kept, *changed.items()])


def _older(page_request: PageRequest, stored: Sequence[StoredEvent], lines: Sequence[Line]) -> str | None:
    if len(lines) > ROWS:
        return _with(page_request, before=str(lines[ROWS - 1].position))
    if len(stored) == EVENTS and lines:
        return _with(page_request, before=str(lines[-1].position))
    return None


def lines_of(
    stored: Sequence[StoredEvent],
    letters: Mapping[bytes, str],
    event_view: Callable[[StoredEvent], Mapping[str, Any]],
    trace_url_template: str | None,
) -> tuple[list[Line], dict[int, int]]:
    """The lines, newest first; and for each event's position ``newest`` of its line.

    ``position`` of a run is that of its oldest event, at which the next page continues.
    """
    causes = timeline.causes_of_kicks(stored)
    targets: dict[int, int] = {}
    lines: list[Line] = []
    room = RAW_OF_A_PAGE

    def raw_of(one: StoredEvent) -> str:
        nonlocal room
        text = _raw(event_view(one), most=min(RAW_CHARACTERS, max(RAW_FEWEST, room)))
        room -= len(text)
        return text

    for one in stored:
        event = one.event
        last = lines[-1] if lines else None
        sentence = event_sentence(event)
        letter = letters[event.client_id]
        if (
            last is not None
            and event.connection_state == sdk_words.RECONNECTING
            and (last.letter, last.sentence) == (letter, sentence)
        ):
            raw = last.raw
            if len(raw) < RAW_OF_A_RUN:
                raw.append(raw_of(one))
            lines[-1] = msgspec.structs.replace(
                last, position=one.position, at_us=event.moment_us, count=last.count + 1
            )
            targets[one.position] = last.newest
            continue
        if len(lines) > ROWS:
            break
        targets[one.position] = one.position
        cause = causes.get(one.position)
        if cause is not None and cause.may_be_itself:
            itself = _("This may be its own old connection (weak network; fixed in SDK 2.12.0)")
            sentence = msgspec.structs.replace(
                sentence, note=f"{sentence.note} · {itself}" if sentence.note else itself
            )
        lines.append(
            Line(
                position=one.position,
                newest=one.position,
                at_us=event.moment_us,
                until_us=event.moment_us,
                letter=letter,
                sentence=sentence,
                count=1,
                clock_off_us=wrong_by_us(clock_off_us(event)),
                trace=_trace(trace_url_template, event.session_id or event.client_id, event.moment_us),
                raw=[raw_of(one)],
                by=letters[cause.login.client_id] if cause and cause.login else None,
            )
        )
    return lines, targets


def _raw(view: Mapping[str, Any], *, most: int) -> str:
    text = msgspec.json.format(msgspec.json.encode(view), indent=2).decode()
    return shown_lines(text[:most] + (" …" if len(text) > most else ""))


def shown_lines(text: str) -> str:
    """Text with line breaks, its other control characters replaced."""
    return "\n".join(shown(line) for line in text.split("\n"))


def _trace(template: str | None, trace_id: bytes, at_us: int) -> str | None:
    """The address of a session's trace; fills in ``{trace_id}``, ``{start_ms}`` and ``{end_ms}``."""
    if template is None:
        return None
    values = {
        "trace_id": quote(trace_id.hex()),
        "start_ms": str((at_us - HOUR_US) // 1_000),
        "end_ms": str((at_us + HOUR_US) // 1_000),
    }
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template
