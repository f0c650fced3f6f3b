"""The composition root: puts store, relay, API and dashboard together, and takes them down in the right order.

On the way down: stop accepting, let what is being answered finish, commit what was accepted, hand over spans.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
import structlog
from aiohttp import web

import dashboard
from sidecar import alerting, api, telemetry
from sidecar.alerting.trial import try_receiver
from sidecar.canary import CanaryStatus, canary_beside
from sidecar.clock import Clock, now_us, steady_us
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.ingest.server_query import ServerQuery
from sidecar.settings import Settings, duration_us, secrets_by_app
from sidecar.settings.alerts import RECEIVERS
from sidecar.store import Limits, Retention, Store

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)

# Both together stay well under the ten seconds within which a stop is promised.
ANSWERS_FINISH_S: Final = 2.0
SPANS_FLUSH_S: Final = 3.0
RECEIVER_TYPES: Final = {struct: name for name, struct in RECEIVERS.items()}
ZEGO_ANSWERS_S: Final = 10.0
TEND_EVERY_S: Final = 1.0
# Objects made before the garbage collector looks for cycles among them. A commit makes tens of thousands that have
# none, and at Python's own 700 a tenth of the time would go into looking.
GC_THRESHOLDS: Final = (50_000, 20, 20)


class Running(msgspec.Struct, frozen=True):
    """A served Zimwatch. ``url`` has no slash at its end."""

    url: str
    store: Store


def build(
    settings: Settings,
    store: Store,
    engine: alerting.Engine,
    clock: Clock,
    *,
    metrics_text: api.MetricsText,
    canary: Callable[[], CanaryStatus | None] = lambda: None,
    in_force: dashboard.Shown = (),
) -> web.Application:
    """The web application over an open store; starts nothing. ``canary`` tells how it stands.

    ``in_force`` is what a page may show of the settings: key, value and source.
    """
    application = web.Application(
        middlewares=[dashboard.middleware, *api.middlewares(store, settings, dashboard.error_page)]
    )
    application.add_routes(api.routes(store, engine, settings, clock, metrics_text=metrics_text))
    around = dashboard.Around(
        visitor=dashboard.Visitor(api.app_of, api.who, api.is_own_origin),
        user_view=api.user_view,
        event_view=api.event_view,
        in_force=dashboard.InForce(
            in_force,
            [(one.name, RECEIVER_TYPES[type(one)]) for one in settings.alerts.receivers],
            lambda name, base: try_receiver(
                settings.alerts, name, settings.alerts.public_url.rstrip("/") or base, clock()
            ),
        ),
        trace_url_template=settings.dashboard.trace_url_template,
        canary=canary,
    )
    application.add_routes(dashboard.routes(store, engine, clock, around))
    return application


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    clock: Clock = now_us,
    steady: Clock = steady_us,
    in_force: dashboard.Shown = (),
) -> AsyncIterator[Running]:
    """Serves for as long as the context is open. ZimwatchError where it cannot, with nothing left open."""
    export_spans = telemetry.exporting(environ)
    if export_spans:
        telemetry.refuse_unusable(environ)
    telemetry.start(environ)
    engine = alerting.engine_of(settings)
    store = Store.open(
        settings.database.url,
        clock=clock,
        steady=steady,
        leases=settings.leases.leases(),
        export_spans=export_spans,
        limits=Limits.of(settings),
        retention=Retention.of(settings),
        reactions=[engine],
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        _refuse_an_open_door(settings, store)
        await stack.enter_async_context(_background(_tend(store), "tending the store"))
        if settings.zego.server_secrets:
            await stack.enter_async_context(_asking_zego(settings, store, clock))
        metrics = telemetry.Metrics(store, clock)
        if export_spans:
            outbox = telemetry.StoreOutbox(store, metrics)
            relay = telemetry.RelayProcess(outbox, store.path, environ, settings.logs)
            task = asyncio.create_task(relay.run(), name="span relay")
            task.add_done_callback(_told)
            stack.push_async_callback(_stopped, relay, task)
        canary = await stack.enter_async_context(canary_beside(settings.canary, environ, store, clock))
        runner = web.AppRunner(
            build(settings, store, engine, clock, metrics_text=metrics.text, canary=canary, in_force=in_force),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=ANSWERS_FINISH_S,
            **api.SERVER_OPTIONS,
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        url = await _listen(runner, settings)
        engine.serve_at(url)
        await stack.enter_async_context(alerting.running(settings, store, engine, clock, exports_spans=export_spans))
        log.info("serving", url=url, database=settings.database.url, exports_spans=export_spans)
        yield Running(url, store)
        log.info("stopping")
    log.info("stopped")


async def until_stopped(
    settings: Settings,
    environ: Mapping[str, str],
    started: Callable[[Running], None],
    *,
    in_force: dashboard.Shown = (),
) -> None:
    """Serves until SIGTERM or SIGINT; ``started`` is called once it answers."""
    stop = stop_signal()
    async with running(settings, environ, in_force=in_force) as served:
        # What is loaded by now stays: the collector would go through it for some 40 ms, while nobody is answered.
        gc.freeze()
        started(served)
        await stop.wait()


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT, which then do nothing else. Call it in the running event loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def run(main: Coroutine[object, object, T]) -> T:
    """Runs ``main`` to its end in a new event loop, uvloop's where that is installed, as suits a server."""
    gc.set_threshold(*GC_THRESHOLDS)
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # it has no build for Windows
        import uvloop  # noqa: PLC0415

        new_event_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@contextlib.asynccontextmanager
async def _background(work: Coroutine[object, object, object], name: str) -> AsyncIterator[None]:
    """Runs ``work`` until the context ends; it says so where it fails before."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_told)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _asking_zego(settings: Settings, store: Store, clock: Clock) -> AsyncIterator[None]:
    zego = settings.zego
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ZEGO_ANSWERS_S)) as http:
        query = ServerQuery(store, http, zego.server_url, secrets_by_app(zego.server_secrets), clock)
        async with _background(query.run(duration_us(zego.query_every) / 1_000_000), "ZEGO query"):
            yield


async def _tend(store: Store) -> None:
    """Leases and retention, for as long as it is not cancelled. A database that fails is tried again."""
    while True:
        try:
            await store.tend()
        except StoreUnavailableError as error:
            log.warning("the store could not be tended", problem=str(error))
        except Exception:
            log.exception("the store could not be tended")
        await asyncio.sleep(TEND_EVERY_S)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _stopped(relay: telemetry.RelayProcess, task: asyncio.Task[None]) -> None:
    relay.stop()
    await asyncio.wait([task], timeout=SPANS_FLUSH_S)
    await _ended(task)


def _told(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error(
            "a background task has failed, and runs again from the next start", task=task.get_name(), exc_info=error
        )


def _refuse_an_open_door(settings: Settings, store: Store) -> None:
    host = settings.server.host
    if not is_loopback(host) and not store.has_tokens:
        raise ZimwatchError(
            f"Zimwatch does not listen on {host} while there is no token, because anyone could read and write there. "
            "Make one with `zimwatch token create --scope ingest`, or listen on 127.0.0.1."
        )


async def _listen(runner: web.AppRunner, settings: Settings) -> str:
    host, port = settings.server.host, settings.server.port
    try:
        await web.TCPSite(runner, host.strip("[]"), port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ZimwatchError(
                f"Port {port} on {host} is taken by another program; stop that one or choose another with --port."
            ) from None
        raise ZimwatchError(f"Zimwatch cannot listen on {host}, port {port}: {error.strerror or error}.") from None
    bound = runner.addresses[0][1]
    return f"http://{f'[{host}]' if ':' in host.strip('[]') and not host.startswith('[') else host}:{bound}"
