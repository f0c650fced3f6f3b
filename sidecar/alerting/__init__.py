"""Alerts: whom to call for what events say, and the calling itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog

from sidecar.alerting.dispatcher import Dispatcher
from sidecar.alerting.engine import Engine, Policy
from sidecar.alerting.heartbeat import Heartbeat
from sidecar.alerting.outgoing import Outgoing
from sidecar.alerting.receivers import TAKES_ACKNOWLEDGEMENTS, receiver
from sidecar.alerting.ticker import Ticker
from sidecar.clock import Clock
from sidecar.settings import Settings, duration_us, wait_us
from sidecar.store import Store, notifications

__all__ = ["Engine", "Policy", "engine_of", "policy_of", "running"]

# What is being sent when Zimwatch stops gets this long.
FINISH_S: Final = 2.0
# The rules may miss this many seconds before the heartbeat says so by its silence.
_MISSED_US: Final = 30_000_000
_SECOND_US: Final = 1_000_000

_log = structlog.stdlib.get_logger(__name__)


def policy_of(settings: Settings) -> Policy:
    """What the settings say, in the units of the domain."""
    alerts = settings.alerts
    return Policy(
        thresholds=alerts.thresholds(),
        receivers={one.name: one.most_per_minute for one in alerts.receivers},
        takes_acknowledgements=frozenset(
            one.name for one in alerts.receivers if isinstance(one, TAKES_ACKNOWLEDGEMENTS)
        ),
        routes=tuple(route.route() for route in alerts.routes),
        group_by=alerts.group_by,
        group_wait_us=wait_us(alerts.group_wait),
        group_interval_us=duration_us(alerts.group_interval),
        group_alone=alerts.group_alone,
        repeat_us=wait_us(alerts.repeat_interval),
        most_per_minute=alerts.most_per_minute,
        grace_us=duration_us(settings.leases.heartbeat),
        base=alerts.public_url.rstrip("/"),
    )


def engine_of(settings: Settings) -> Engine:
    """The rules and the ledger under these settings: hand it to the store when it is opened."""
    return Engine(policy_of(settings))


@contextlib.asynccontextmanager
async def running(
    settings: Settings, store: Store, engine: Engine, clock: Clock, *, exports_spans: bool
) -> AsyncIterator[None]:
    """Tells the rules the time and sends what is owed, for as long as the context is open."""
    alerts = settings.alerts
    outgoing = Outgoing(alerts.allowed_hosts)
    try:
        dispatchers = [
            Dispatcher(
                one.name,
                receiver(one, outgoing),
                store,
                engine,
                clock,
                give_up_after_us=duration_us(alerts.give_up_after),
            )
            for one in alerts.receivers
        ]
        await store.write(lambda c: notifications.abandon(c, [one.name for one in alerts.receivers], clock()))
        ticker = Ticker(store, engine, dispatchers, clock, exports_spans=exports_spans)
        sending = [asyncio.create_task(one.run(), name=f"alerts to {one.name}") for one in dispatchers]
        telling = [asyncio.create_task(ticker.run(), name="alert rules")]
        if alerts.heartbeat_url:
            heartbeat = Heartbeat(
                alerts.heartbeat_url,
                duration_us(alerts.heartbeat_interval) / _SECOND_US,
                outgoing,
                lambda: (
                    store.problem is None
                    and clock() - ticker.last_us < _MISSED_US
                    and not any(t.done() for t in sending)
                ),
            )
            telling.append(asyncio.create_task(heartbeat.run(), name="heartbeat"))
        for task in (*sending, *telling):
            task.add_done_callback(_told)
        try:
            yield
        finally:
            for one in dispatchers:
                one.stop()
            if sending:
                await asyncio.wait(sending, timeout=FINISH_S)
            for task in (*sending, *telling):
                task.cancel()
            await asyncio.gather(*sending, *telling, return_exceptions=True)
    finally:
        await outgoing.close()


def _told(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error(
            "a part of the alerts has ended; what is owed waits for the next start",
            part=task.get_name(),
            exc_info=error,
        )
