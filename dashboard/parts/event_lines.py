"""The lines of "What happened": each says one group of events, and has them raw. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dashboard.parts.event_sentence import BAD, GOOD, EventSentence, event_sentence, until_text
from dashboard.parts.fold import Group, device_of
from dashboard.text.language import gettext as _
from dashboard.text.language import ngettext
from dashboard.text.times import lasted, took
from sidecar.domain import events
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.moment import clock_off_us, wrong_by_us
from sidecar.domain.outside_text import one_line
from sidecar.domain.sdk_words import RECONNECTING
from sidecar.domain.units import HOUR_US
from sidecar.store.values import StoredEvent

# At most this many events of a line are shown raw.
RAW_OF_A_LINE: Final = 10
RAW_CHARACTERS: Final = 20_000
# After so many in all, an event is shown with the fewest: a sender may fill 64 KiB of each, and a page shows hundreds.
RAW_OF_A_PAGE: Final = 200_000
RAW_FEWEST: Final = 500
# At most so many devices of a line are named.
_LETTERS: Final = 4


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A group of events as a row. ``position`` is that of its oldest event: it stays while newer ones join.

    ``newest`` is that of the newest. ``repeats`` says how often within which time, and may be empty.
    ``not_raw`` counts the events that are not in ``raw``. ``is_unproven``: nobody vouched for the user of one of them.
    """

    position: int
    newest: int
    at_us: int
    letters: tuple[str, ...]
    sentence: EventSentence
    repeats: str
    clock_off_us: int
    trace: str | None
    raw: tuple[str, ...]
    not_raw: int
    is_unproven: bool


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """What lines are written with: the devices' letters, the causes of kicks, the JSON of an event, and traces."""

    letters: Mapping[bytes, str]
    causes: Mapping[int, Cause]
    event_view: Callable[[StoredEvent], Mapping[str, Any]] | None = None
    trace_url_template: str | None = None


def lines(groups: Sequence[Group], reader: Reader) -> list[Line]:
    """A line for each group, in their order."""
    room = RAW_OF_A_PAGE
    found = []
    for group in groups:
        line = _line(group, reader, room)
        room -= sum(len(text) for text in line.raw)
        found.append(line)
    return found


def targets(groups: Sequence[Group]) -> dict[int, int]:
    """For each event's position ``position`` of its line."""
    return {one.position: group.oldest for group in groups for one in group.stored}


def _line(group: Group, reader: Reader, room: int) -> Line:
    ordered = group.in_order
    first, last = ordered[0], ordered[-1]
    sentence, repeats = _said(group, ordered, reader)
    shown = group.stored[:RAW_OF_A_LINE] if reader.event_view else ()
    raw = []
    for one in shown:
        raw.append(_raw(reader.event_view(one), most=min(RAW_CHARACTERS, max(RAW_FEWEST, room))))  # type: ignore[misc]
        room -= len(raw[-1])
    return Line(
        position=group.oldest,
        newest=group.newest,
        at_us=first.moment_us,
        letters=_letters(ordered, reader),
        sentence=sentence,
        repeats=repeats,
        clock_off_us=wrong_by_us(clock_off_us(last)),
        trace=_trace(reader.trace_url_template, last.session_id or last.client_id, first.moment_us),
        raw=tuple(raw),
        not_raw=len(group.stored) - len(shown),
        is_unproven=any(event.proven is False for event in ordered),
    )


def _letters(ordered: Sequence[Event], reader: Reader) -> tuple[str, ...]:
    return tuple(sorted({reader.letters[event.client_id] for event in ordered})[:_LETTERS])


def _said(group: Group, ordered: Sequence[Event], reader: Reader) -> tuple[EventSentence, str]:
    """What the line says, and how often that happened."""
    newest = max(ordered, key=lambda event: (event.moment_us, event.seq))
    if group.kind == "ping_pong":
        return _ping_pong(group, reader), ""
    if group.kind == "run":
        return _run(group, ordered)
    login = next((event for event in ordered if event.type == events.LOGIN), None)
    if login is not None and group.kind == "login":
        return _logged_in(login, ordered), ""
    if group.kind == "failed_login":
        return _refused(ordered), ""
    return _single(newest, reader.causes.get(group.newest), reader), ""


def _single(event: Event, cause: Cause | None, reader: Reader) -> EventSentence:
    sentence = event_sentence(event)
    if cause is not None and cause.login is not None:
        by = _("Kicked out by the login on device %(letter)s") % {"letter": reader.letters[cause.login.client_id]}
        return msgspec.structs.replace(sentence, text=by)
    if cause is not None and cause.may_be_itself:
        itself = _("This may be its own old connection (weak network; fixed in SDK 2.12.0)")
        note = f"{sentence.note} · {itself}" if sentence.note else itself
        return msgspec.structs.replace(sentence, note=note)
    return sentence


def _logged_in(login: Event, ordered: Sequence[Event]) -> EventSentence:
    steps = {event.type for event in ordered} | {event.connection_state for event in ordered}
    if not steps & {events.LOGIN_RESULT, "CONNECTED"}:
        return event_sentence(login)
    time = took(max(event.moment_us for event in ordered) - login.moment_us)
    text = _("Logged in offline, %(time)s") if login.details.get("offline_login") else _("Logged in, %(time)s")
    return EventSentence(text % {"time": time}, GOOD, until_text(login.details))


def _refused(ordered: Sequence[Event]) -> EventSentence:
    """Of the result, which has the code, else of the connection event that ended the login."""
    results = [event for event in ordered if event.type == events.LOGIN_RESULT and event.details.get("code", 0) != 0]
    return event_sentence((results or list(ordered))[-1])


def _run(group: Group, ordered: Sequence[Event]) -> tuple[EventSentence, str]:
    span_us = ordered[-1].moment_us - ordered[0].moment_us
    if group.key == RECONNECTING:
        count = len(ordered)
        template = ngettext("%(count)s attempt in %(time)s", "%(count)s attempts in %(time)s", count)
        return event_sentence(ordered[-1]), template % {"count": count, "time": lasted(span_us)}
    is_login = isinstance(group.key, tuple) and group.key[0] == events.LOGIN
    count = _logins(ordered) if is_login else len(ordered)
    sentence = _refused(ordered) if is_login else event_sentence(ordered[-1])
    template = ngettext("%(count)s time in %(time)s", "%(count)s times in %(time)s", count)
    return sentence, template % {"count": count, "time": lasted(span_us)}


def _logins(ordered: Sequence[Event]) -> int:
    """How many logins failed: their results, or the calls where those are missing."""
    results = sum(1 for event in ordered if event.type == events.LOGIN_RESULT)
    return max(results, sum(1 for event in ordered if event.type == events.LOGIN), 1)


def _ping_pong(group: Group, reader: Reader) -> EventSentence:
    kicks = [one for one in group.stored if one.position in reader.causes]
    kicks.sort(key=lambda one: (one.event.moment_us, one.event.id))
    span_us = kicks[-1].event.moment_us - kicks[0].event.moment_us
    devices = dict.fromkeys(device_of(one.event) for one in kicks)
    count = len(kicks)
    if len(devices) == 1:
        text = ngettext(
            "Connections of one device kicked each other out, %(count)s time in %(time)s",
            "Connections of one device kicked each other out, %(count)s times in %(time)s",
            count,
        )
    else:
        text = ngettext(
            "%(devices)s devices kicked each other out, %(count)s time in %(time)s",
            "%(devices)s devices kicked each other out, %(count)s times in %(time)s",
            count,
        )
    last = _("last kicked out: device %(letter)s") % {"letter": reader.letters[kicks[-1].event.client_id]}
    return EventSentence(text % {"devices": len(devices), "count": count, "time": lasted(span_us)}, BAD, last)


def _raw(view: Mapping[str, Any], *, most: int) -> str:
    text = msgspec.json.format(msgspec.json.encode(view), indent=2).decode()
    return shown_lines(text[:most] + (" …" if len(text) > most else ""))


def shown_lines(text: str) -> str:
    """Text with line breaks, its other control characters replaced."""
    return "\n".join(one_line(line) for line in text.split("\n"))


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
