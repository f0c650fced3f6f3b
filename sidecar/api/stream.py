"""``GET /v1/stream``: changes as server-sent events, written once for all who listen.

Cost follows streams and ticks, not events: what changed between two ticks is sent once, as it stands then. A reader
that is slow gets the newest state of each user later, and nothing piles up for it but the names of those users.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import msgspec
from aiohttp import web
from opentelemetry import metrics

from sidecar.api import guard, json
from sidecar.api.users import number
from sidecar.store import Store
from sidecar.store.records import Commit

TICK_S = 0.25
KEEP_ALIVE_S = 15.0
# A reader that was away for more changes than this starts from a fresh read instead.
RESUMED_MOST = 1000
# More changed users than this in one tick: the listener is told that the summary moved and reads what it shows.
USERS_A_TICK = 500

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
        self.awake = asyncio.Event()

    def wants(self, who: tuple[int, str]) -> bool:
        """Whether this user is listened for."""
        return self.app_id in {None, who[0]} and self.user_id in {None, who[1]}

    def hear(self, commit: Commit) -> None:
        """Notes what the commit changed, as far as it is listened for."""
        own = [who for who in commit.users if self.wants(who)]
        if not own:
            return
        # Past the most that a tick tells of, the rest is known by the summary alone: nothing piles up.
        self.changed.update(own[: USERS_A_TICK - len(self.changed)] if len(self.changed) < USERS_A_TICK else ())
        self.position = commit.position
        self.awake.set()


def message(name: str, position: int, value: object) -> bytes:
    """One server-sent event."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), position, msgspec.json.encode(value))


def routes(store: Store) -> list[web.AbstractRouteDef]:
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
            await _tell(store, listener, since, response)
        except ConnectionError:
            return response  # the reader went away
        finally:
            unsubscribe()
            _open.add(-1)

    return [web.get("/v1/stream", stream)]


async def _tell(store: Store, listener: Listener, since: int | None, response: web.StreamResponse) -> NoReturn:
    """Writes what was missed after the position ``since``, then every change, until the reader goes away."""
    listener.position = await store.position()
    if since is not None:
        for row in await store.users_changed_since(since, RESUMED_MOST):
            if listener.wants((row.app_id, row.user_id)):
                await response.write(message("user", row.position, json.user_view(row)))
    await response.write(await _summary(store, listener))
    while True:
        try:
            await asyncio.wait_for(listener.awake.wait(), KEEP_ALIVE_S)
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        listener.awake.clear()
        changed, listener.changed = listener.changed, set()
        position = listener.position
        for app_id, user_id in sorted(changed):
            detail = await store.user(app_id, user_id)
            if detail is not None:
                await response.write(message("user", position, json.user_view(detail.user)))
        await response.write(await _summary(store, listener))
        await asyncio.sleep(TICK_S)


async def _summary(store: Store, listener: Listener) -> bytes:
    position = listener.position
    counts = await store.summary(listener.app_id)
    return message("summary", position, json.summary_view(counts))
