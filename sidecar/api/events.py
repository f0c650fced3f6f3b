"""``POST /v1/events``: takes events in, and answers after they are committed."""

from __future__ import annotations

from aiohttp import web
from opentelemetry import metrics

from sidecar.api import guard, json
from sidecar.api.problem import Problem
from sidecar.clock import Clock
from sidecar.ingest import body, wire
from sidecar.settings import Settings
from sidecar.store import Store

_KINDS = {"application/json": "json", "text/plain": "json", "application/x-ndjson": "ndjson"}
_DRY_RUN = {"0": False, "1": True, "false": False, "true": True}
_READ_BYTES = 65_536

_meter = metrics.get_meter("zimwatch")
_RESULTS = ("accepted", "duplicate", "rejected")
_taken = _meter.create_counter("zimwatch.events", description="Events that arrived, by what became of them")


def routes(store: Store, settings: Settings, clock: Clock) -> list[web.AbstractRouteDef]:
    """The ingest call and its preflight."""
    for result in _RESULTS:
        _taken.add(0, {"result": result})  # series that are there from the start, so that the first event is a rise

    async def take(request: web.Request) -> web.Response:
        kind = _KINDS.get(request.content_type)
        if kind is None:
            raise Problem(415, f"Content-Type must be one of {', '.join(_KINDS)}", {"Accept-Post": ", ".join(_KINDS)})
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            raise Problem(415, "Content-Encoding must be gzip or none", {"Accept-Encoding": "gzip"})
        dry = _DRY_RUN.get(request.query.get("dry_run", "0"))
        if dry is None:
            raise Problem(400, f"dry_run must be one of {', '.join(_DRY_RUN)}")
        chunks = request.content.iter_chunked(_READ_BYTES)
        raw = await body.read(chunks, gzipped=encoding == "gzip", limit=settings.ingest.max_body_bytes)
        decoded = wire.decode(raw, "ndjson" if kind == "ndjson" else "json", clock())
        events = [event for _, event in decoded.events]
        own = guard.app_of(request)
        if own is not None and (others := {event.app_id for event in events} - {own}):
            raise Problem(403, f"the token is bound to app {own}; the batch has events of app {min(others)}")
        if dry:
            answer = await store.would_append(events)
        else:
            answer = await store.append(events, decoded.rejected, size_bytes=len(raw))
            _count(answer.accepted, answer.duplicates, len(decoded.rejected))
        rejected = [{"index": one.index, "id": one.event_id, "error": one.error} for one in decoded.rejected]
        return json.response({"accepted": answer.accepted, "duplicates": answer.duplicates, "rejected": rejected})

    async def preflight(request: web.Request) -> web.Response:
        """What a browser asks before a page on another origin may send (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
        if not guard.origin_is_allowed(request.headers.get("Origin", ""), settings):
            raise Problem(403, "pages of this origin may not send here; name it in ingest.allowed_origins if they may")
        allowed = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
            "Access-Control-Max-Age": "600",
        }
        return web.Response(status=204, headers=allowed)

    return [web.post("/v1/events", take), web.options("/v1/events", preflight)]


def _count(*events: int) -> None:
    """How many events came to each of ``_RESULTS``, in their order."""
    for result, count in zip(_RESULTS, events, strict=True):
        if count:
            _taken.add(count, {"result": result})
