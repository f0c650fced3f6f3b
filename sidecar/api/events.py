"""``POST /v1/events``: accepts events, and responds after the commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web
from opentelemetry import metrics
from opentelemetry.metrics import Observation

from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action, Role
from sidecar.access.proxies import known_client
from sidecar.access.throttle import network_of
from sidecar.api import json_views
from sidecar.api.edge_reports import edge_report
from sidecar.clock import Clock
from sidecar.domain import app_ids, rfc3339
from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.http_client import HttpClient
from sidecar.ingest import wire
from sidecar.ingest.apps import Apps
from sidecar.ingest.assertion_keys import FETCH_EVERY_US, KeysAwayError
from sidecar.ingest.assertions import HEADER, Assertions, InvalidError
from sidecar.ingest.rate_limits import RateLimits, Sender
from sidecar.ingest.redaction import Redaction
from sidecar.logs import Bounded
from sidecar.settings import ServerSettings, Settings
from sidecar.store import Store
from sidecar.store.log import event_log
from sidecar.store.values import Appended, Rejected, StoredEvent, Token
from sidecar.web import origin, request_body
from sidecar.web.params import FLAGS
from sidecar.web.problem import Problem

_KINDS: Final[dict[str, Literal["json", "ndjson"]]] = {
    "application/json": "json",
    "text/plain": "json",
    "application/x-ndjson": "ndjson",
}
REJECTED_NAMED = 100
_UNESCAPED_PLUS = re.compile(r"^ (?=\d)|(?<=\d) (?=\d\d:?\d\d$)")

_log = structlog.stdlib.get_logger(__name__)
_meter = metrics.get_meter("zimwatch")
_RESULTS = ("accepted", "duplicate", "rejected")
_received = dict.fromkeys(_RESULTS, 0)
# Read when the metrics are: a counter's own add() costs 10 times as much as decoding an event.
_meter.create_observable_counter(
    "zimwatch.events",
    [lambda _: [Observation(count, {"result": result}) for result, count in _received.items()]],
    description="Events received, by result",
)


class _Given(msgspec.Struct, frozen=True):
    """What a request says beside its body."""

    shape: Literal["json", "ndjson"]
    is_dry: bool
    sent_at_us: int | None


def routes(
    store: Store, settings: Settings, clock: Clock, http: Callable[[Sequence[str]], HttpClient] = HttpClient
) -> list[web.AbstractRouteDef]:
    """The ingest call and its preflight."""
    apps = Apps(settings, store)
    assertions = Assertions(settings, clock, http)
    limits = RateLimits(settings, clock)
    refusals = Bounded(clock)
    redaction = Redaction(settings.privacy.redact_extended_data)

    async def accept(request: web.Request) -> web.Response:
        principal = access.current()
        _check_page(request, principal)
        given = _given(request)
        counted = limits.begin(_limited_sender(request, principal, settings.server))
        raw = await request_body.read(request, settings.ingest.max_body_bytes)
        own = access.apps_of(request)
        edge = _edge_of(principal)
        report = None if edge is None else edge_report(request)
        admission = await apps.admission()
        # The apps of a bound token are allowed; that the events are of these is checked below.
        check_app = admission.check if own is None else lambda _: None
        decoded = wire.decode(
            raw, given.shape, clock(), sent_at_us=given.sent_at_us, of_edge=edge is not None, check_app=check_app
        )
        decoded.events = redaction.events(decoded.events)
        rejected = _of_own_apps(decoded, own, of_edge=edge is not None)
        why = None
        if edge is not None:
            _judge(decoded, rejected, assertions.judge_of_edge)
        elif assertions.are_on:
            why = await _prove(decoded, request, assertions, rejected)
        events = [event for _, event in decoded.events]
        with counted.events(events, len(rejected)):
            if given.is_dry:
                after_s = store.heartbeat_after_s
                answer = await store.read(event_log.would_append, events, store.now().leases, after_s)
                rejected += _refused(answer, decoded)
            else:
                admission.keep()
                answer = await store.append(events, rejected, size_bytes=len(raw))
                if refused := _refused(answer, decoded):
                    await store.append([], refused)
                    rejected += refused
                _count(answer.accepted, answer.duplicates, len(rejected))
                _log_rejected(rejected, refusals)
                if edge is not None and report is not None:
                    await report.keep(store, edge.id, clock)
        answered = _answer(answer, sorted(rejected, key=lambda one: one.index))
        if why is not None:
            answered["assertion_error"] = why
        return json_views.response(answered)

    async def preflight(request: web.Request) -> web.Response:
        """A browser's request before a page on another origin sends (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
        origin.check_sender(request, settings)
        allowed = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": f"Authorization, Content-Type, Content-Encoding, {HEADER}",
            "Access-Control-Max-Age": "600",
        }
        return web.Response(status=204, headers=allowed)

    return [
        routing.post("/v1/events", accept, Action.INGEST),
        routing.options("/v1/events", preflight, routing.OPEN),
    ]


def _check_page(request: web.Request, principal: access.Principal | None) -> None:
    """403 for a page that may not send with its token, or without one."""
    token = None if principal is None else principal.token
    origin.check_page_of_no_origin(request, has_token=token is not None)
    if token is not None:
        origin.check_page_of_token(request, token.origins)


def _edge_of(principal: access.Principal | None) -> Token | None:
    """The token by which an edge sends; None of others. This machine's own requests may do all, and have none."""
    return principal.token if principal is not None and principal.may(Action.FORWARD) else None


def _given(request: web.Request) -> _Given:
    """400 or 415 that names what is wrong."""
    kind = _KINDS.get(request.content_type)
    if kind is None:
        raise Problem(415, f"Content-Type must be one of {', '.join(_KINDS)}", {"Accept-Post": ", ".join(_KINDS)})
    is_dry = FLAGS.get(request.query.get("dry_run", "0"))
    if is_dry is None:
        raise Problem(400, f"dry_run must be one of {', '.join(FLAGS)}")
    return _Given(kind, is_dry, _sent_at_us(request.query.get("sent_at")))


def _limited_sender(request: web.Request, principal: access.Principal | None, server: ServerSettings) -> Sender | None:
    """Who sends; None where no limit applies: without a token, and with one of scope forward, of another Zimwatch."""
    if principal is None or principal.token is None or principal.role != Role.INGEST:
        return None
    client = known_client(request, server)
    return Sender(principal.token.id, None if client is None else network_of(client))


def _of_own_apps(decoded: wire.Decoded, own: AppIds, *, of_edge: bool) -> list[Rejected]:
    """What was rejected; 403 where an event is of another app than the token's ``own``.

    An edge has the events of many senders, who know nothing of its token: those of other apps alone are rejected.
    """
    rejected = [_of_apps(one, own) for one in decoded.rejected]
    if own is None or not (others := {event.app_id for _, event in decoded.events} - own):
        return rejected
    allowed = f"the token is for these apps: {app_ids.listed(own) or 'none'}"
    if not of_edge:
        raise Problem(403, f"{allowed}; the batch has events of app {min(others)}")

    def check(event: Event) -> Event:
        if event.app_id in others:
            raise ValueError(f"{allowed}; the event is of app {event.app_id}")
        return event

    _judge(decoded, rejected, check)
    return [_of_apps(one, own) for one in rejected]


def _judge(decoded: wire.Decoded, rejected: list[Rejected], judge: Callable[[Event], Event]) -> None:
    """Puts what ``judge`` gives in the place of each event, and moves those for which it raises ValueError."""
    judged = []
    for index, event in decoded.events:
        try:
            judged.append((index, judge(event)))
        except ValueError as error:
            rejected.append(wire.rejected_event(event, index, str(error), _body_of(event)))
    decoded.events = judged


async def _prove(
    decoded: wire.Decoded, request: web.Request, assertions: Assertions, rejected: list[Rejected]
) -> str | None:
    """Marks the events as proven or not, and moves those that may not be accepted to ``rejected``.

    Why the assertion proves nothing; None where it is valid, or there is none. 503 where its keys cannot be fetched and
    events that require it would be lost.
    """
    text = request.headers.get(HEADER) or decoded.assertion
    proof, why = None, None
    if text:
        try:
            proof = await assertions.check(text)
        except KeysAwayError as error:
            if any(assertions.requires(event.app_id) for _, event in decoded.events):
                raise Problem(503, str(error), {"Retry-After": str(FETCH_EVERY_US // SECOND_US)}) from None
            why = str(error)
        except InvalidError as error:
            why = str(error)
    _judge(decoded, rejected, lambda event: assertions.judge(event, proof, why))
    return why


def _of_apps(rejected: Rejected, own: AppIds) -> Rejected:
    """The rejected event: any text may name an app, so it is of an app that its token is for, or of none."""
    if own is None or rejected.app_id in own:
        return rejected
    return msgspec.structs.replace(rejected, app_id=min(own) if len(own) == 1 else None)


def _refused(appended: Appended, decoded: wire.Decoded) -> list[Rejected]:
    """Valid events that the store could not append."""
    placed = [(*decoded.events[place], error) for place, error in appended.refused]
    return [wire.rejected_event(event, index, error, _body_of(event)) for index, event, error in placed]


def _body_of(event: Event) -> bytes:
    return msgspec.json.encode(json_views.event_view(StoredEvent(0, event)))


def _answer(appended: Appended, rejected: list[Rejected]) -> dict[str, Any]:
    named = [{"index": one.index, "id": one.event_id, "error": one.error} for one in rejected[:REJECTED_NAMED]]
    return {
        "accepted": appended.accepted,
        "duplicates": appended.duplicates,
        "rejected": named,
        "rejected_more": len(rejected) - len(named),
        "heartbeat_after_s": appended.heartbeat_after_s,
    }


def _log_rejected(rejected: list[Rejected], refusals: Bounded) -> None:
    """Logs a line at a limited rate; the sender gets each error in the response."""
    if rejected and (more := refusals.more()) is not None:
        first = rejected[0]
        _log.warning("events rejected", events=len(rejected), error=first.error, app_id=first.app_id, unlogged=more)


def _sent_at_us(text: str | None) -> int | None:
    """The sender's clock when it sent. A plus that was not escaped arrives as a space."""
    if text is None:
        return None
    try:
        return rfc3339.microseconds(_UNESCAPED_PLUS.sub("+", text))
    except ValueError as error:
        raise Problem(400, f"sent_at is {error}") from None


def _count(*events: int) -> None:
    """Counts events by ``_RESULTS``, in their order."""
    for result, count in zip(_RESULTS, events, strict=True):
        _received[result] += count
