"""A fleet of clients in a process of its own: they log in, send heartbeats as requested, log out, or fall silent.

Arguments: how many are live at a time, and for how many seconds they come. Reads the server's address from standard
input, a line at the start and another whenever it has moved. Writes a line of JSON for each client that fell silent:
its user, when its last sign of life was sent and acknowledged, and for how long it may be silent then; and one for each
client that this process let wait for longer than that, because the machine is too busy: ``{"late": user}``.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import sys
import time
import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

import aiohttp

BATCH = 20
LEASE_S = 45
CONNECTIONS = 16
# The shares of clients that fall silent, and that log out and are replaced.
SILENT, LEAVES = 0.1, 0.2


class Client:
    """``ends_s``: when it falls silent or logs out, by the monotonic clock; None for one that stays."""

    def __init__(self, number: int, ends_s: float | None, *, is_silent: bool) -> None:
        self.id = str(uuid.uuid4())
        self.user_id = f"{'silent' if is_silent else 'live'}-{number}"
        self.ends_s = ends_s
        self.is_silent = is_silent
        self.seq = 0
        self.lease_s = LEASE_S
        self.sent_s = self.acknowledged_s = 0.0

    def event(self, kind: str, **fields: object) -> dict[str, Any]:
        if kind != "heartbeat":
            self.seq += 1
        return {
            "id": str(uuid.uuid4()),
            "type": kind,
            "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client_id": self.id,
            "seq": max(1, self.seq),
            "app_id": 1,
            "user_id": self.user_id,
            **fields,
        }


class Fleet:
    """All clients, and when each is due."""

    def __init__(self, clients: int, seconds: float) -> None:
        self.chance = Random(11)  # noqa: S311 - a simulation's
        self.clients, self.seconds = clients, seconds
        self.numbers = itertools.count()
        self.due: list[tuple[float, int, Client]] = []
        self.url = ""
        self.began_s = time.monotonic()

    def comes(self, at_s: float) -> None:
        """Another client, due then."""
        number, kind = next(self.numbers), self.chance.random()
        ends_s = at_s + self.chance.uniform(0.02, 0.35) * self.seconds if kind < SILENT + LEAVES else None
        heapq.heappush(self.due, (at_s, number, Client(number, ends_s, is_silent=kind < SILENT)))

    async def live(self) -> None:
        """Until the seconds have passed."""
        for number in range(self.clients):
            self.comes(self.began_s + 0.25 * self.seconds * number / self.clients)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            await asyncio.gather(*(self.send(http) for _ in range(CONNECTIONS)))

    async def send(self, http: aiohttp.ClientSession) -> None:
        """Sends what is due, a few clients a request, until all of it is acknowledged."""
        while (now_s := time.monotonic()) < self.began_s + self.seconds:
            batch: list[tuple[int, Client]] = []
            events: list[dict[str, Any]] = []
            while self.due and self.due[0][0] <= now_s and len(batch) < BATCH:
                _, number, client = heapq.heappop(self.due)
                if client.seq and client.ends_s is not None and client.ends_s <= now_s:
                    self.ends(client, events)
                    continue
                if client.seq == 0:
                    events.append(client.event("connection_state_changed", state=2, event=0))
                events.append(client.event("heartbeat", state=2))
                batch.append((number, client))
            if not events:
                await asyncio.sleep(0.02)
                continue
            sent_s, after_s = await self.deliver(http, events)
            acknowledged_s = time.time()
            for number, client in batch:
                if client.sent_s and acknowledged_s > client.sent_s + client.lease_s - 1:
                    self.say(late=client.user_id)
                client.sent_s, client.acknowledged_s = sent_s, acknowledged_s
                client.lease_s = max(LEASE_S, 3 * after_s)
                wait_s = after_s * self.chance.uniform(0.8, 1)
                heapq.heappush(self.due, (time.monotonic() + wait_s, number, client))

    def ends(self, client: Client, events: list[dict[str, Any]]) -> None:
        """It falls silent, or logs out and another one comes."""
        if not client.is_silent:
            events.append(client.event("logout"))
            self.comes(time.monotonic())
            return
        self.say(
            user=client.user_id, sent_s=client.sent_s, acknowledged_s=client.acknowledged_s, lease_s=client.lease_s
        )

    def say(self, **line: object) -> None:
        sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()

    async def deliver(self, http: aiohttp.ClientSession, events: list[dict[str, Any]]) -> tuple[float, int]:
        """When it was sent, and the interval that the answer gives."""
        while True:
            sent_s = time.time()
            try:
                async with http.post(f"{self.url}/v1/events", json=events) as response:
                    answer = await response.json()
                    if response.ok:
                        return sent_s, answer["heartbeat_after_s"]
            except (aiohttp.ClientError, TimeoutError):
                pass  # it is being restarted
            await asyncio.sleep(self.chance.uniform(0.2, 1))


async def main(clients: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    fleet = Fleet(clients, seconds)

    def read() -> None:
        if line := sys.stdin.readline().strip():
            fleet.url = line

    await loop.run_in_executor(None, read)
    loop.add_reader(sys.stdin, read)
    await fleet.live()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
