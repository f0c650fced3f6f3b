"""A run: senders, network, disk, clock, receiver and collector with faults by a seed, and the invariants throughout."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import tempfile
import time
import traceback
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.errors import ZimwatchError
from tests.simulation import alert_invariants, invariants, limits
from tests.simulation.alert_invariants import StateAlerts
from tests.simulation.disk import FILES
from tests.simulation.invariants import BrokenError, Log, Look
from tests.simulation.outside import Collector, Receiver
from tests.simulation.senders import Network, Sender
from tests.simulation.server import Server, empty_database
from tests.support import virtual
from tests.support.clocks import Machine
from tests.support.events import BEGIN_US
from tests.support.stores import projected

# Where the files are: in memory where there is such a folder, because each run writes some MB.
_FOLDER: Final = next((one for one in ("/dev/shm",) if Path(one).is_dir()), None)  # noqa: S108 - a temporary folder in it
# Shares of the runs whose size is drawn, and of the faults that each of these has.
_WHOLE: Final = 0.01
_LARGE: Final = 0.15
_HAS_FAULT: Final = 0.7
# The fault that is there from the beginning to the end.
LIMITS: Final = "limits"
FAULTS: Final = ("app", "network", "receiver", "collector", "disk", "kill", "restart", "rebuild", "clock", LIMITS)
# The share of rebuilds in which the process is killed, and within how many statements.
_KILLED: Final = 0.3
_KILLED_WITHIN: Final = 300
_LOOK_EVERY_S: Final = 2.0
# The column among those of a user that :func:`projected` gives.
_LEASE_UNTIL: Final = 7
# The same of a happening.
_LAST_US: Final = 8
# Within this time all that waits is sent.
_CALM_S: Final = 900.0
_CALM_LOOK_S: Final = 10.0
_SILENT_S: Final = 90.0
# A crash may lengthen each lease by what it lost, and a start waits for the senders.
_KEPT_US: Final = 30 * DAY_US
_SLACK_OF_A_START_US: Final = 60 * SECOND_US
# Whether a full disk has room again is tried every few seconds.
_WELL_AGAIN_US: Final = 10 * SECOND_US


class Options(msgspec.Struct, frozen=True):
    """The size of a run, and which faults there are: all of them by default."""

    seed: int
    # Devices of users, each of which has one to four.
    clients: int = 100
    minutes: float = 20.0
    faults: tuple[str, ...] = FAULTS
    # Between two faults of a kind, in seconds.
    pause_s: tuple[float, float] = (20.0, 240.0)
    # See Sender.
    busy: float = 1.0

    @classmethod
    def drawn(cls, seed: int) -> Options:
        """A size by the seed. Most runs are small, so that many are made, with some of the faults close together."""
        chance = Random(f"{seed} size")  # noqa: S311 - it must be reproducible
        size = chance.random()
        if size < _WHOLE:
            return cls(seed)
        clients, minutes, pause_s = (30, 8, (10, 120)) if size < _LARGE else (6, 3, (4, 60))
        return cls(
            seed,
            clients=chance.randint(1, clients),
            minutes=chance.randint(1, minutes),
            faults=tuple(one for one in FAULTS if chance.random() < _HAS_FAULT),
            pause_s=pause_s,
            busy=chance.choice((1, 5, 20)),
        )


class Outcome(msgspec.Struct, frozen=True):
    """``broken``: the invariant that does not hold, and ``at_s`` when; ``digest`` is the same for the same run."""

    broken: str | None
    at_s: float
    digest: str
    events: int
    statements: int
    kills: int
    virtual_s: float
    cpu_s: float


class Simulation:
    """One run."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self.machine = Machine()
        self._chance = Random(options.seed)  # noqa: S311 - it must be reproducible
        self.receiver = Receiver(self.machine, self.child("receiver"))
        self.collector = Collector(self.child("collector"))
        self.network = Network(self._take, self.child("network"))
        self.log = Log()
        self.kills = self.starts = 0
        # For how long events were accepted; nobody is called silent for the rest of the time.
        self.up_us = 0
        self.set_us: list[int] = []
        self.state_alerts = StateAlerts()
        self._well_us = 0
        self.statements = 0
        self._server: Server | None = None
        # As after a start, and after a rebuild.
        self._to_look_at_all = False
        self._restarting: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._files = folder / "0"
        self._files.mkdir()
        (self._files / FILES[0]).write_bytes(empty_database())
        self.senders: list[Sender] = []
        clients = 0
        while clients < options.clients:
            self.senders.append(self._sender(len(self.senders)))
            clients += self.senders[-1].devices

    def child(self, name: str) -> Random:
        """A stream of chance of its own, so that a fault less does not change what the others draw."""
        return Random(f"{self._options.seed} {name}")  # noqa: S311 - same

    def _sender(self, number: int) -> Sender:
        chance, busy = self.child(f"sender {number}"), self._options.busy
        return Sender(number, self._true_us, lambda: self.up_us, self.network, chance, busy=busy)

    def _true_us(self) -> int:
        """The time that a right clock shows, whatever the server's machine was set to."""
        return BEGIN_US + self.machine.steady_us

    async def _take(self, body: bytes, sent_at_us: int | None) -> Any:
        if self._server is None:
            raise ConnectionError("nobody listens")
        return await self._server.take(body, sent_at_us)

    async def run(self) -> None:
        """The whole course; BrokenError where an invariant does not hold."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)  # what a killed process leaves undone
        await self._start()
        tasks = [asyncio.create_task(sender.run()) for sender in self.senders]
        faults = [asyncio.create_task(self._trouble(name)) for name in self._options.faults if name != LIMITS]
        end_us = self.machine.steady_us + int(self._options.minutes * 60 * SECOND_US)
        while self.machine.steady_us < end_us:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._accepts():
                self.up_us += round(_LOOK_EVERY_S * SECOND_US)
            await self._look()
        for task in (*tasks, *faults):
            task.cancel()
        await asyncio.gather(*tasks, *faults, return_exceptions=True)
        await self._calm()

    async def _look(self) -> None:
        is_new = await self._start_again_if_killed() or self._to_look_at_all
        self._to_look_at_all = False
        look = Look(self._opened(), self.log, whole=is_new)
        look.at_every_step(self.senders, whole=is_new)
        server = self._server
        if server is None or server.gone.done():
            return
        invariants.is_well(server)
        self._is_ready(server)
        if self._accepts():
            slack_us = self.starts * _SLACK_OF_A_START_US
            look.leases(self.senders, now_us=self._true_us(), up_us=self.up_us, slack_us=slack_us)
            self.state_alerts.look(self._opened(), look.users, self.up_us)

    def _is_ready(self, server: Server) -> None:
        """A while after the disk has room again, events are accepted again."""
        now_us = self.machine.steady_us
        if server.disk.is_full or server.is_well():
            self._well_us = now_us
        invariants.hold("the store is not well", now_us - self._well_us <= _WELL_AGAIN_US)

    def _opened(self) -> sqlite3.Connection:
        """Of the present files."""
        if self._connection is None:
            self._connection = invariants.opened(self._files)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _accepts(self) -> bool:
        server = self._server
        return server is not None and not server.gone.done() and not server.disk.is_full and server.is_well()

    async def _calm(self) -> None:
        """All faults end, all that waits is sent, and everything must be right."""
        self.network.is_well = self.receiver.is_well = self.collector.is_well = True
        if self._restarting is not None:
            await self._restarting
        await self._start_again_if_killed()
        server = self._server
        if server is None:
            await self._start()
            server = self._server
        if server is None:
            raise RuntimeError("a server was started")
        server.disk.is_full = False
        server.disk.killed_at = None
        await asyncio.gather(*(sender.flush() for sender in self.senders))
        for _ in range(round(_CALM_S / _CALM_LOOK_S)):
            await asyncio.sleep(_CALM_LOOK_S)
            if invariants.has_exported_all(self._opened()) and alert_invariants.has_sent_all(self._opened()):
                break
        invariants.is_well(server)
        invariants.hold("the store is not well", server.is_well())
        invariants.once_all_is_calm(self._opened(), self.log, self.senders, self.collector)
        alert_invariants.once_all_is_calm(self._opened(), self.log, self.receiver, set_us=self.set_us)
        await self._compare_rebuilt(server)
        self._close()
        await server.stop()
        self.statements += server.disk.statements

    async def _compare_rebuilt(self, server: Server) -> None:
        """A rebuild equals what is live."""
        store = server.store
        if store is None:
            return
        # Until no lease of those that sent heartbeats lasts: one may end at the moment of the rebuild, and a crash sets
        # lease time back by what it lost.
        await asyncio.sleep(_SILENT_S)
        before = _without_ends_of_leases(projected(self._files))
        await store.rebuild()
        after = _without_ends_of_leases(projected(self._files))
        for found in (before, after):
            # Those past their retention by their moment are deleted, and in part back since a late event.
            found["happenings"] = [row for row in found["happenings"] if row[_LAST_US] > self.machine.now_us - _KEPT_US]
        for name, own in before.items():
            different = [pair for pair in zip(own, after[name], strict=False) if pair[0] != pair[1]]
            is_same = len(own) == len(after[name]) and not different
            invariants.hold(f"a rebuild differs in {name}: {different[:2]}", is_same)

    async def _start(self) -> None:
        self.starts += 1
        chance = self.child(f"server {self.starts}")
        server = Server(self._files, self.machine, chance, self.receiver, self.collector)
        await server.start()
        self._server = server
        self._well_us = self.machine.steady_us
        self.state_alerts.begin_again()

    async def _start_again_if_killed(self) -> bool:
        """Whether it was."""
        server = self._server
        if server is None or not server.gone.done() or server.left is None:
            return False
        self._server = None
        self._close()
        self.kills += 1
        self.statements += server.disk.statements
        await server.bury()
        self._files = server.left
        await asyncio.sleep(self._chance.choice((0.1, 3.0, 100.0)))
        await self._start()
        return True

    async def _trouble(self, name: str) -> None:
        """One kind of fault, again and again."""
        chance = self.child(name)
        while True:
            await asyncio.sleep(chance.uniform(*self._options.pause_s))
            await getattr(self, f"_{name}")(chance)

    async def _network(self, chance: Random) -> None:
        self.network.is_well = False
        await asyncio.sleep(chance.uniform(5, 120))
        self.network.is_well = True

    async def _app(self, chance: Random) -> None:
        for sender in chance.sample(self.senders, 1 + len(self.senders) // 8):
            sender.dies_for_s = chance.uniform(50, 300)

    async def _receiver(self, chance: Random) -> None:
        self.receiver.is_well = False
        await asyncio.sleep(chance.uniform(5, 200))
        self.receiver.is_well = True

    async def _collector(self, chance: Random) -> None:
        self.collector.is_well = False
        await asyncio.sleep(chance.uniform(5, 200))
        self.collector.is_well = True

    async def _disk(self, chance: Random) -> None:
        if self._server is not None:
            disk = self._server.disk
            disk.is_full = True
            await asyncio.sleep(chance.uniform(1, 60))
            disk.is_full = False

    async def _kill(self, chance: Random) -> None:
        if self._server is not None:
            disk = self._server.disk
            disk.killed_at = disk.statements + chance.randrange(1, 400)

    async def _restart(self, chance: Random) -> None:
        server = self._server
        if server is None or server.gone.done() or server.disk.killed_at is not None:
            return
        # It is not left half done at the end of the run.
        self._restarting = asyncio.create_task(self._stop_and_start(server, chance))
        await asyncio.shield(self._restarting)

    async def _stop_and_start(self, server: Server, chance: Random) -> None:
        self._server = None
        self._close()
        await server.stop()
        self.statements += server.disk.statements
        await asyncio.sleep(chance.choice((0.1, 2.0, 90.0)))
        await self._start()

    async def _rebuild(self, chance: Random) -> None:
        """While events arrive; the process may be killed in it."""
        server = self._server
        if server is None or server.gone.done() or server.store is None:
            return
        if "kill" in self._options.faults and chance.random() < _KILLED:
            server.disk.killed_at = server.disk.statements + chance.randrange(1, _KILLED_WITHIN)
        work = asyncio.create_task(server.store.rebuild())
        await asyncio.wait((work, server.gone), return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        with contextlib.suppress(ZimwatchError, asyncio.CancelledError):
            await work
        self._to_look_at_all = True

    async def _clock(self, chance: Random) -> None:
        self.set_us.append(self.machine.steady_us)
        self.machine.is_set_by(chance.choice((-3_600, -30, -2, 2, 30, 3_600, 90_000)))

    def digest(self) -> str:
        """Of what was stored, in its order."""
        text = "\n".join(f"{position} {event_id}" for event_id, position in self.log.ids.items())
        return blake2b(text.encode(), digest_size=8).hexdigest()


def _without_ends_of_leases(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The end of a lease is written by the clock of the last sign of life, as far as that is known then."""
    return found | {"users": [row[:_LEASE_UNTIL] + row[_LEASE_UNTIL + 1 :] for row in found["users"]]}


def run(options: Options) -> Outcome:
    """The outcome of one run."""
    empty_database()
    began = time.process_time()
    gc.freeze()  # or each collection walks through all modules, a fifth of the time
    with (
        tempfile.TemporaryDirectory(prefix="zimwatch-simulation-", dir=_FOLDER) as name,
        contextlib.ExitStack() as stack,
    ):
        simulation = Simulation(options, Path(name))
        if LIMITS in options.faults:
            stack.enter_context(limits.small(simulation.child(LIMITS)))
        broken = None
        try:
            virtual.run(simulation.machine, simulation.run())
        except BrokenError as error:
            broken = str(error)
        except Exception as error:  # noqa: BLE001 - a fault of the product or of the simulation, to be replayed
            broken = f"{type(error).__name__}: {error}"
            broken += "\n" + traceback.format_exc(limit=-6)
    gc.unfreeze()
    return Outcome(
        broken=broken,
        at_s=simulation.machine.steady_us / SECOND_US,
        digest=simulation.digest(),
        events=len(simulation.log.ids),
        statements=simulation.statements,
        kills=simulation.kills,
        virtual_s=simulation.machine.steady_us / SECOND_US,
        cpu_s=time.process_time() - began,
    )
