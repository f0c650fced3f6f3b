"""One process of Zimwatch: from its start to an orderly stop or a kill."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
from pathlib import Path
from random import Random
from typing import Final

from sidecar import alerting, app, telemetry
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.errors import ZimwatchError
from sidecar.forwarding import forwarding_to_centre
from sidecar.http_client import HttpClient
from sidecar.ingest.wire import Decoded, decode
from sidecar.lifecycle import Background
from sidecar.settings import AlertSettings, DatabaseSettings, ForwardSettings, Settings
from sidecar.store import Store, engines
from sidecar.store.values import Appended
from sidecar.system.files import THROW_AWAY
from sidecar.system.threads import THREADS
from tests.simulation.disk import FILES, Disk, KilledError
from tests.simulation.outside import Collector, Receiver
from tests.support import virtual
from tests.support.clocks import Machine

MOST_PER_MINUTE = 30
CENTRE: Final = "https://centre.example.com"
EDGE: Final = "edge-1"
# What the tasks of a killed process wait for may never come.
_BURIED_S = 20
# A disk with much to do: what comes in the meantime shares the next commit.
_COMMIT_S: Final = (0.0, 0.5)


@functools.cache
def empty_database() -> bytes:
    """The file of a new database, whose tables are made once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES[0]
        database = engines.open_database(
            f"sqlite:///{path}", attach=False, steady=lambda: 0, threads=THREADS, files=THROW_AWAY
        )
        database.migrate()
        database.close()
        return path.read_bytes()


class Server:
    """Runs on the files in ``folder`` until it is stopped or killed; ``gone`` is done once it does not run any more.

    With the network to a ``centre`` it is an edge.
    """

    def __init__(
        self,
        folder: Path,
        machine: Machine,
        chance: Random,
        receiver: Receiver,
        collector: Collector,
        *,
        centre: HttpClient | None = None,
    ) -> None:
        self.disk = Disk(folder, self._die)
        self.background = Background()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.left: Path | None = None
        self._machine = machine
        self._centre = centre
        self._stack = contextlib.AsyncExitStack()
        self._calls: set[asyncio.Task[object]] = set()
        self._system = app.System(
            clock=machine.clock,
            steady=machine.steady,
            chance=chance,
            threads=virtual.OneThread(lambda: chance.uniform(*_COMMIT_S)),
            files=self.disk,
            http=lambda _allowed: receiver,
            exporter=lambda: collector,
        )
        ops = WebhookSettings(name="ops", url="https://ops.example.com/hook", most_per_minute=MOST_PER_MINUTE)
        self._settings = Settings(
            database=DatabaseSettings(url=f"sqlite:///{folder / 'zimwatch.db'}"),
            alerts=AlertSettings(receivers=(ops,), storm_users=15, offline_too_long="1m"),
            forward=ForwardSettings() if centre is None else ForwardSettings(url=CENTRE, token="x", name=EDGE),
        )
        self.store: Store | None = None

    async def start(self) -> None:
        """Opens the store and starts every part."""
        settings, system = self._settings, self._system
        reaction = alerting.reaction_of(settings, system.chance)
        stack = self._stack
        self.store = store = app.open_store(settings, system, reaction, export_spans=True)
        stack.push_async_callback(store.close)
        await alerting.begin(settings, store, reaction, store.settled_us)
        metrics = telemetry.Metrics(store, system.clock)
        for part in (
            app.tending(store, self.background),
            app.exporting_spans(settings, {}, system, store, self.background, metrics=metrics),
            app.alerting_beside(settings, system, store, reaction, self.background, exports_spans=True),
        ):
            await stack.enter_async_context(part)
        if (centre := self._centre) is not None:
            forwarder = forwarding_to_centre(
                *(settings, store, self.background),
                name=EDGE,
                clock=system.clock,
                steady=system.steady,
                http=lambda _allowed: centre,
                chance=system.chance,
            )
            await stack.enter_async_context(forwarder)

    def is_well(self) -> bool:
        """Whether the last commit succeeded."""
        return self.store is not None and self.store.problem is None

    @property
    def held_heartbeats(self) -> int:
        """How many wait in memory."""
        held = None if self.store is None else self.store.heartbeats
        return 0 if held is None else len(held._held) + held._in_writing

    async def stop(self) -> None:
        """An orderly stop."""
        await self._stack.aclose()
        if not self.gone.done():
            self.gone.set_result(None)

    def _die(self) -> None:
        self.left = self.disk.folder.with_name(f"{self.disk.folder.name}+")
        self.disk.left(self.left)
        self.gone.set_result(None)
        for call in self._calls:
            call.cancel()

    async def bury(self) -> None:
        """Ends the tasks of a killed process. Nothing that they do reaches the files that it left."""
        closing = asyncio.create_task(self._stack.aclose())
        await asyncio.wait((closing,), timeout=_BURIED_S)
        closing.cancel()

    async def take(self, body: bytes, sent_at_us: int | None, *, of_edge: bool = False) -> tuple[Decoded, Appended]:
        """What the ingest call does with a body. ConnectionError where it gives no answer of acceptance."""
        if self.gone.done() or self.store is None:
            raise ConnectionError("nobody listens")
        decoded = decode(body, "json", self.store.settled_us(), sent_at_us=sent_at_us, of_edge=of_edge)
        events = [event for _, event in decoded.events]
        call = asyncio.current_task()
        if call is None:
            raise RuntimeError("a task calls")
        self._calls.add(call)
        try:
            return decoded, await self.store.append(events, decoded.rejected, size_bytes=len(body))
        except (ZimwatchError, KilledError) as error:
            raise ConnectionError(str(error)) from error
        except asyncio.CancelledError:
            if not self.disk.is_dead or call.uncancel():  # the caller does not run any more
                raise
            raise ConnectionError("it was killed") from None
        finally:
            self._calls.discard(call)
