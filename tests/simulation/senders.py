"""The senders: simulated apps whose reports wait in a queue until Zimwatch acknowledges them, over a bad network."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from sidecar.domain.events import HEARTBEAT
from sidecar.domain.rfc3339 import microseconds, text
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.ingest.wire import Decoded
from sidecar.sdk.recording.recorder import Device, WireEvent
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedClient, SimulatedUser
from sidecar.store.values import Appended

APP_ID: Final = 1_234_567_890
Take = Callable[[bytes, int | None], Awaitable[tuple[Decoded, Appended]]]
"""A request: its body, and the sender's clock if it is stated. ConnectionError without an answer."""
_RETRY_S: Final = 3.0
_STEP_S: Final = 1.0
_IDLE_S: Final = 60.0
_RESTARTS: Final = 0.002
_ONE_DEVICE: Final = 0.7
_KICKS: Final = 0.3
_OFF: Final = (0, 0, 0, 5 * SECOND_US, -90 * SECOND_US, 2 * 3_600 * SECOND_US, -400 * DAY_US, 3 * DAY_US)


class Kind(msgspec.Struct, frozen=True):
    """How a reporter sends: at most ``batch`` events at once, and after a failure in 1 to 30 s.

    ``platforms`` are those that it runs on; a native SDK's callbacks have numbers, ``as_integers``.
    """

    batch: int
    platforms: tuple[str, ...]
    as_integers: bool = False


# The tap, a port, and Python. What they have in common is in Sender.
KINDS: Final = (
    Kind(250, ("Web",)),
    Kind(100, ("Android", "IPhoneOS", "Win"), as_integers=True),
    Kind(500, ("Linux",)),
)
_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 30.0


class Network:
    """Between the senders and Zimwatch. ``is_well`` is false while requests and answers are lost, late and doubled."""

    def __init__(self, take: Take, chance: Random, *, late_s: float = 20.0) -> None:
        self._take = take
        self._late_s = late_s
        self._chance = chance
        self.is_well = True

    async def send(self, body: bytes, sent_at_us: int | None) -> Appended:
        """The answer; ConnectionError where none came, whatever became of the request."""
        if self.is_well:
            return (await self._take(body, sent_at_us))[1]
        fate = self._chance.choice(("arrives", "lost", "answer lost", "late", "doubled"))
        if fate == "lost":
            await asyncio.sleep(self._chance.uniform(0, 2))
            raise ConnectionError(fate)
        if fate == "late":
            await asyncio.sleep(self._chance.uniform(0, self._late_s))
        if fate == "doubled":
            await self._take(body, sent_at_us)
        answer = (await self._take(body, sent_at_us))[1]
        if fate == "answer lost":
            raise ConnectionError(fate)
        return answer


class Sign(msgspec.Struct):
    """The last sign of life of a client, by the steady clock and by how long Zimwatch has accepted events.

    ``sure_us`` and ``sure_up_us``: when the last request was sent that was acknowledged. ``maybe_up_us``: when the last
    one may have arrived. ``beats``: a heartbeat was acknowledged.
    """

    sure_us: int | None = None
    sure_up_us: int = 0
    maybe_up_us: int = 0
    beats: bool = False


class Sender:
    """The devices of one user in one app each, with a clock that may be off, and one queue of what is not acknowledged.

    ``acknowledged`` are the ids that Zimwatch answered for, ``to_look_at`` those of the time since the last look;
    ``sent`` are all that were ever on the way. Outages, logouts and ends of tokens are minutes apart, and ``busy``
    times as many. With ``dies_for_s`` the app dies, and is opened again so much later.
    """

    def __init__(
        self,
        number: int,
        clock: Callable[[], int],
        up: Callable[[], int],
        network: Network,
        chance: Random,
        *,
        busy: float,
    ) -> None:
        self.user_id = f"user-{number:03}"
        self.devices = 1 if chance.random() < _ONE_DEVICE else chance.randint(2, 4)
        self._busy = busy
        self._kind = KINDS[number % len(KINDS)]
        self._failures = 0
        self._clock = clock
        self._up = up
        self._network = network
        self._chance = chance
        self.signs: dict[bytes, Sign] = defaultdict(Sign)
        self._off_us = chance.choice(_OFF)
        self._states_clock = chance.random() < 0.7
        self._waiting: list[WireEvent] = []
        self.sent: dict[str, WireEvent] = {}
        self.acknowledged: set[str] = set()
        self.to_look_at: list[str] = []
        self.dies_for_s = 0.0
        self._user = self._new_user()

    def _new_user(self) -> SimulatedUser:
        chance, now_us = self._chance, self._clock()
        behaviour = Behaviour(
            first_login=chance.uniform(0, 60),
            outage_every=self._every(None, 600.0, 3_000.0),
            outage_lasts=(1.0, chance.choice((20.0, 120.0, 500.0))),
            stays=self._every(None, 1_200.0, 9_000.0),
            away=chance.choice((5.0, 60.0, 300.0)),
            token_lives=self._every(None, 3_000.0, 900.0) or 86_400.0,
            renews=chance.random() < 0.5,
            refused=chance.choice((0.0, 0.0, 0.3)),
            gives_up=chance.choice((None, None, 100.0)),
        )
        clients = [
            SimulatedClient(
                app_id=APP_ID,
                user_id=self.user_id,
                device=Device(
                    platform=chance.choice(self._kind.platforms),
                    sdk_name="zego-zim-web",
                    sdk_version=chance.choice(("2.29.0", "2.11.0")),
                    app_version="1.0",
                    device_id=f"device-{chance.randrange(10)}",
                    as_integers=self._kind.as_integers,
                ),
                behaviour=behaviour,
                start_us=now_us,
                rng=chance,
            )
            for _ in range(self.devices)
        ]
        return SimulatedUser(clients, one_device=chance.random() < _KICKS)

    def _every(self, *seconds: float | None) -> float | None:
        """One of these, as often as this sender is busy."""
        drawn = self._chance.choice(seconds)
        return None if drawn is None else drawn / self._busy

    async def run(self) -> None:
        """Lives until it is cancelled."""
        while True:
            if self.dies_for_s:
                await asyncio.sleep(self.dies_for_s)
                self.dies_for_s, self._user = 0.0, self._new_user()
            for event in self._user.advance(self._clock()):
                self._record(event)
            if self._waiting and not await self._send():
                pause_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2**self._failures)
                self._failures += 1
                await asyncio.sleep(pause_s * self._chance.uniform(0.5, 1))
                continue
            if self._chance.random() < _RESTARTS:
                self._user = self._new_user()  # the app restarts; what is queued survives
            await asyncio.sleep(self._idle_s() + _STEP_S * self._chance.uniform(0.2, 2))

    def _idle_s(self) -> float:
        """Until something is due."""
        due = [client.due_us for client in self._user.clients if client.due_us is not None]
        return max(0.0, (min(due, default=0) - self._clock()) / SECOND_US) if due else _IDLE_S

    async def flush(self) -> None:
        """Sends what waits, until all of it is acknowledged."""
        while self._waiting:
            if not await self._send():
                await asyncio.sleep(_RETRY_S)

    def _record(self, event: WireEvent) -> None:
        if event["type"] == HEARTBEAT and any(one["type"] == HEARTBEAT for one in self._waiting):
            return
        if self._off_us:
            event["occurred_at"] = text(microseconds(event["occurred_at"]) + self._off_us)
        self._waiting.append(event)

    async def _send(self) -> bool:
        batch = self._waiting[: self._kind.batch]
        if self._chance.random() < 0.2:
            self._chance.shuffle(batch)
        # What was on the way before may be stored already, and is no sign of life when it comes again.
        again = {event["id"] for event in batch if event["id"] in self.sent and event["type"] != HEARTBEAT}
        for event in batch:
            self.sent[event["id"]] = event
        body = msgspec.json.encode(batch)
        signs = [self.signs[UUID(event["client_id"]).bytes] for event in batch]
        sent_us, sent_up_us = self._clock(), self._up()
        try:
            answer = await self._network.send(body, sent_us + self._off_us if self._states_clock else None)
        except ConnectionError:
            return False
        finally:
            for sign in signs:
                sign.maybe_up_us = self._up()
        for sign, event in zip(signs, batch, strict=True):
            if event["id"] not in again:
                sign.sure_us, sign.sure_up_us = sent_us, sent_up_us
            sign.beats |= event["type"] == HEARTBEAT
        self._failures = 0
        ids = {event["id"] for event in batch}
        self._waiting = [event for event in self._waiting if event["id"] not in ids]
        new = [event["id"] for event in batch if event["type"] != HEARTBEAT]
        self.acknowledged.update(new)
        self.to_look_at += new
        self._user.heartbeat_after(answer.heartbeat_after_s, self._clock())
        return True
