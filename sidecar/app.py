"""The composition root: builds store, relay, alerting, API and dashboard, and closes them in the right order.

The stop: no new connections, requests in progress finish, accepted events are committed, pending spans are exported.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import platform
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web
from argon2 import PasswordHasher

import dashboard
from sidecar import access, alerting, logs, memory, telemetry, web_application
from sidecar.access import audit, passwords
from sidecar.alerting import alert_metrics
from sidecar.canary import canary_beside
from sidecar.clock import Clock, now_us, steady_us
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.forwarding import edge_gauges, edge_name, forwarding_to_centre
from sidecar.http_client import HttpClient
from sidecar.ingest.server_query import querying_zego
from sidecar.lifecycle import Background, Task, at_hangup, restartable, stop_signal
from sidecar.reload import Reload
from sidecar.settings import Settings
from sidecar.store import Limits, Retention, Store, duties
from sidecar.store.access.audit_retention import AuditRetention
from sidecar.store.scheduled_backups import Backups
from sidecar.system import listening, processes
from sidecar.system.chance import CHANCE
from sidecar.system.files import FILES, Files
from sidecar.system.processes import Start
from sidecar.system.threads import THREADS, Threads
from sidecar.version import build
from sidecar.web.prefix import strip_prefix
from sidecar.web.server import Runner
from sidecar.web.tls import Certificate

if TYPE_CHECKING:
    from sidecar.telemetry.otlp.exporter import Exporter
    from sidecar.telemetry.relay import SpanRelay

log = structlog.stdlib.get_logger(__name__)

# All together stay well under the ten seconds within which a stop is promised.
ANSWERS_FINISH_S: Final = 2.0
SPANS_FLUSH_S: Final = 3.0
LOOKS_WRITTEN_S: Final = 2.0
BACKUP_ENDS_S: Final = 1.0
TEND_EVERY_S: Final = 1.0
ERASE_EVERY_S: Final = 1.0
# What is past its retention is looked for every so many times, and each time while there is any.
PRUNE_EVERY: Final = 5

Retentions = tuple[Retention, alerting.AlertRetention, AuditRetention]
"""What keeps events, alerts and the audit log for as long as the settings say."""


class System(msgspec.Struct, frozen=True, kw_only=True):
    """All that Zimwatch uses of its machine; each default is the real one.

    With ``exporter`` this process exports the spans itself; without it a child does.
    """

    clock: Clock = now_us
    steady: Clock = steady_us
    chance: Random = CHANCE
    threads: Threads = THREADS
    files: Files = FILES
    start: Start = processes.start
    listen: Callable[[web.AppRunner, str, int], web.BaseSite] = listening.site
    http: Callable[[Sequence[str]], HttpClient] = HttpClient
    hasher: Callable[[], PasswordHasher] = passwords.strong_hasher
    name: Callable[[], str] = platform.node
    exporter: Callable[[], Exporter] | None = None


class Running(msgspec.Struct, frozen=True):
    """A served Zimwatch: ``url`` without a slash at its end, and the path of the link that makes the first account."""

    url: str
    store: Store
    recorder: audit.Recorder
    first_account: str | None = None


@contextlib.asynccontextmanager
async def running(
    settings: Settings, environ: Mapping[str, str], *, system: System | None = None, reload: Reload | None = None
) -> AsyncIterator[Running]:
    """Serves for as long as the context is open. ZimwatchError where it cannot, with nothing left open.

    ``reload`` has these settings, and reads them again.
    """
    export_spans = telemetry.exporting(environ)
    if export_spans:
        telemetry.refuse_unusable(environ)
    telemetry.start(environ)
    system = system or System()
    reaction = alerting.reaction_of(settings, system.chance)
    retentions = _retentions(settings)
    edge = edge_name(settings, system.name())
    store = open_store(settings, system, reaction, retentions=retentions, export_spans=export_spans)
    background = Background()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        metrics = telemetry.Metrics(store, system.clock, (*alert_metrics.GAUGES, *edge_gauges(edge)))
        await alerting.begin(settings, store, reaction, store.settled_us)
        await stack.enter_async_context(tending(store, background))
        await stack.enter_async_context(background.running(Task(name="erasing users", run=lambda: _erase(store))))
        await stack.enter_async_context(_freeing_memory(system, background))
        backups = await stack.enter_async_context(_backing_up(settings, system, background))
        await stack.enter_async_context(querying_zego(settings, store, background, http=system.http))
        forwarding = await stack.enter_async_context(
            forwarding_to_centre(
                settings,
                store,
                background,
                name=edge,
                clock=system.clock,
                steady=system.steady,
                http=system.http,
                chance=system.chance,
            )
        )
        await telemetry.begin_episodes(store, settings, exports=export_spans)
        if export_spans:
            await stack.enter_async_context(
                exporting_spans(settings, environ, system, store, background, metrics=metrics)
            )
        canary = await stack.enter_async_context(
            canary_beside(
                settings.canary,
                environ,
                store,
                system.clock,
                background,
                allowed_hosts=settings.alerts.allowed_hosts,
                http=system.http,
            )
        )
        recorder = audit.Recorder(store, settings.server, system.clock)
        # Stopped after the server, whose last requests it records.
        await stack.enter_async_context(_recording(recorder, background))
        pages = asyncio.create_task(dashboard.prepare(), name="preparing pages")
        stack.callback(pages.cancel)
        application = web_application.build(
            settings,
            store,
            reaction,
            store.settled_us,
            metrics_text=metrics.text,
            canary=canary,
            forwarding=forwarding,
            background=background,
            threads=system.threads,
            http=system.http,
            reload=reload,
            is_prepared=pages.done,
            last_backup=lambda: backups.last,
            recorder=recorder,
            chance=system.chance,
            hasher=system.hasher(),
        )
        url = await stack.enter_async_context(_serving(application, settings, system, background, reload))
        reaction.serve_at(url)
        alerts = await stack.enter_async_context(
            restartable(
                lambda: alerting_beside(
                    settings,
                    system,
                    store,
                    reaction,
                    background,
                    exports_spans=export_spans,
                    last_backup=lambda: backups.last,
                )
            )
        )
        if reload is not None:

            async def follow(changed: frozenset[str]) -> None:
                sections = {key.partition(".")[0] for key in changed}
                if "logs" in sections:
                    logs.configure(settings.logs, quotes_errors=settings.privacy.is_plain)
                for retention in retentions:
                    retention.follow(settings)
                if sections & {"alerts", "apps"}:
                    async with alerts.paused():
                        await alerting.follow_settings(settings, store, reaction, store.settled_us)

            reload.follow(follow)
        stack.callback(store.hurry)
        await pages
        log.info("serving", version=build(), url=url, database=store.name, exports_spans=export_spans)
        yield Running(url, store, recorder, application[access.FIRST_RUN].path)
        log.info("stopping")
    log.info("stopped")


async def until_stopped(
    settings: Settings,
    environ: Mapping[str, str],
    started: Callable[[Running], None],
    *,
    reload: Reload | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; ``started`` is called once it answers requests. SIGHUP is a reload."""
    stop = stop_signal()
    async with running(settings, environ, reload=reload) as served:
        if reload is not None:
            at_hangup(lambda: _reload_at_hangup(reload, served.recorder))
        # What is loaded by now stays: a collection would go through it for some 40 ms, in which no request is answered.
        gc.freeze()
        started(served)
        await stop.wait()


async def _reload_at_hangup(reload: Reload, recorder: audit.Recorder) -> None:
    if (changes := await reload.run_logged()) is not None:
        await recorder.reloaded_at_hangup(changes.changed)


def open_store(
    settings: Settings,
    system: System,
    reaction: alerting.AlertReaction,
    *,
    retentions: Retentions | None = None,
    export_spans: bool,
) -> Store:
    """The store of the settings, followed by the alert rules."""
    retention, of_alerts, of_audit = retentions or _retentions(settings)
    return Store.open(
        settings.database.url,
        clock=system.clock,
        steady=system.steady,
        threads=system.threads,
        files=system.files,
        leases=settings.leases.leases(),
        export_spans=export_spans,
        limits=Limits.of(settings),
        retention=retention,
        expiring=[of_alerts, of_audit],
        holdings=alerting.HOLDINGS,
        followers=[reaction],
    )


def _retentions(settings: Settings) -> Retentions:
    return Retention.of(settings), alerting.AlertRetention.of(settings), AuditRetention.of(settings)


def tending(store: Store, background: Background) -> AbstractAsyncContextManager[None]:
    """Leases and retention, for as long as the context is open."""
    return background.running(Task(name="tending the store", run=lambda: _tend(store)))


@contextlib.asynccontextmanager
async def exporting_spans(
    settings: Settings,
    environ: Mapping[str, str],
    system: System,
    store: Store,
    background: Background,
    *,
    metrics: telemetry.Metrics,
) -> AsyncIterator[None]:
    """The span relay, for as long as the context is open; then pending spans are exported once more."""
    outbox = telemetry.StoreOutbox(store, metrics)
    relay: telemetry.RelayParent | SpanRelay
    if system.exporter is None:
        user_ids = settings.privacy.user_id_in_telemetry
        episodes = telemetry.episodes_of(settings)
        url = settings.database.url
        relay = telemetry.RelayParent(
            outbox, url, environ, settings.logs, system.start, user_ids=user_ids, episodes=episodes
        )
    else:
        from sidecar.telemetry.relay import SpanRelay  # noqa: PLC0415 - large, and else in the child alone

        resource = telemetry.resource_from(environ)
        relay = SpanRelay(outbox, system.exporter(), system.clock, resource=resource, chance=system.chance)
    job = store.duties.job(duties.SPANS, relay.run, relay.stop)
    task = Task(name="span relay", run=job.run, stop=job.stop)
    async with background.running(task, finish_s=SPANS_FLUSH_S):
        yield


def alerting_beside(
    settings: Settings,
    system: System,
    store: Store,
    reaction: alerting.AlertReaction,
    background: Background,
    *,
    exports_spans: bool,
    last_backup: Callable[[], LastBackup | None] = lambda: None,
) -> AbstractAsyncContextManager[None]:
    """The alert rules and the dispatchers, for as long as the context is open."""
    return alerting.running(
        settings,
        store,
        reaction,
        store.settled_us,
        background,
        exports_spans=exports_spans,
        last_backup=last_backup,
        http=system.http,
        chance=system.chance,
    )


async def _tend(store: Store) -> None:
    until_prune = 0
    while True:
        try:
            has_pruned = await store.tend(prunes=until_prune == 0)
            until_prune = 0 if has_pruned else (until_prune or PRUNE_EVERY) - 1
        except StoreUnavailableError as error:
            log.warning("the store could not be tended", problem=str(error))
        await asyncio.sleep(TEND_EVERY_S)


async def _erase(store: Store) -> None:
    while True:
        try:
            await store.erase()
        except StoreUnavailableError as error:
            log.warning("users could not be erased yet", problem=str(error))
        await asyncio.sleep(ERASE_EVERY_S)


def _freeing_memory(system: System, background: Background) -> AbstractAsyncContextManager[None]:
    task = Task(name="memory", run=lambda: memory.give_back(threads=system.threads), is_needed=False)
    return background.running(task)


@contextlib.asynccontextmanager
async def _backing_up(settings: Settings, system: System, background: Background) -> AsyncIterator[Backups]:
    backups = Backups(settings.database.url, settings.backups, system.clock, system.steady, system.threads)
    task = Task(name="backups", run=backups.run, stop=backups.stop, is_needed=False)
    async with background.running(task, finish_s=BACKUP_ENDS_S):
        yield backups


def _recording(recorder: audit.Recorder, background: Background) -> AbstractAsyncContextManager[None]:
    task = Task(name="audit log", run=recorder.run, stop=recorder.stop, is_needed=False)
    return background.running(task, finish_s=LOOKS_WRITTEN_S)


@contextlib.asynccontextmanager
async def _serving(
    application: web.Application, settings: Settings, system: System, background: Background, reload: Reload | None
) -> AsyncIterator[str]:
    """Answers requests for as long as the context is open; gives the URL. ZimwatchError where it cannot listen."""
    server, host = settings.server, settings.server.host.strip("[]")
    runner = Runner(application, server, shutdown_timeout=ANSWERS_FINISH_S)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        strip_prefix(runner.server, server.path)
        certificate = None if server.tls_cert is None else Certificate(server, system.clock)
        try:
            if certificate is None:
                site = system.listen(runner, host, server.port)
            else:
                site = runner.tls_site(host, server.port, certificate.context)
            await site.start()
        except OSError as error:
            raise ZimwatchError(_cannot_listen(server.host, server.port, error)) from None
        if certificate is not None:
            watching = Task(name="certificate files", run=certificate.watch, is_needed=False)
            await stack.enter_async_context(background.running(watching))
            if reload is not None:
                reload.follow(certificate.follow)
        port = runner.addresses[0][1]
        yield f"{server.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program; stop that one or choose another with --port."
    return f"Zimwatch cannot listen on {host}, port {port}: {error.strerror or error}."
