"""A large database, filled through the store itself, so that its contents are those of a real server.

Most users have one client that logs in, drops, comes back and is kicked out; one in ten sends heartbeats and has fallen
silent; ``HEAVY`` has a hundred thousand events and ``MANY`` forty devices. The newest events go past the alert rules.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from sidecar.alerting import reaction_of
from sidecar.clock import now_us
from sidecar.domain.events import CONNECTION_STATE_CHANGED, HEARTBEAT, Event
from sidecar.domain.units import HOUR_US
from sidecar.settings import Settings
from sidecar.store import Store
from tests.support.databases import url_of

APP_ID: Final = 1_234_567_890
HEAVY: Final = "heavy"
MANY: Final = "many"
STEPS: Final = (
    ("CONNECTED", "SUCCESS"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("CONNECTED", "SUCCESS"),
    ("DISCONNECTED", "KICKED_OUT"),
    ("CONNECTED", "SUCCESS"),
    ("DISCONNECTED", "SUCCESS"),
)
_RARE: Final = "TOKEN_EXPIRED"
_DEVICES: Final = 40
PLATFORMS: Final = ("Web", "Android", "IPhoneOS", "Win")
_HEAVY_EVENTS: Final = 100_000
_RULED_EVENTS: Final = 60_000
_BATCH: Final = 5_000
_DONE: Final = "filled.json"


class Filled(msgspec.Struct, frozen=True):
    """The size of a database, and how long it took to write."""

    users: int
    events: int
    seconds: float


async def fill(folder: Path, users: int, events: int) -> Filled:
    """Creates a database of so many users and events in ``folder``, unless there is one already."""
    done = folder / _DONE
    if done.exists():
        found = msgspec.json.decode(done.read_bytes(), type=Filled)
        if (found.users, found.events) != (users, events):
            raise SystemExit(f"{folder} holds {found.events:,} events of {found.users:,} users; name another folder")
        return found
    begun = time.perf_counter()
    url = url_of(folder)
    ruled = min(_RULED_EVENTS, events // 10)
    invented = _Invented(users, events)
    store = Store.open(url, clock=now_us)
    end_us = now_us() - HOUR_US
    for batch in invented.batches(events - ruled, end_us - 24 * HOUR_US, end_us):
        await store.append(batch)
    await store.tend()
    await store.close()
    store = Store.open(url, clock=now_us, followers=[reaction_of(Settings())])
    for batch in invented.batches(ruled, at_us := now_us(), at_us):
        await store.append(batch)
    await store.close()
    filled = Filled(users, events, time.perf_counter() - begun)
    done.write_bytes(msgspec.json.encode(filled))
    return filled


class _Invented:
    """Events of a fleet, each user's in order, the users' in none; the same every time."""

    def __init__(self, users: int, events: int) -> None:
        self._rng = Random(1)  # noqa: S311 - the same every time
        self._users = users - 2
        self._seqs = [0] * users
        self._turn: Iterator[int] = iter(())
        # One of so many events is of the heavy user, and as many are of the one with many devices as it has a few each.
        self._heavy_every = max(2, events // min(_HEAVY_EVENTS, events // 100))
        self._made = 0

    def batches(self, count: int, begin_us: int, end_us: int) -> Iterator[list[Event]]:
        """The next ``count`` events, spread evenly over the time given."""
        for start in range(0, count, _BATCH):
            batch = []
            for place in range(start, min(count, start + _BATCH)):
                batch += self._next(begin_us + (end_us - begin_us) * place // count)
            yield batch

    def _next(self, at_us: int) -> list[Event]:
        """One event; before a client's first a heartbeat, so that it has the short lease."""
        self._made += 1
        if self._made % self._heavy_every == 1:
            return [self._event(self._users, HEAVY, self._made // self._heavy_every + 1, at_us)]
        if self._made % _BATCH == 2:  # noqa: PLR2004 - the place next to the heavy user's
            turn = self._made // _BATCH
            number = self._users + 1 + turn % _DEVICES
            return [self._event(number, MANY, turn // _DEVICES + 1, at_us, step=0)]
        user = next(self._turn, None)
        if user is None:
            order = list(range(self._users))
            self._rng.shuffle(order)
            self._turn = iter(order)
            user = next(self._turn)
        self._seqs[user] += 1
        event = self._event(user, f"user-{user:07}", self._seqs[user], at_us)
        if user % 10 == 0 and event.seq == 1:
            return [event, msgspec.structs.replace(event, type=HEARTBEAT, connection_event=None, extended_data=None)]
        return [event]

    def _event(self, number: int, user_id: str, seq: int, at_us: int, *, step: int | None = None) -> Event:
        logins, own = divmod(seq - 1 + number, len(STEPS))
        state, event = STEPS[own if step is None else step]
        if event == "LOGIN_INTERRUPTED" and number % 20:  # being offline for long causes an alert, which is rare
            state, event = STEPS[0]
        if event == "KICKED_OUT" and number % 10_000 == 7:  # noqa: PLR2004
            event = _RARE
        client = (number + 1).to_bytes(16, "big")
        return Event(
            id=self._rng.randbytes(16),
            type=CONNECTION_STATE_CHANGED,
            occurred_at_us=at_us,
            received_at_us=at_us,
            moment_us=at_us,
            client_id=client,
            seq=seq,
            session_id=(number << 64 | logins + 1).to_bytes(16, "big"),
            app_id=APP_ID,
            user_id=user_id,
            platform=PLATFORMS[number % len(PLATFORMS)],
            sdk_name="zego-zim-web",
            sdk_version="2.29.0" if number % 1_000 else "2.9.0",
            app_version="4.1.0",
            connection_state=state,
            connection_event=event,
            extended_data="{}",
        )
