"""What the findings of a user cost: CPU beside reading the user's detail and events, in the store alone."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from sidecar.alerting import user_life
from sidecar.domain import findings
from sidecar.domain.events import Event
from sidecar.domain.lease import Now
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.users import user_reads
from tests.support.events import APP_ID, BEGIN_US
from tests.support.lives import Device

# The goal.
TARGET_MS: Final = 1
ROUNDS: Final = 7
_TIMES: Final = 50


def typical(user_id: str) -> list[Event]:
    """Three sessions of a day, each with a short outage; the token is renewed once."""
    device = Device(user_id)
    events = []
    for at in (0, 3_000, 6_000):
        events += [
            device.event("logout", at),
            device.says("DISCONNECTED", "SUCCESS", at),
            *device.logs_in(at + 100),
            device.says("RECONNECTING", "LOGIN_INTERRUPTED", at + 600),
            device.says("CONNECTED", "SUCCESS", at + 610),
        ]
    return [*events, device.warned(6_700), device.renews(6_701)]


def kicked(user_id: str) -> list[Event]:
    """The same, kicked out by another device, and calls that fail since."""
    events = typical(user_id)
    device, other = Device(user_id), Device(user_id, "laptop")
    device.seq, device.session_id = len(events), events[-1].session_id
    return [*events, *other.logs_in(6_900), device.kicked(6_900), *(device.fails(6_901 + at) for at in range(4))]


def devices(user_id: str) -> list[Event]:
    """40 devices that lose their connection and return."""
    fleet = [Device(user_id, f"device {number}") for number in range(40)]
    events = [event for at, device in enumerate(fleet) for event in device.logs_in(at)]
    for device in fleet:
        events += [device.says("RECONNECTING", "LOGIN_INTERRUPTED", 6_900), device.says("CONNECTED", "SUCCESS", 6_910)]
    return events


def day(user_id: str) -> list[Event]:
    """One device, whose connection drops each half minute."""
    device = Device(user_id)
    events = device.logs_in(3_000)
    for at in range(99):
        lost = 3_010 + at * 30
        events += [
            device.says("RECONNECTING", "LOGIN_INTERRUPTED", lost),
            device.says("CONNECTED", "SUCCESS", lost + 5),
        ]
    return events


def failing(user_id: str) -> list[Event]:
    """An app that calls without a login, 1,000 times."""
    device = Device(user_id)
    return [device.fails(6_000 + at) for at in range(1_000)]


def fighting(user_id: str) -> list[Event]:
    """Two devices that kick each other out 50 times."""
    both = (Device(user_id), Device(user_id, "laptop"))
    events = both[0].logs_in(0)
    for time_ in range(50):
        events += [*both[1 - time_ % 2].logs_in(5_000 + time_ * 40), both[time_ % 2].kicked(5_000 + time_ * 40)]
    return events


LIVES: Final[dict[str, Callable[[str], list[Event]]]] = {
    "a typical user": typical,
    "one that was kicked out": kicked,
    "40 devices": devices,
    "200 events of one device": day,
    "1,000 calls that failed": failing,
    "50 kicks to and fro": fighting,
}


async def measure() -> dict[str, Any]:
    """CPU ms of each life: of its findings, and of the reads before; medians of the rounds."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        now_us = BEGIN_US + 7_200 * SECOND_US
        store = Store.open(f"sqlite:///{Path(name) / 'zimwatch.db'}", clock=lambda: now_us)
        for user_id, events_of in LIVES.items():
            await store.append(events_of(user_id))
        for user_id in LIVES:
            found[user_id] = await store.read(_measured, user_id, store.now(), now_us)
        await store.close()
    return found


def _measured(connection: sa.Connection, user_id: str, now: Now, now_us: int) -> dict[str, float]:
    detail = user_reads.user(connection, APP_ID, user_id, now)
    if detail is None:
        raise RuntimeError(f"{user_id} is not in the store")
    stored = user_life.newest_events(connection, detail, now_us)
    life = user_life.life(connection, detail, stored, now_us)

    def read() -> Sequence[Any]:
        user_reads.user(connection, APP_ID, user_id, now)
        return user_life.newest_events(connection, detail, now_us)

    read_ms = _ms(read)
    find_ms = _ms(lambda: findings.find(user_life.life(connection, detail, stored, now_us)))
    return {
        "beside the goal": find_ms / TARGET_MS,
        "beside the reads": find_ms / read_ms,
        "findings ms": find_ms,
        "reads ms": read_ms,
        "events": len(stored),
        "findings": len(findings.find(life)),
    }


def _ms(work: Callable[[], Any]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(_TIMES):
            work()
        rounds.append((time.process_time() - begun) / _TIMES * 1_000)
    return statistics.median(rounds)
