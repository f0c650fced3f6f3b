"""A run of an edge and its centre: senders, both servers and the network between them with faults by a seed."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from sidecar.domain.rfc3339 import microseconds
from sidecar.domain.units import SECOND_US
from sidecar.http_client import Answer, DeliveryError, HttpClient
from sidecar.store.values import Appended
from tests.simulation import invariants
from tests.simulation.disk import FILES
from tests.simulation.invariants import Log, Look
from tests.simulation.outside import Collector, Receiver
from tests.simulation.senders import Network, Sender
from tests.simulation.server import Server, empty_database
from tests.support.clocks import Machine
from tests.support.events import BEGIN_US

_LOOK_EVERY_S: Final = 2.0
_CALM_S: Final = 900.0
_CALM_LOOK_S: Final = 10.0
# An edge waits for 10 s at most: what arrives later than that would be taken for a wrong clock of the edge.
_LATE_S: Final = 9.0
# Between two faults of a kind.
_PAUSE_S: Final = (4, 60)
_EVENTS: Final = (
    "SELECT id, moment_us, occurred_at_us, user_id, client_id, session_id, seq, type, connection_state,"
    " connection_event, details FROM events ORDER BY id"
)
_USERS: Final = "SELECT app_id, user_id, status, since_us, reason, platform FROM user_status ORDER BY app_id, user_id"
_WAITING: Final = "SELECT COUNT(*) FROM events WHERE position > (SELECT position FROM forwarding)"


class Place:
    """A server that is started again whenever it was killed, on the files that were left; and what is in its log."""

    def __init__(self, name: str, folder: Path, machine: Machine, seed: int, centre: HttpClient | None = None) -> None:
        self.chance = Random(f"{seed} {name}")  # noqa: S311 - it must be reproducible
        self.log = Log()
        self.kills = 0
        self.ends = False
        self._machine = machine
        self._centre = centre
        self._receiver = Receiver(machine, self.chance)
        self._collector = Collector(self.chance)
        self._files = folder / name
        self._files.mkdir()
        (self._files / FILES[0]).write_bytes(empty_database())
        self._connection: sqlite3.Connection | None = None
        self._is_new = True
        self.server: Server | None = None

    async def start(self) -> None:
        """Starts it on the present files."""
        server = Server(self._files, self._machine, self.chance, self._receiver, self._collector, centre=self._centre)
        await server.start()
        self.server = server

    async def take(self, body: bytes, sent_at_us: int | None, *, of_edge: bool = False) -> Any:
        """See :meth:`Server.take`."""
        if self.server is None:
            raise ConnectionError("nobody listens")
        return await self.server.take(body, sent_at_us, of_edge=of_edge)

    async def live(self) -> None:
        """Starts it again, a while after it was killed. Until it is to end."""
        while not self.ends:
            await asyncio.sleep(0.1)
            await self.revive(self.chance.choice((0.1, 3.0, 60.0)))

    async def revive(self, pause_s: float = 0.0) -> None:
        """Starts it again if it was killed."""
        server = self.server
        if server is None or not server.gone.done() or server.left is None:
            return
        self.server = None
        self.kills += 1
        self.close()
        self._files, self._is_new = server.left, True
        await server.bury()
        await asyncio.sleep(pause_s)
        await self.start()

    async def recover(self) -> None:
        """Ends its faults, once :meth:`live` has ended."""
        await self.revive()
        if self.server is not None:
            self.server.disk.is_full, self.server.disk.killed_at = False, None

    async def trouble(self, name: str) -> None:
        """One kind of fault, again and again."""
        while True:
            await asyncio.sleep(self.chance.uniform(*_PAUSE_S))
            if self.server is None:
                continue
            disk = self.server.disk
            if name == "kill":
                disk.killed_at = disk.statements + self.chance.randrange(1, 400)
            else:
                disk.is_full = True
                await asyncio.sleep(self.chance.uniform(1, 30))
                disk.is_full = False

    def look(self, senders: Sequence[Sender] = ()) -> None:
        """What is stored is stored once, stays, and gives the status of its users."""
        whole, self._is_new = self._is_new, False
        Look(self.opened(), self.log, whole=whole).at_every_step(senders, whole=whole)

    def opened(self) -> sqlite3.Connection:
        """Its database."""
        if self._connection is None:
            self._connection = invariants.opened(self._files)
        return self._connection

    def close(self) -> None:
        """Closes the connection that looks."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Line(HttpClient):
    """The network between the edge and its centre: see :class:`Network`."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.centre: Place | None = None
        self._network = Network(self._take, chance, late_s=_LATE_S)

    @property
    def is_well(self) -> bool:
        """Whether everything arrives."""
        return self._network.is_well

    @is_well.setter
    def is_well(self, is_so: bool) -> None:
        self._network.is_well = is_so

    async def request(
        self,
        method: str,  # noqa: ARG002 - as the base has it
        url: str,  # noqa: ARG002 - same
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        params: Sequence[tuple[str, str]] = (),
        **_more: object,
    ) -> Answer:
        """The centre's answer."""
        if (headers or {}).get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        await asyncio.sleep(0.05)
        try:
            taken: Appended = await self._network.send(body, microseconds(dict(params)["sent_at"]))
        except ConnectionError as error:
            raise DeliveryError(str(error), permanent=False) from None
        found = {
            "accepted": taken.accepted,
            "duplicates": taken.duplicates,
            "heartbeat_after_s": taken.heartbeat_after_s,
        }
        return Answer(200, {}, msgspec.json.encode(found), is_whole=True)

    async def _take(self, body: bytes, sent_at_us: int | None) -> Any:
        if self.centre is None:
            raise ConnectionError("nobody listens")
        decoded, appended = await self.centre.take(body, sent_at_us, of_edge=True)
        invariants.hold(f"the centre rejects {decoded.rejected[:1]}", not decoded.rejected)
        return decoded, appended

    async def close(self) -> None:
        """Nothing to close: it outlives the processes that call it."""


class EdgeRun:
    """One run."""

    def __init__(self, seed: int, folder: Path, *, minutes: float = 4.0, users: int = 4) -> None:
        self._chance = Random(f"{seed} edge")  # noqa: S311 - it must be reproducible
        self._end_us = int(minutes * 60 * SECOND_US)
        self.machine = Machine()
        self._line = Line(Random(f"{seed} line"))  # noqa: S311 - same
        self.edge = Place("edge", folder, self.machine, seed, self._line)
        self.centre = self._line.centre = Place("centre", folder, self.machine, seed)
        self._network = Network(self.edge.take, Random(f"{seed} network"))  # noqa: S311 - same
        self._senders = [
            Sender(
                *(number, self._true_us, lambda: self.machine.steady_us, self._network),
                Random(f"{seed} sender {number}"),  # noqa: S311 - same
                busy=self._chance.choice((1, 5, 20)),
            )
            for number in range(users)
        ]

    def _true_us(self) -> int:
        return BEGIN_US + self.machine.steady_us

    async def run(self) -> None:
        """The whole course; BrokenError where an invariant does not hold."""
        # What a killed process leaves undone.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        places = (self.edge, self.centre)
        for place in places:
            await place.start()
        senders = [asyncio.create_task(one.run()) for one in self._senders]
        faults = [asyncio.create_task(one.trouble(name)) for one in places for name in ("kill", "disk")]
        faults += [asyncio.create_task(self._cut(one)) for one in (self._line, self._network)]
        lives = [asyncio.create_task(one.live()) for one in places]
        while self.machine.steady_us < self._end_us:
            await asyncio.sleep(_LOOK_EVERY_S)
            self._look()
        await _ended(senders, faults)
        self._line.is_well = self._network.is_well = True
        for place in places:
            place.ends = True
        await asyncio.gather(*lives)
        for place in places:
            await place.recover()
        await self._calm()

    async def _cut(self, network: Line | Network) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(*_PAUSE_S))
            network.is_well = False
            await asyncio.sleep(self._chance.uniform(5, 120))
            network.is_well = True

    def _look(self) -> None:
        """The centre has a beginning of the edge's log."""
        self.centre.look()
        self.edge.look(self._senders)
        of_edge, of_centre = list(self.edge.log.ids), self.centre.log.ids.keys()
        invariants.hold("the centre's events are no beginning of the edge's", of_centre == {*of_edge[: len(of_centre)]})

    async def _calm(self) -> None:
        """The faults are over: all that was sent is at the centre too, and the same."""
        await asyncio.gather(*(sender.flush() for sender in self._senders))
        for _ in range(round(_CALM_S / _CALM_LOOK_S)):
            await asyncio.sleep(_CALM_LOOK_S)
            if not self.edge.opened().execute(_WAITING).fetchone()[0]:
                break
        self._look()
        for sql, what in ((_EVENTS, "events"), (_USERS, "users")):
            of_edge, of_centre = (invariants.rows(one.opened(), sql) for one in (self.edge, self.centre))
            different = [pair for pair in zip(of_edge, of_centre, strict=False) if pair[0] != pair[1]]
            is_same = len(of_edge) == len(of_centre) and not different
            invariants.hold(f"{len(of_edge)} and {len(of_centre)} {what} differ: {different[:1]}", is_same)
        for place in (self.edge, self.centre):
            place.close()
            if place.server is not None:
                await place.server.stop()


async def _ended(*groups: Sequence[asyncio.Task[Any]]) -> None:
    tasks = [task for group in groups for task in group]
    for task in tasks:
        task.cancel()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(found, Exception):
            raise found
