"""``GET /v1/stream``: changes as server-sent events, read and encoded once for all readers.

Cost follows streams and ticks, not events: what changed between two ticks is sent once, in its newest state. Of what a
slow reader misses only names are kept, up to a bound. A stream of one user sends each of its changes; one of many users
counts those that it leaves out where too many changed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection
from itertools import islice
from typing import Final

import structlog
from aiohttp import web
from opentelemetry import metrics

from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction
from sidecar.alerting.tables import alert_log
from sidecar.api import json_views
from sidecar.api.stream_messages import (
    Scope,
    Summaries,
    Who,
    alerts_with,
    by_scope,
    concerns,
    lost_of,
    message,
    summary,
    user_messages,
    users_named,
)
from sidecar.domain.alerts.alert import Alert
from sidecar.store import Store, log_positions
from sidecar.store.users import user_reads
from sidecar.store.values import Commit
from sidecar.web.changes import Hub, Reader, Source
from sidecar.web.event_stream import EventStream, Payload
from sidecar.web.params import app_filter, number

TICK_S: Final = 0.25
# A reader that missed more changes than this starts from a fresh read instead.
RESUMED_MOST: Final = 1000
# How many changed users a tick sends to each reader: fewer where there are many readers, because what is sent is the
# product of both. The summary counts the others, and a reader that shows them reads them again.
USERS_A_TICK: Final = 500
USERS_A_TICK_LEAST: Final = 100
SENT_A_TICK: Final = 100_000
# Names kept between two ticks.
CHANGED_MOST: Final = 100_000
ALERTS_A_TICK: Final = 200

_log = structlog.get_logger(__name__)
_open = metrics.get_meter("zimwatch").create_up_down_counter(
    "zimwatch.stream.connections", description="Open streams of changes"
)


class StreamReader(Reader):
    """One open stream: the payload to send, and the names of what changed while it was not sent yet."""

    def __init__(self, changes: Changes, scope: Scope, since: int | None = None) -> None:
        super().__init__()
        self.scope = scope
        self.ready: Payload | None = None
        self.missed: set[Who] = set()
        self.missed_alerts: set[int] = set()
        self.untold = 0
        self.is_behind = False
        self._changes = changes
        self._since = since

    def offer(self, payload: Payload, changed: Collection[Who], alerts: Collection[int], untold: int) -> None:
        """Keeps ``payload`` to be sent; while the one before is not sent, only notes what changed."""
        if self.ready is not None:
            self.is_behind = True
            room = max(0, USERS_A_TICK - len(self.missed))
            self.untold += untold + max(0, len(changed) - room)
            self.missed.update(islice(changed, room))
            self.missed_alerts.update(islice(alerts, max(0, ALERTS_A_TICK - len(self.missed_alerts))))
        else:
            self.ready = payload
        self.awake.set()

    async def begin(self, stream: EventStream) -> None:
        """Writes what changed after the position ``since``, and the counts."""
        store = self._changes.store
        position = await store.read(log_positions.newest_position)
        if self._since is not None:
            users = await store.read(user_reads.users_changed_since, self._since, RESUMED_MOST, store.now())
            await stream.write(Payload(user_messages(self.scope, users)))
            alerts = await store.read(alert_log.changed_after, self._since, RESUMED_MOST)
            await stream.write(Payload(self._alert_messages(alerts, position)))
        await stream.write(Payload(await summary(store, self.scope[0], position)))

    async def send(self, stream: EventStream) -> None:
        """Writes the payload, then the newest state of what was missed meanwhile."""
        if self.ready is not None:
            await stream.write(self.ready)
        self.ready = None
        if self.is_behind:
            missed, self.missed, self.is_behind = self.missed, set(), False
            missed_alerts, self.missed_alerts = self.missed_alerts, set()
            untold, self.untold = self.untold, 0
            store = self._changes.store
            position = await store.read(log_positions.newest_position)
            users = user_messages(self.scope, await users_named(store, missed))
            alerts = self._alert_messages(await alerts_with(store, missed_alerts), position)
            counts = await summary(store, self.scope[0], position, untold)
            await stream.write(Payload(users + alerts + counts))

    def _alert_messages(self, alerts: Collection[Alert], position: int) -> bytes:
        return b"".join(self._changes.alert_message(one, position) for one in alerts if concerns(self.scope, one))


class Changes(Source[StreamReader]):
    """Coalesces commits, and gives each scope what changed in it once a tick. Ticks while there are readers."""

    def __init__(self, store: Store, reaction: AlertReaction) -> None:
        self.store = store
        self._reaction = reaction
        self._readers: dict[Scope, set[StreamReader]] = defaultdict(set)
        self._changed: dict[Who, None] = {}
        self._lost: Counter[int] = Counter()
        self._alerts: dict[int, None] = {}
        self._position = 0
        self._awake = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None

    def join(self, reader: StreamReader) -> None:
        """Gives the reader every change from now on."""
        self._readers[reader.scope].add(reader)
        _open.add(1)
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._run(), name="stream of changes")

    def leave(self, reader: StreamReader) -> None:
        """Forgets the reader."""
        _open.add(-1)
        own = self._readers[reader.scope]
        own.discard(reader)
        if not own:
            del self._readers[reader.scope]
        if not self._readers and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def follow(self, commit: Commit) -> None:
        """Notes what changed for the next tick; past ``CHANGED_MOST`` users only their number by app."""
        room = max(0, CHANGED_MOST - len(self._changed))
        self._changed.update(dict.fromkeys(commit.users[:room]))
        self._lost.update(app_id for app_id, _ in commit.users[room:])
        for alert in islice(commit.alerts, max(0, ALERTS_A_TICK - len(self._alerts))):
            self._alerts[alert] = None
        self._position = max(self._position, commit.position)
        self._awake.set()

    def alert_message(self, alert: Alert, position: int) -> bytes:
        """An alert as a server-sent event."""
        return message("alert", position, json_views.alert_view(alert, self._reaction.policy.base))

    async def _run(self) -> None:
        known = False
        while True:
            try:
                if not known:
                    self._position = max(self._position, await self.store.read(log_positions.newest_position))
                    known = True
                await self._awake.wait()
                self._awake.clear()
                await self._tick()
            except Exception:  # noqa: BLE001 - the top of a loop that must not end
                _log.exception("a tick of the stream failed")
            await asyncio.sleep(TICK_S)

    async def _tick(self) -> None:
        changed, self._changed = self._changed, {}
        fresh, self._alerts = self._alerts, {}
        lost, self._lost = self._lost, Counter()
        position = self._position
        scopes = {scope: tuple(readers) for scope, readers in self._readers.items()}
        of = by_scope(scopes, changed)
        most = _users_a_tick(sum(len(readers) for (_, user_id), readers in scopes.items() if user_id is None))
        chosen = {scope: own if scope[1] is not None else own[:most] for scope, own in of.items()}
        wanted = dict.fromkeys(who for own in chosen.values() for who in own)
        users = {
            (row.app_id, row.user_id): message("user", position, json_views.user_view(row))
            for row in await users_named(self.store, wanted)
        }
        alerts = await alerts_with(self.store, fresh)
        of_alerts = {alert.id: self.alert_message(alert, position) for alert in alerts}
        summaries = Summaries(self.store, position)
        for scope, readers in scopes.items():
            own = chosen[scope]
            about = [alert.id for alert in alerts if concerns(scope, alert)]
            if not own and not about:
                continue
            untold = len(of[scope]) - len(own) + lost_of(scope, lost)
            parts = [users[who] for who in own if who in users]
            counts = await summaries.summary(scope[0], untold)
            payload = Payload(b"".join((*parts, *(of_alerts[one] for one in about), counts)))
            for reader in readers:
                reader.offer(payload, own, about, untold)


def _users_a_tick(readers: int) -> int:
    """How many changed users each of so many readers gets."""
    return max(USERS_A_TICK_LEAST, min(USERS_A_TICK, SENT_A_TICK // max(1, readers)))


def routes(store: Store, reaction: AlertReaction, hub: Hub) -> list[web.AbstractRouteDef]:
    """The stream."""
    _open.add(0)  # creates the series, so that the first stream is a rise
    changes = Changes(store, reaction)

    async def stream(request: web.Request) -> web.StreamResponse:
        scope = app_filter(request), request.query.get("user_id")
        since = number(request.headers.get("Last-Event-ID"), "Last-Event-ID")
        return await hub.serve(request, changes, StreamReader(changes, scope, since))

    return [routing.get("/v1/stream", stream, Action.SEE_USERS, allow_head=False)]
