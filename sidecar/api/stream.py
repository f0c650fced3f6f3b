"""``GET /v1/stream``: changes as server-sent events, written once for all who listen.

Cost follows streams and ticks, not events: what changed between two ticks is sent once, as it stands then. A reader
that is slow gets the newest state of each user later, and nothing piles up for it but the names of those users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

import msgspec
from aiohttp import web
from opentelemetry import metrics

from sidecar.alerting import Engine
from sidecar.api import guard, json
from sidecar.api.users import number
from sidecar.domain.alerting.alert import Alert
from sidecar.store import Store, alert_log
from sidecar.store.records import Commit

TICK_S = 0.25
KEEP_ALIVE_S = 15.0
# A reader that was away for more changes than this starts from a fresh read instead.
RESUMED_MOST = 1000
# More changed users than this in one tick: the listener is told that the summary moved and reads what it shows.
USERS_A_TICK = 500
ALERTS_A_TICK = 200

_open = metrics.get_meter("zimwatch").create_up_down_counter(
    "zimwatch.stream.connections", description="Open streams of changes"
)


class Listener:
    """One open stream: which users changed since it was last written to."""

    def __init__(self, app_id: int | None, user_id: str | None) -> None:
        self.app_id = app_id
        self.user_id = user_id
        self.position = 0
        self.changed: set[tuple[int, str]] = set()
        self.alerts: set[int] = set()
        self.awake = asyncio.Event()

    def wants(self, who: tuple[int, str]) -> bool:
        """Whether this user is listened for."""
        return self.app_id in {None, who[0]} and self.user_id in {None, who[1]}

    def hear(self, commit: Commit) -> None:
        """Notes what the commit changed, as far as it is listened for."""
        own = [who for who in commit.users if self.wants(who)]
        if not own and not commit.alerts:
            return
        self.alerts.update(commit.alerts[: max(0, ALERTS_A_TICK - len(self.alerts))])
        # Past the most that a tick tells of, the rest is known by the summary alone: nothing piles up.
        self.changed.update(own[: USERS_A_TICK - len(self.changed)] if len(self.changed) < USERS_A_TICK else ())
        self.position = max(self.position, commit.position)
        self.awake.set()


def message(name: str, position: int, value: object) -> bytes:
    """One server-sent event."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), position, msgspec.json.encode(value))


def routes(store: Store, engine: Engine) -> list[web.AbstractRouteDef]:
    """The stream."""

    async def stream(request: web.Request) -> web.StreamResponse:
        own = guard.app_of(request)
        asked = number(request.query.get("app_id"), "app_id")
        listener = Listener(own if own is not None else asked, request.query.get("user_id"))
        since = number(request.headers.get("Last-Event-ID"), "Last-Event-ID")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        _open.add(1)
        unsubscribe = store.subscribe(listener.hear)
        try:
            await _tell(store, engine, listener, since, response)
        except ConnectionError:
            return response  # the reader went away
        finally:
            unsubscribe()
            _open.add(-1)

    return [web.get("/v1/stream", stream)]


async def _tell(
    store: Store, engine: Engine, listener: Listener, since: int | None, response: web.StreamResponse
) -> NoReturn:
    """Writes what was missed after the position ``since``, then every change, until the reader goes away."""
    listener.position = await store.position()
    if since is not None:
        for row in await store.users_changed_since(since, RESUMED_MOST):
            if listener.wants((row.app_id, row.user_id)):
                await response.write(message("user", row.position, json.user_view(row)))
        missed = await store.read(alert_log.changed_after, since, RESUMED_MOST)
        await _tell_alerts(engine, listener, missed, response)
    await response.write(await _summary(store, listener))
    while True:
        try:
            await asyncio.wait_for(listener.awake.wait(), KEEP_ALIVE_S)
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        listener.awake.clear()
        changed, listener.changed = listener.changed, set()
        alerts, listener.alerts = listener.alerts, set()
        position = listener.position
        for app_id, user_id in sorted(changed):
            detail = await store.user(app_id, user_id)
            if detail is not None:
                await response.write(message("user", position, json.user_view(detail.user)))
        if alerts:
            await _tell_alerts(engine, listener, await store.read(alert_log.several, alerts), response)
        await response.write(await _summary(store, listener))
        await asyncio.sleep(TICK_S)


async def _tell_alerts(
    engine: Engine, listener: Listener, alerts: Sequence[Alert], response: web.StreamResponse
) -> None:
    for alert in alerts:
        app_id, user_id = alert.subject.app_id, alert.subject.user_id
        if listener.app_id in {None, app_id} and listener.user_id in {None, user_id}:
            view = json.alert_view(alert, engine.policy.base)
            await response.write(message("alert", listener.position, view))


async def _summary(store: Store, listener: Listener) -> bytes:
    position = listener.position
    counts = await store.summary(listener.app_id)
    firing = await store.read(alert_log.counts, listener.app_id)
    return message("summary", position, json.summary_view(counts, firing))
