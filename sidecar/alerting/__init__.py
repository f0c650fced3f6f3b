"""Alerts: the rules applied to events, the alert log, and the notification of receivers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Final

from sidecar.alerting.alert_reaction import AlertReaction, Policy
from sidecar.alerting.notify.dispatcher import Dispatcher
from sidecar.alerting.notify.heartbeat import Heartbeat
from sidecar.alerting.notify.resend import Resender
from sidecar.alerting.receivers import RECEIVERS, VolatileReceiver, receiver_of
from sidecar.alerting.tables import notifications
from sidecar.alerting.tables.alert_retention import AlertRetention
from sidecar.alerting.tables.user_holdings import HOLDINGS
from sidecar.alerting.timer import Ticker
from sidecar.clock import Clock
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.units import SECOND_US
from sidecar.http_client import HttpClient
from sidecar.lifecycle import Background, Task
from sidecar.settings import Settings, duration_us, wait_us
from sidecar.store import Store, duties
from sidecar.system.chance import CHANCE

__all__ = [
    "HOLDINGS",
    "AlertReaction",
    "AlertRetention",
    "Policy",
    "begin",
    "follow_settings",
    "policy_of",
    "reaction_of",
    "running",
]

# How long messages that are being sent when Zimwatch stops may take.
FINISH_S: Final = 2.0
# After so long without a tick of the rules no heartbeat is sent.
_MISSED_US: Final = 30 * SECOND_US


def policy_of(settings: Settings) -> Policy:
    """The settings in the units of the domain."""
    alerts = settings.alerts
    return Policy(
        thresholds=alerts.thresholds(),
        receivers={one.name: one.most_per_minute for one in alerts.receivers},
        user_ids={one.name: one.user_ids or settings.privacy.user_id_in_telemetry for one in alerts.receivers},
        takes_acknowledgements=frozenset(
            one.name for one in alerts.receivers if RECEIVERS[one.type_name].takes_acknowledgements
        ),
        routes=tuple(route.route() for route in alerts.routes),
        group_by=alerts.group_by,
        group_wait_us=wait_us(alerts.group_wait),
        group_interval_us=duration_us(alerts.group_interval),
        group_alone=alerts.group_alone,
        repeat_us=wait_us(alerts.repeat_interval),
        most_per_minute=alerts.most_per_minute,
        grace_us=duration_us(settings.leases.heartbeat),
        base=settings.server.public_url.rstrip("/"),
        apps=settings.apps.apps(),
    )


def reaction_of(settings: Settings, chance: Random = CHANCE) -> AlertReaction:
    """The alert reaction under these settings: to be handed to the store when that is opened."""
    return AlertReaction(policy_of(settings), chance)


async def begin(settings: Settings, store: Store, reaction: AlertReaction, clock: Clock) -> None:
    """Brings what the rules watch and the notification outbox in line with the settings: before anything is served."""
    store.when_clock_is_set(reaction.clock_set)
    await store.write(reaction.begin, clock())
    await store.write(notifications.abandon, [one.name for one in settings.alerts.receivers], clock())


async def follow_settings(settings: Settings, store: Store, reaction: AlertReaction, clock: Clock) -> None:
    """The same for settings that have changed. What is :func:`running` is to be ended before, and begun again after."""
    await store.write(reaction.take_policy, policy_of(settings), clock())
    await store.write(notifications.abandon, [one.name for one in settings.alerts.receivers], clock())


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    store: Store,
    reaction: AlertReaction,
    clock: Clock,
    background: Background,
    *,
    exports_spans: bool,
    last_backup: Callable[[], LastBackup | None] = lambda: None,
    http: Callable[[Sequence[str]], HttpClient] = HttpClient,
    chance: Random = CHANCE,
) -> AsyncIterator[None]:
    """Ticks the rules and sends messages for as long as the context is open; after :func:`begin`."""
    alerts = settings.alerts
    async with contextlib.AsyncExitStack() as stack:
        calls = await stack.enter_async_context(http(alerts.allowed_hosts))
        receivers = {one.name: receiver_of(one, calls) for one in alerts.receivers}
        give_up_after_us = duration_us(alerts.give_up_after)
        dispatchers = [
            Dispatcher(name, one, store, reaction, clock, give_up_after_us=give_up_after_us, chance=chance)
            for name, one in receivers.items()
        ]
        ticker = Ticker(store, reaction, dispatchers, clock, exports_spans=exports_spans, last_backup=last_backup)
        tasks = [Task(name="alert rules", run=store.duties.job(duties.RULES, ticker.run).run)]
        if alerts.heartbeat_url:
            heartbeat = Heartbeat(
                alerts.heartbeat_url,
                duration_us(alerts.heartbeat_interval) / SECOND_US,
                calls,
                lambda: (
                    store.problem is None
                    and clock() - ticker.last_us < _MISSED_US
                    and not background.problems(of_needed=True)
                ),
            )
            tasks.append(Task(name="heartbeat", run=store.duties.job(duties.RULES, heartbeat.run).run, is_needed=False))
        for dispatcher in dispatchers:
            job = store.duties.job(duties.sending(dispatcher.name), dispatcher.run, dispatcher.stop)
            tasks.append(Task(name=f"alerts to {dispatcher.name}", run=job.run, stop=job.stop))
        for name, one in receivers.items():
            if isinstance(one, VolatileReceiver):
                job = store.duties.job(duties.sending(name), Resender(name, one, store, clock).run)
                tasks.append(Task(name=f"resending to {name}", run=job.run))
        await stack.enter_async_context(background.running(*tasks, finish_s=FINISH_S))
        yield
