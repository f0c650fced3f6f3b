"""The composition root: puts store, relay, API and dashboard together, and takes them down in the right order.

On the way down: stop accepting, let what is being answered finish, commit what was accepted, hand over spans.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Final, TypeVar

import msgspec
import structlog
from aiohttp import web

import dashboard
from sidecar import alerting, api, telemetry
from sidecar.clock import Clock, now_us
from sidecar.errors import ZimwatchError
from sidecar.settings import Settings
from sidecar.store import Store

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)

# Both together stay well under the ten seconds within which a stop is promised.
ANSWERS_FINISH_S: Final = 2.0
SPANS_FLUSH_S: Final = 3.0


class Running(msgspec.Struct, frozen=True):
    """A served Zimwatch. ``url`` has no slash at its end."""

    url: str
    store: Store


def build(
    settings: Settings, store: Store, engine: alerting.Engine, clock: Clock, *, metrics_text: api.MetricsText
) -> web.Application:
    """The web application over an open store; starts nothing."""
    application = web.Application(middlewares=api.middlewares(store, settings))
    application.add_routes(api.routes(store, engine, settings, clock, metrics_text=metrics_text))
    visitor = dashboard.Visitor(api.app_of, api.who, api.is_own_origin)
    application.add_routes(dashboard.routes(store, engine, clock, visitor))
    return application


@contextlib.asynccontextmanager
async def running(settings: Settings, environ: Mapping[str, str], *, clock: Clock = now_us) -> AsyncIterator[Running]:
    """Serves for as long as the context is open. ZimwatchError where it cannot, with nothing left open."""
    export_spans = telemetry.exporting(environ)
    telemetry.start(environ)
    engine = alerting.engine_of(settings)
    store = Store.open(
        settings.database.url,
        clock=clock,
        leases=settings.leases.leases(),
        export_spans=export_spans,
        reaction=engine,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        _refuse_an_open_door(settings, store)
        metrics = telemetry.Metrics(store, clock)
        if export_spans:
            relay = telemetry.relay(store, clock, metrics, environ)
            task = asyncio.create_task(relay.run(), name="span relay")
            task.add_done_callback(_told)
            stack.push_async_callback(_stopped, relay, task)
        runner = web.AppRunner(
            build(settings, store, engine, clock, metrics_text=metrics.text),
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


async def until_stopped(settings: Settings, environ: Mapping[str, str], started: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT; ``started`` is called once it answers."""
    stop = stop_signal()
    async with running(settings, environ) as served:
        started(served)
        await stop.wait()


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT, which then do nothing else. Call it in the running event loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def run(main: Coroutine[object, object, T]) -> T:
    """Runs ``main`` to its end in a new event loop, uvloop's where that is installed."""
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


async def _stopped(relay: telemetry.SpanRelay, task: asyncio.Task[None]) -> None:
    relay.stop()
    await asyncio.wait([task], timeout=SPANS_FLUSH_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _told(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the span relay has failed; spans wait in the database for the next start", exc_info=error)


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
