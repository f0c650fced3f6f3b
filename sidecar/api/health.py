"""``/livez``, ``/readyz`` and ``/metrics``: whether Zimwatch runs and can commit, and its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.api import json_views
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Text
from sidecar.store import Store
from sidecar.version import build

_CANNOT_COMMIT = "events cannot be committed; see the log or the overview for the cause"
_BACKGROUND_FAILED = "a background task failed and is being restarted; see the log or the overview for the cause"
_STARTING = "events are accepted; pages are being prepared"
MetricsText = Callable[[AppIds], Awaitable[tuple[bytes, str]]]
"""The metrics of these apps as text, and their content type."""


def routes(
    store: Store,
    metrics_text: MetricsText,
    problems: Callable[[], Sequence[Text]],
    is_prepared: Callable[[], bool],
) -> list[web.AbstractRouteDef]:
    """The calls for orchestrators and monitoring."""
    version = build()

    async def alive(_request: web.Request) -> web.Response:
        return json_views.response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        if store.problem is not None:
            # Readable by anyone, and the database's own error would reveal hosts and files.
            found = {"status": "failing", "reason": _CANNOT_COMMIT}
        elif problems():
            found = {"status": "failing", "reason": _BACKGROUND_FAILED}
        elif not is_prepared():
            found = {"status": "starting", "reason": _STARTING}
        else:
            found = {"status": "ok"}
        return json_views.response(found | {"version": version}, 503 if "reason" in found else 200)

    async def metrics(request: web.Request) -> web.Response:
        text, content_type = await metrics_text(access.apps_of(request))
        return web.Response(body=text, headers={"Content-Type": content_type})

    return [
        routing.get("/livez", alive, routing.OPEN),
        routing.get("/readyz", ready, routing.OPEN),
        routing.get("/metrics", metrics, Action.SEE_COUNTS),
    ]
