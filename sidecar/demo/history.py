"""Writes a made-up day into a database as if Zimwatch had run through it: on a clock of its own, and before it serves.

The day takes the path of any event, with the alert rules and time between them, so that alerts open and resolve at
their moments. No receiver is known meanwhile, so nobody is ever notified of it, and no span of it is exported.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final

import msgspec

from sidecar import alerting, app
from sidecar.alerting import AlertReaction
from sidecar.alerting.policy import Gathered
from sidecar.demo.day import Day, Report
from sidecar.demo.devices import APP_ID
from sidecar.demo.operators import DEEDS, Deed
from sidecar.demo.person import by_own_clock
from sidecar.demo.personas import SERVER_SAYS
from sidecar.domain.events import Event
from sidecar.domain.server_view import ServerStatus
from sidecar.domain.units import MINUTE_US, MS_US, SECOND_US
from sidecar.ingest import wire
from sidecar.ingest.callback import answer_event
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.system.files import THROW_AWAY

LATENCY_US: Final = 180 * MS_US
# A commit takes what arrived within this time, and less than that where much arrives.
_COMMIT_US: Final = MINUTE_US
_BUSY_COMMIT_US: Final = 10 * SECOND_US
_BUSY_EVENTS: Final = 20
_SWEEP_EVERY_US: Final = 15 * MINUTE_US
_NOTHING: Final = Gathered(stalled={}, tokens_ending=None)


class Clock:
    """Shows the time of the day that is written, which goes forward only."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        """The time that is set."""
        return self.now_us


async def write(day: Day, settings: Settings, *, until_us: int | None = None) -> None:
    """Creates the database of the settings, with the day in it, or its part up to ``until_us``."""
    until_us = day.end_us if until_us is None else until_us
    quiet = msgspec.structs.replace(settings.alerts, receivers=(), routes=())
    settings = msgspec.structs.replace(settings, alerts=quiet)
    clock = Clock(day.past[0].at_us if day.past else until_us)
    reaction = alerting.reaction_of(settings)
    system = app.System(clock=clock, steady=clock, files=THROW_AWAY)
    store = app.open_store(settings, system, reaction, export_spans=False)
    try:
        await alerting.begin(settings, store, reaction, clock)
        await _Writing(store, reaction, clock).run(day, until_us)
    finally:
        await store.close()


class _Writing:
    def __init__(self, store: Store, reaction: AlertReaction, clock: Clock) -> None:
        self._store = store
        self._reaction = reaction
        self._clock = clock
        self._swept_us = clock()

    async def run(self, day: Day, until_us: int) -> None:
        beside = deque(self._beside(day.end_us))
        for reports in _commits(one for one in day.past if one.at_us <= until_us):
            begin_us, end_us = (reports[at].at_us + LATENCY_US for at in (0, -1))
            while beside and beside[0][0] <= begin_us:
                at_us, act = beside.popleft()
                await self._time_passes(at_us)
                await act()
            await self._time_passes(begin_us)
            self._clock.now_us = max(self._clock(), end_us)
            works: list[Awaitable[object]] = [self._store.append(decoded(reports, self._clock()))]
            if len(reports) >= _BUSY_EVENTS:
                works.append(self._tick())  # of a storm; together, so that they share a commit
            await asyncio.gather(*works)
        await self._time_passes(until_us)
        await self._store.tend()
        await self._tick()

    def _beside(self, end_us: int) -> list[tuple[int, Callable[[], Awaitable[object]]]]:
        """What operators and ZEGO's server do, and when."""
        deeds = [(end_us - round(one.minutes_ago * MINUTE_US), partial(self._do, one)) for one in DEEDS]
        answers = [
            (end_us - round(minutes_ago * MINUTE_US), partial(self._answered, user_id, status))
            for minutes_ago, user_id, status in SERVER_SAYS
        ]
        return sorted([*deeds, *answers], key=itemgetter(0))

    async def _do(self, deed: Deed) -> None:
        await self._store.write(deed.work, self._reaction, self._clock())

    async def _answered(self, user_id: str, status: ServerStatus) -> None:
        await self._store.append([answer_event(APP_ID, user_id, status, now_us=self._clock())])

    async def _time_passes(self, until_us: int) -> None:
        """Lets what is due by time alone happen at its time."""
        while (now_us := self._clock()) < until_us:
            due_us = await self._store.read(self._reaction.next_due_us, now_us)
            sweep_us = self._swept_us + _SWEEP_EVERY_US
            next_us = sweep_us if due_us is None else min(sweep_us, due_us)
            self._clock.now_us = min(until_us, max(next_us, now_us + SECOND_US))
            if self._clock() >= sweep_us:
                self._swept_us = self._clock()
                await self._store.tend()
            if next_us <= until_us:
                await self._tick()

    async def _tick(self) -> None:
        while await self._store.write(self._reaction.tick, self._clock(), _NOTHING):
            pass


def decoded(reports: Sequence[Report], now_us: int) -> list[Event]:
    """The events as if each were received when it happened, but for the way that it took."""
    found: list[Event] = []
    for off_us, some in groupby(reports, key=attrgetter("clock_off_us")):
        raw = msgspec.json.encode([by_own_clock(one.event, off_us) for one in some])
        sent_at_us = now_us + off_us if off_us else None
        found += [
            msgspec.structs.replace(event, received_at_us=event.moment_us + LATENCY_US)
            for _, event in wire.decode(raw, "json", now_us, sent_at_us=sent_at_us).events
        ]
    return found


def _commits(past: Iterable[Report]) -> Iterator[list[Report]]:
    """The events in the portions in which they are committed."""
    portion: list[Report] = []
    begin_us = 0
    for report in past:
        at_us = report.at_us + LATENCY_US
        most_us = _COMMIT_US if len(portion) < _BUSY_EVENTS else _BUSY_COMMIT_US
        if portion and at_us - begin_us >= most_us:
            yield portion
            portion = []
        if not portion:
            begin_us = at_us
        portion.append(report)
    if portion:
        yield portion
