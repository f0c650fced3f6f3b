"""One user: what is wrong, since when, why, what to say, and all of the story behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from dashboard import timeline
from dashboard.asked import Asked, Loader, MomentError, View, is_number, moment_asked
from dashboard.page import shown, user_path
from dashboard.story import Told, clock_is_off, moment_of, told
from dashboard.times import DAY_US, HOUR_US
from sidecar.clock import Clock
from sidecar.domain import connection
from sidecar.domain.alerting.alert import Alert
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.store import Store, alert_log, notifications
from sidecar.store.alert_records import AlertFilter, Notification
from sidecar.store.hand_off import HandOff
from sidecar.store.records import StoredEvent, UserDetail

# The newest events that the picture and the list are made of; older ones are a page away.
EVENTS: Final = 400
ROWS: Final = 50
ALERTS: Final = 5
# A run of the same event shows this many of them raw.
RAW_OF_A_RUN: Final = 10
RAW_CHARACTERS: Final = 20_000
HAND_OFFS: Final = {"1h": HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US}

EventView = Callable[[StoredEvent], Mapping[str, Any]]
"""An event as the API writes it."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list: an event, or a run of the same one (the SDK repeats RECONNECTING once a retry)."""

    position: int
    newest: int
    at_us: int
    until_us: int
    letter: str
    told: Told
    count: int
    clock_off_us: int
    trace: str | None
    raw: list[str]
    by: str | None


def pages(store: Store, clock: Clock, *, event_view: EventView, trace_url_template: str | None) -> dict[str, Loader]:
    """``/users/{app_id}/{user_id}``."""

    async def _alerts(app_id: int, user_id: str) -> list[tuple[Alert, list[Notification]]]:
        """The newest alerts about the user, and who was told of each."""
        wanted = AlertFilter(app_id=app_id, user_id=user_id, limit=ALERTS)
        found = (await store.read(alert_log.page, wanted)).alerts
        return [(one, await store.read(notifications.of_alert, one.id)) for one in found]

    async def _hand_off(asked: Asked, app_id: int, user_id: str, now_us: int) -> str | None:
        good_for_us = HAND_OFFS.get(asked.get("hand_off"))
        if good_for_us is None:
            return None
        as_of_us, _problem = _as_of(asked)
        signed = await store.sign_hand_off(HandOff(app_id, user_id, as_of_us or now_us, now_us + good_for_us))
        return f"{asked.address}/hand-off/{signed}" if signed else None

    async def user(asked: Asked) -> View:
        app_id, user_id = asked.target()
        now_us = clock()
        as_of_us, problem = _as_of(asked)
        before = asked.get("before")
        if as_of_us is not None:
            then = await store.user_as_of(app_id, user_id, as_of_us, limit=EVENTS)
            detail, stored = then.detail, then.events
        else:
            detail = await store.user(app_id, user_id)
            place = int(before) if is_number(before) else None
            stored = await store.timeline(app_id, user_id, before=place, limit=EVENTS)
        sessions = detail.sessions if detail else []
        letters = timeline.letters(sessions, stored)
        lines, targets = lines_of(stored, letters, event_view, trace_url_template)
        window = asked.get("window")
        return View(
            name="user.html",
            status=200 if detail or as_of_us is not None else 404,
            concerns=frozenset({(app_id, user_id)}),
            is_live=as_of_us is None and not before,
            values=header(detail)
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
                "windows": {name: _with(asked, window=name) for name in timeline.WINDOWS},
                "lines": lines[:ROWS],
                "targets": targets,
                "alerts": await _alerts(app_id, user_id) if as_of_us is None else [],
                "hand_off": await _hand_off(asked, app_id, user_id, now_us),
                "older": _older(asked, stored, lines),
                "path": user_path(app_id, user_id),
                "asked_before": bool(before),
            },
        )

    return {"/users/{app_id:[0-9]+}/{user_id:[\\s\\S]*}": user}


def header(detail: UserDetail | None) -> dict[str, Any]:
    """What the head of the page is made of."""
    found = detail.user if detail else None
    status = found.status if found else NOT_LOGGED_IN
    reason = found.reason if found else None
    failed = status == NOT_LOGGED_IN and reason in connection.FAILURES
    return {"user": found, "status": status, "reason": reason, "failed": failed}


def _as_of(asked: Asked) -> tuple[int | None, str | None]:
    try:
        return moment_asked(asked, "as_of"), None
    except MomentError as error:
        return None, str(error)


def _with(asked: Asked, **changed: str) -> str:
    kept = [(name, value) for name, value in asked.query if name not in {*changed, "before"} and value]
    return "?" + urlencode([*kept, *changed.items()])


def _older(asked: Asked, stored: Sequence[StoredEvent], lines: Sequence[Line]) -> str | None:
    if len(lines) > ROWS:
        return _with(asked, before=str(lines[ROWS - 1].position))
    if len(stored) == EVENTS and lines:
        return _with(asked, before=str(lines[-1].position))
    return None


def lines_of(
    stored: Sequence[StoredEvent], letters: Mapping[bytes, str], event_view: EventView, trace_url_template: str | None
) -> tuple[list[Line], dict[int, int]]:
    """Newest first, and which line an event is told in: its position → ``newest`` of that line.

    ``position`` of a run is that of its oldest event, so that a page can go on from there.
    """
    causes = timeline.kicked_by(stored)
    targets: dict[int, int] = {}
    lines: list[Line] = []
    for one in stored:
        event = one.event
        last = lines[-1] if lines else None
        told_now = told(event)
        letter = letters[event.client_id]
        if (
            last is not None
            and event.connection_state == connection.RECONNECTING
            and (last.letter, last.told) == (letter, told_now)
        ):
            raw = last.raw
            if len(raw) < RAW_OF_A_RUN:
                raw.append(_raw(event_view(one)))
            lines[-1] = msgspec.structs.replace(
                last, position=one.position, at_us=moment_of(event), count=last.count + 1
            )
            targets[one.position] = last.newest
            continue
        if len(lines) > ROWS:
            break
        targets[one.position] = one.position
        cause = causes.get(one.position)
        lines.append(
            Line(
                position=one.position,
                newest=one.position,
                at_us=moment_of(event),
                until_us=moment_of(event),
                letter=letter,
                told=told_now,
                count=1,
                clock_off_us=event.occurred_at_us - event.received_at_us if clock_is_off(event) else 0,
                trace=_trace(trace_url_template, event.session_id or event.client_id, moment_of(event)),
                raw=[_raw(event_view(one))],
                by=letters[cause.event.client_id] if cause else None,
            )
        )
    return lines, targets


def _raw(view: Mapping[str, Any]) -> str:
    text = msgspec.json.format(msgspec.json.encode(view), indent=2).decode()
    return shown_lines(text[:RAW_CHARACTERS] + (" …" if len(text) > RAW_CHARACTERS else ""))


def shown_lines(text: str) -> str:
    """Text of several lines with its other control characters marked."""
    return "\n".join(shown(line) for line in text.split("\n"))


def _trace(template: str | None, trace_id: bytes, at_us: int) -> str | None:
    """Where the trace of a session is shown; what may be filled in is ``{trace_id}``, ``{start_ms}``, ``{end_ms}``."""
    if template is None:
        return None
    hour_ms = 3_600_000
    values = {
        "trace_id": quote(trace_id.hex()),
        "start_ms": str(at_us // 1_000 - hour_ms),
        "end_ms": str(at_us // 1_000 + hour_ms),
    }
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template
