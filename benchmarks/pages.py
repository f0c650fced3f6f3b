"""How fast pages are at the server, and how soon a change is on the pages that are open.

``python -m benchmarks.pages [--users 1000000] [--events 10000000] [--seconds 30]``. The first part fills a database
through the real store and reads each kind of page over HTTP; the second holds 200 pages open while 2,000 events a
second come in, and measures from the moment an event is sent until the page has been told.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec

from sidecar.clock import now_us
from sidecar.domain.events import CONNECTION_STATE_CHANGED, Event
from sidecar.store import Store
from tests.support.process import DATABASE, serving

APP_ID: Final = 1_234_567_890
BATCH: Final = 5_000
DAY_US: Final = 86_400_000_000
ROUNDS: Final = 40
STEPS: Final = (
    ("CONNECTED", "SUCCESS"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("CONNECTED", "SUCCESS"),
    ("DISCONNECTED", "KICKED_OUT"),
    ("CONNECTED", "SUCCESS"),
    ("DISCONNECTED", "SUCCESS"),
)
PLATFORMS: Final = ("Web", "Android", "IPhoneOS", "Win")

OPEN: Final = {"user": 100, "list": 50, "overview": 50}
EVENTS_A_SECOND: Final = 2_000
REQUESTS_A_SECOND: Final = 40
TARGET_MS: Final = {"pages": 100, "live": 1_000}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def invented(users: int, events: int, end_us: int) -> Iterator[list[Event]]:
    """``events`` of ``users`` over the last day in batches: each logs in, drops and comes back, in a shuffled order."""
    rng = Random(1)  # noqa: S311 - the same every time
    order = list(range(users))
    seq = [0] * users
    done = 0
    while done < events:
        rng.shuffle(order)
        for start in range(0, min(users, events - done), BATCH):
            some = order[start : min(start + BATCH, events - done)]
            batch = []
            for place, user in enumerate(some):
                seq[user] += 1
                state, event = STEPS[(seq[user] - 1) % len(STEPS)]
                at_us = end_us - DAY_US + DAY_US * (done + start + place) // events
                batch.append(
                    Event(
                        id=rng.randbytes(16),
                        type=CONNECTION_STATE_CHANGED,
                        occurred_at_us=at_us,
                        received_at_us=at_us,
                        client_id=uuid.UUID(int=user + 1).bytes,
                        seq=seq[user],
                        app_id=APP_ID,
                        user_id=f"user-{user:07}",
                        platform=PLATFORMS[user % len(PLATFORMS)],
                        sdk_version="2.29.0" if user % 1_000 else "2.9.0",
                        app_version="4.1.0",
                        connection_state=state,
                        connection_event=event,
                        extended_data="",
                    )
                )
            yield batch
        done += min(users, events - done)


async def fill(folder: Path, users: int, events: int) -> None:
    """Fills the database as the server would."""
    store = Store.open(f"sqlite:///{folder / DATABASE}", clock=now_us)
    begun = time.perf_counter()
    for batch in invented(users, events, now_us()):
        await store.append(batch)
    print(f"{events:,} events of {users:,} users stored in {time.perf_counter() - begun:.0f} s")
    await store.close()


async def read_pages(address: str, users: int) -> None:
    """The server's time for each kind of page, over one connection."""
    some = f"user-{users // 2:07}"
    yesterday = datetime.fromtimestamp(time.time() - 3_600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pages = {
        "overview": "/",
        "users": "/users",
        "users, offline": "/users?status=offline",
        "users, oldest first": "/users?order=oldest",
        "users by id": "/users?order=id",
        "users, exact id": f"/users?q={some}&match=exact",
        "users, prefix": f"/users?q={some[:-2]}&match=prefix",
        "users, substring": f"/users?q={some[-4:]}",
        "users, nothing like it": "/users?q=zzzzzz",
        "users, kicked out": "/users?reason=KICKED_OUT",
        "users, rare SDK": "/users?sdk=2.9.0&token=1h",
        "users, Android and unconfirmed": "/users?platform=Android&unconfirmed=true",
        "users, 200 pasted ids": "/users?ids="
        + quote("\n".join(f"user-{n:07}" for n in range(0, users, users // 200))),
        "users an hour ago": f"/users?as_of={yesterday}",
        "one user": f"/users/{APP_ID}/{some}",
        "one user an hour ago": f"/users/{APP_ID}/{some}?as_of={yesterday}",
        "settings": "/settings",
    }
    async with aiohttp.ClientSession() as http:
        for name, path in pages.items():
            took = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                async with http.get(address + path) as response:
                    await response.read()
                    response.raise_for_status()
                took.append((time.perf_counter() - begun) * 1_000)
            p95 = percentile(took, 0.95)
            late = "" if p95 < TARGET_MS["pages"] else "  more than it should be"
            print(f"  {name:<32} p50 {statistics.median(took):6.1f} ms   p95 {p95:6.1f} ms{late}")


class Watched:
    """When each marked event was sent, and how long pages took to show it."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.took: dict[str, list[float]] = {kind: [] for kind in OPEN}
        self.messages: dict[str, int] = dict.fromkeys(OPEN, 0)


async def look(http: aiohttp.ClientSession, address: str, kind: str, number: int, watched: Watched) -> None:
    """One open page."""
    path = {"user": f"/users/{APP_ID}/watched-{number}", "list": f"/users?q=watched-{number % 10}&col=version"}.get(
        kind, "/"
    )
    seen = ""
    async with http.get(f"{address}/live{path}") as response:
        while line := await response.content.readline():
            if line == b"\n":
                watched.messages[kind] += 1
            place = line.find(b"mark-")
            if kind == "overview" or place < 0:
                continue
            mark = line[place : place + 13].decode()
            if mark > seen and mark in watched.sent:
                watched.took[kind].append(time.perf_counter() - watched.sent[mark])
                seen = mark


async def send(http: aiohttp.ClientSession, address: str, seconds: float, watched: Watched) -> float:
    """2,000 events a second, of a crowd and of those who are watched; how many a second it really was."""
    rng = Random(2)  # noqa: S311 - the same every time
    a_request = EVENTS_A_SECOND // REQUESTS_A_SECOND
    begun, sent, seq = time.perf_counter(), 0, 0
    while (passed := time.perf_counter() - begun) < seconds:
        seq += 1
        mark = f"mark-{seq:08}"
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        batch = []
        for place in range(a_request):
            watches = place == 0
            user = f"watched-{rng.randrange(OPEN['user'])}" if watches else f"crowd-{rng.randrange(20_000)}"
            batch.append(
                {
                    "id": str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
                    "type": CONNECTION_STATE_CHANGED,
                    "occurred_at": at,
                    "client_id": str(uuid.uuid5(uuid.NAMESPACE_OID, user)),
                    "seq": seq,
                    "app_id": APP_ID,
                    "user_id": user,
                    "app_version": mark if watches else "4.1.0",
                    "state": rng.choice((2, 3)),
                    "event": 0,
                    "extended_data": mark if watches else "",
                }
            )
        watched.sent[mark] = time.perf_counter()
        async with http.post(f"{address}/v1/events", data=msgspec.json.encode(batch), headers=JSON) as answer:
            answer.raise_for_status()
        sent += a_request
        await asyncio.sleep(max(0.0, begun + sent / EVENTS_A_SECOND - time.perf_counter()))
    return sent / passed


JSON: Final = {"Content-Type": "application/json"}


async def open_pages(address: str, seconds: float) -> None:
    """How soon a change is on an open page while many others are open and much comes in."""
    watched = Watched()
    options = {"timeout": aiohttp.ClientTimeout(total=None), "read_bufsize": 1 << 22}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, **options) as http:  # type: ignore[arg-type]
        pages = [
            asyncio.create_task(look(http, address, kind, number, watched))
            for kind, count in OPEN.items()
            for number in range(count)
        ]
        await asyncio.sleep(2)
        rate = await send(http, address, seconds, watched)
        await asyncio.sleep(2)
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
    print(f"{sum(OPEN.values())} pages open, {rate:,.0f} events a second for {seconds:.0f} s")
    for kind, took in watched.took.items():
        told = f"{watched.messages[kind]:,} messages"
        if took:
            p50, p95 = statistics.median(took) * 1_000, percentile(took, 0.95) * 1_000
            late = "" if p95 < TARGET_MS["live"] else "  more than it should be"
            print(f"  {kind:<10} p50 {p50:6.0f} ms   p95 {p95:6.0f} ms   of {len(took):,} changes, {told}{late}")
        else:
            print(f"  {kind:<10} {told}")


async def main() -> None:
    """Both parts, each on a database of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as folder:
        async with serving(Path(folder)) as (address, _):
            await open_pages(address, given.seconds)
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as folder:
        await fill(Path(folder), given.users, given.events)
        async with serving(Path(folder)) as (address, _):
            await read_pages(address, given.users)


if __name__ == "__main__":
    asyncio.run(main())
