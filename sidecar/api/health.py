"""``/livez``, ``/readyz`` and ``/metrics``: whether Zimwatch runs and can commit, and its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Text
from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.forwarding import Status as ForwardingStatus
from sidecar.store import Store
from sidecar.store.log import forwarding as forwarding_log
from sidecar.version import build

_CANNOT_COMMIT = "events cannot be committed; see the log or the overview for the cause"
_BACKGROUND_FAILED = "a background task failed and is being restarted; see the log or the overview for the cause"
# As above: which server the centre is, and what it said, is for the pages and the log.
_CENTRE_AWAY = "the centre is not reached; events wait here"
_CENTRE_REFUSES = "the centre refuses what is sent; events wait here"
_STARTING = "events are accepted; pages are being prepared"
MetricsText = Callable[[AppIds], Awaitable[tuple[bytes, str]]]
"""The metrics of these apps as text, and their content type."""


def routes(
    store: Store,
    clock: Clock,
    metrics_text: MetricsText,
    *,
    problems: Callable[[], Sequence[Text]],
    is_prepared: Callable[[], bool],
    forwarding: Callable[[], ForwardingStatus | None],
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
        # An edge that is behind takes events, so it is ready.
        more = {} if (status := forwarding()) is None else {"forwarding": await progress(status)}
        return json_views.response(found | more | {"version": version}, 503 if "reason" in found else 200)

    async def progress(status: ForwardingStatus) -> dict[str, object]:
        problem = None
        if status.problem is not None:
            problem = _CENTRE_REFUSES if status.is_refused else _CENTRE_AWAY
        try:
            state = await store.read(forwarding_log.state)
        except StoreUnavailableError:
            state = None
        behind = {} if state is None else {"waiting": state.waiting, "behind_s": state.behind_us(clock()) / SECOND_US}
        return behind | {"problem": problem}

    async def metrics(request: web.Request) -> web.Response:
        text, content_type = await metrics_text(access.apps_of(request))
        return web.Response(body=text, headers={"Content-Type": content_type})

    return [
        routing.get("/livez", alive, routing.OPEN),
        routing.get("/readyz", ready, routing.OPEN),
        routing.get("/metrics", metrics, Action.SEE_COUNTS),
    ]
