"""Sends prepared bodies from a process of its own, and prints the results as one JSON object.

It speaks HTTP/1.1 over bare sockets, because on two cores what the sender costs is taken from what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

EVENTS = "/v1/events"


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] | None = None
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collects a response until its Content-Length."""
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length and self.answer is not None:
            self.received = b""
            self.answer.set_result(head.split(b" ", 2)[1] + b" " + body)

    def connection_lost(self, _error: Exception | None) -> None:
        """Fails the request in progress."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("the server hung up"))

    async def ask(self, request: list[bytes]) -> bytes:
        """The status and the body of the answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.writelines(request)  # type: ignore[attr-defined]
        return await self.answer


async def run(
    url: str, bodies: list[bytes], *, token: str, connections: int, rate: float | None, path: str
) -> dict[str, object]:
    """Each connection sends once it got its response; with ``rate`` (bodies a second) not before its time."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 80)
    waiting = iter(enumerate(bodies))
    latencies: list[float] = []
    accepted = 0
    is_ingest = path == EVENTS
    head = (
        f"{'POST' if is_ingest else 'GET'} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    began = time.perf_counter()

    async def sender() -> None:
        nonlocal accepted
        _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
        for number, body in waiting:
            due = time.perf_counter()
            if rate is not None:
                due = began + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
            # The delay after its scheduled time counts: no coordinated omission.
            answer = await connection.ask([head, str(len(body)).encode(), b"\r\n\r\n", body])
            latencies.append(time.perf_counter() - due)
            if not answer.startswith(b"200 "):
                raise RuntimeError(answer[:300].decode())
            if is_ingest:
                accepted += json.loads(answer[4:])["accepted"]

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(sender())
    return {"seconds": time.perf_counter() - began, "accepted": accepted, "latencies": latencies}


def main() -> None:
    """Reads the bodies (pickled), waits for a line on stdin, sends, and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--token", default="")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--path", default=EVENTS)
    options = parser.parse_args()
    bodies = pickle.loads(options.bodies.read_bytes())  # noqa: S301 - this benchmark's own file
    print("ready", flush=True)
    sys.stdin.readline()
    import uvloop  # noqa: PLC0415 - not needed to import this module

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(
            run(
                options.url,
                bodies,
                token=options.token,
                connections=options.connections,
                rate=options.rate,
                path=options.path,
            )
        )
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
