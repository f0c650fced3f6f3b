"""The least that could take events, in a process of its own, for the latency of answers beside it.

``serve`` is an aiohttp application whose one handler commits one prepared row, with ``synchronous=FULL``, and answers.
``commit`` has no HTTP: rows come at a given rate, and a thread commits all that wait in one transaction.
"""

from __future__ import annotations

import argparse
import json
import pickle
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks import bare

ANSWER = b'{"accepted":1}'


def serve(table: bare.Table, rows: Iterator[tuple[Any, ...]], port: int) -> None:
    """Answers ``POST /v1/events`` and ``GET /readyz`` until it is terminated."""
    import uvloop  # noqa: PLC0415 - not needed to import this module

    async def accept(request: web.Request) -> web.Response:
        await request.read()
        table.commit([next(rows)])
        return web.Response(body=ANSWER, content_type="application/json")

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/v1/events", accept), web.get("/readyz", ready)])
    loop = uvloop.new_event_loop()
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


def group_commit(
    table: bare.Table, rows: Iterator[tuple[Any, ...]], *, batch: int, rate: float, count: int
) -> list[float]:
    """Seconds from the moment at which each batch is due until it is committed."""
    waiting: queue.SimpleQueue[tuple[float, list[tuple[Any, ...]]] | None] = queue.SimpleQueue()
    took: list[float] = []

    def write() -> None:
        is_last = False
        while not is_last:
            first = waiting.get()
            taken = [first]
            while not waiting.empty():
                taken.append(waiting.get())
            is_last = taken[-1] is None
            works = [one for one in taken if one is not None]
            table.commit([row for _, some in works for row in some])
            done = time.perf_counter()
            took.extend(done - due for due, _ in works)

    writer = threading.Thread(target=write)
    prepared = [[next(rows) for _ in range(batch)] for _ in range(count)]
    writer.start()
    began = time.perf_counter()
    for number, some in enumerate(prepared):
        due = began + number / rate
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        waiting.put((due, some))
    waiting.put(None)
    writer.join()
    return took


def main() -> None:
    """Runs one of them over a table in ``--folder``, with rows like the pickled ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["serve", "commit"])
    parser.add_argument("rows", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    prepared = pickle.loads(options.rows.read_bytes())  # noqa: S301 - this benchmark's own file
    table = bare.Table(options.folder, options.what, prepared, 0)
    rows = bare.like(prepared)
    if options.what == "serve":
        serve(table, rows, options.port)
    else:
        took = group_commit(table, rows, batch=options.batch, rate=options.rate, count=options.count)
        print(json.dumps(took), flush=True)
    table.close()


if __name__ == "__main__":
    main()
