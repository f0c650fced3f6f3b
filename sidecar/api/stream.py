"""``GET /v1/stream``: changes as server-sent events, read and written out once for all who listen.

Cost follows streams and ticks, not events: what changed between two ticks is sent once, as it stands then. A reader
that is slow gets the newest state of each user later, and nothing piles up for it but the names of those users. A
stream of one user tells of each of its changes; one of many users says how many it leaves out where too many changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec
import structlog
from aiohttp import web
from opentelemetry import metrics

from sidecar.alerting import Engine
from sidecar.api import guard, json
from sidecar.api.users import number
from sidecar.domain.alerting.alert import Alert
from sidecar.store import Store, alert_log
from sidecar.store.records import Commit, UserRow

TICK_S: Final = 0.25
KEEP_ALIVE_S: Final = 15.0
# A reader that was away for more changes than this starts from a fresh read instead.
RESUMED_MOST: Final = 1000
# How many changed users a tick tells a listener of: so many, and fewer where many listen, because what is sent is the
# product of both. The summary says how many more there were, and a reader that shows them reads them anew.
USERS_A_TICK: Final = 500
USERS_A_TICK_LEAST: Final = 100
TOLD_A_TICK: Final = 100_000
# So many names are kept between two ticks.
CHANGED_MOST: Final = 100_000
ALERTS_A_TICK: Final = 200

Who = tuple[int, str]
Scope = tuple[int | None, str | None]
"""An app, and one user of it; None is every one."""

_log = structlog.get_logger(__name__)
_open = metrics.get_meter("zimwatch").create_up_down_counter(
    "zimwatch.stream.connections", description="Open streams of changes"
)


class Listener:
    """One open stream: what it is to be sent, and what changed while it was still being sent something."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.ready = b""
        self.missed: set[Who] = set()
        self.missed_alerts: set[int] = set()
        self.untold = 0
        self.is_behind = False
        self.awake = asyncio.Event()

    def give(self, payload: bytes, changed: Collection[Who], alerts: Collection[int], untold: int) -> None:
        """Sends ``payload``, unless the one before has not gone out yet: then only what changed is noted."""
        if self.ready:
            self.is_behind = True
            room = max(0, USERS_A_TICK - len(self.missed))
            self.untold += untold + max(0, len(changed) - room)
            self.missed.update(islice(changed, room))
            self.missed_alerts.update(islice(alerts, max(0, ALERTS_A_TICK - len(self.missed_alerts))))
        else:
            self.ready = payload
        self.awake.set()


class Hub:
    """All open streams, and the one tick that serves them. It ticks while anybody listens."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._listeners: dict[Scope, set[Listener]] = defaultdict(set)
        self._changed: dict[Who, None] = {}
        self._lost = 0
        self._alerts: dict[int, None] = {}
        self._position = 0
        self._awake = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """The listener hears of every change until the context ends."""
        self._listeners[listener.scope].add(listener)
        _open.add(1)
        if self._ticking is None:
            # Before anything is told: what changes from here on is heard of.
            self._unsubscribe = self._store.subscribe(self._hear)
            self._ticking = asyncio.create_task(self._run(), name="stream of changes")
        try:
            yield
        finally:
            _open.add(-1)
            own = self._listeners[listener.scope]
            own.discard(listener)
            if not own:
                del self._listeners[listener.scope]
            if not self._listeners and self._unsubscribe is not None:
                self._unsubscribe()
                self._ticking.cancel()
                self._ticking = self._unsubscribe = None

    async def _run(self) -> None:
        self._position = max(self._position, await self._store.position())
        while True:
            await self._awake.wait()
            self._awake.clear()
            try:
                await self._tick()
            except Exception:  # noqa: BLE001 - the top of a loop that must not end
                _log.exception("a tick of the stream failed")
            await asyncio.sleep(TICK_S)

    def _hear(self, commit: Commit) -> None:
        room = max(0, CHANGED_MOST - len(self._changed))
        self._changed.update(dict.fromkeys(commit.users[:room]))
        self._lost += len(commit.users[room:])
        for alert in islice(commit.alerts, max(0, ALERTS_A_TICK - len(self._alerts))):
            self._alerts[alert] = None
        self._position = max(self._position, commit.position)
        self._awake.set()

    async def _tick(self) -> None:
        changed, self._changed = self._changed, {}
        fresh, self._alerts = self._alerts, {}
        lost, self._lost = self._lost, 0
        position = self._position
        scopes = {scope: tuple(listeners) for scope, listeners in self._listeners.items()}
        of = _by_scope(scopes, changed)
        most = _users_a_tick(sum(len(listeners) for (_, user_id), listeners in scopes.items() if user_id is None))
        told_of = {scope: own if scope[1] is not None else own[:most] for scope, own in of.items()}
        wanted = dict.fromkeys(who for own in told_of.values() for who in own)
        messages = {
            (row.app_id, row.user_id): message("user", position, json.user_view(row))
            for row in await self._store.users_named(list(wanted))
        }
        alerts = await several(self._store, fresh)
        told = {alert.id: self.told(alert, position) for alert in alerts}
        counted = _Counted(self._store, position)
        for scope, listeners in scopes.items():
            own = told_of[scope]
            about = [alert.id for alert in alerts if concerns(scope, alert)]
            if not own and not about:
                continue
            untold = len(of[scope]) - len(own) + (lost if scope[1] is None else 0)
            parts = [messages[who] for who in own if who in messages]
            payload = b"".join((*parts, *(told[one] for one in about), await counted.summary(scope[0], untold)))
            for listener in listeners:
                listener.give(payload, own, about, untold)

    def told(self, alert: Alert, position: int) -> bytes:
        """An alert as a server-sent event."""
        return message("alert", position, json.alert_view(alert, self._engine.policy.base))


def _users_a_tick(listeners: int) -> int:
    """How many changed users each of so many is told of."""
    return max(USERS_A_TICK_LEAST, min(USERS_A_TICK, TOLD_A_TICK // max(1, listeners)))


def _by_scope(scopes: Iterable[Scope], changed: Collection[Who]) -> dict[Scope, list[Who]]:
    """Those of the users that changed which each scope tells of."""
    by_user: dict[str, list[Who]] = {}
    by_app: dict[int, list[Who]] = {}
    for who in changed:
        by_app.setdefault(who[0], []).append(who)
        by_user.setdefault(who[1], []).append(who)
    found = {}
    for scope in scopes:
        app_id, user_id = scope
        if user_id is None:
            found[scope] = list(changed) if app_id is None else by_app.get(app_id, [])
        else:
            found[scope] = [who for who in by_user.get(user_id, ()) if app_id in {None, who[0]}]
    return found


class _Counted:
    """The counts as they stand at one position, read once for all."""

    def __init__(self, store: Store, position: int) -> None:
        self._store = store
        self._position = position
        self._made: dict[tuple[int | None, int], bytes] = {}

    async def summary(self, app_id: int | None, untold: int) -> bytes:
        """As :func:`summary`."""
        key = app_id, untold
        if key not in self._made:
            self._made[key] = await summary(self._store, app_id, self._position, untold)
        return self._made[key]


def message(name: str, position: int, value: object) -> bytes:
    """One server-sent event."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), position, msgspec.json.encode(value))


async def summary(store: Store, app_id: int | None, position: int, untold: int = 0) -> bytes:
    """The counts as a server-sent event, and how many changed users were left out before it, where any were."""
    counts = await store.summary(app_id)
    firing = await store.read(alert_log.counts, app_id)
    view = json.summary_view(counts, firing)
    return message("summary", position, {**view, "untold": untold} if untold else view)


def concerns(scope: Scope, alert: Alert) -> bool:
    """Whether a stream of this scope tells of the alert."""
    return scope[0] in {None, alert.subject.app_id} and scope[1] in {None, alert.subject.user_id}


async def several(store: Store, ids: Iterable[int]) -> list[Alert]:
    """The alerts with these ids."""
    wanted = list(ids)
    return list(await store.read(alert_log.several, wanted)) if wanted else []


def routes(store: Store, engine: Engine) -> list[web.AbstractRouteDef]:
    """The stream."""
    hub: Hub | None = None

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal hub
        hub = hub or Hub(store, engine)
        own = guard.app_of(request)
        asked = number(request.query.get("app_id"), "app_id")
        listener = Listener((own if own is not None else asked, request.query.get("user_id")))
        since = number(request.headers.get("Last-Event-ID"), "Last-Event-ID")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        try:
            with hub.listening(listener):
                await _begin(store, hub, listener, since, response)
                while True:
                    await _next(store, hub, listener, response)
        except ConnectionError:
            return response  # the reader went away

    return [web.get("/v1/stream", stream)]


async def _begin(store: Store, hub: Hub, listener: Listener, since: int | None, response: web.StreamResponse) -> None:
    """What was missed after the position ``since``, and the counts."""
    position = await store.position()
    if since is not None:
        missed = await store.users_changed_since(since, RESUMED_MOST)
        await response.write(_messages(listener.scope, missed))
        alerts = await store.read(alert_log.changed_after, since, RESUMED_MOST)
        await response.write(b"".join(hub.told(one, position) for one in alerts if concerns(listener.scope, one)))
    await response.write(await summary(store, listener.scope[0], position))


async def _next(store: Store, hub: Hub, listener: Listener, response: web.StreamResponse) -> None:
    try:
        await asyncio.wait_for(listener.awake.wait(), KEEP_ALIVE_S)
    except TimeoutError:
        await response.write(b": still here\n\n")
        return
    listener.awake.clear()
    await response.write(listener.ready)
    listener.ready = b""
    if listener.is_behind:
        missed, listener.missed, listener.is_behind = listener.missed, set(), False
        alerts, listener.missed_alerts = listener.missed_alerts, set()
        untold, listener.untold = listener.untold, 0
        position = await store.position()
        rows = await store.users_named(list(missed))
        told = b"".join(hub.told(one, position) for one in await several(store, alerts))
        counts = await summary(store, listener.scope[0], position, untold)
        await response.write(_messages(listener.scope, rows) + told + counts)


def _messages(scope: Scope, rows: list[UserRow]) -> bytes:
    messages = {(row.app_id, row.user_id): message("user", row.position, json.user_view(row)) for row in rows}
    return b"".join(messages[who] for who in _by_scope([scope], messages)[scope])
