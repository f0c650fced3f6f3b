"""A server in a process of its own that publishes changes without ingest, to measure the cost of the streams alone.

It prints its address, and publishes at the given rate until it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks import large
from sidecar import app, lifecycle, logs
from sidecar.settings import DatabaseSettings, LogSettings, ServerSettings, Settings
from sidecar.store import Store
from sidecar.store.values import Commit
from tests.support.process import DATABASE

COMMIT_USERS: Final = 500


def publish(store: Store, users: int, rate: int, stop: threading.Event) -> None:
    """Publishes a change of each user in turn, like the writer's thread after a commit."""
    names = [(large.APP_ID, f"user-{number:07}") for number in range(users)]
    begun, published = time.perf_counter(), 0
    while not stop.is_set():
        start = published % users
        store._publish(Commit(published, tuple(names[start : start + COMMIT_USERS])))  # noqa: SLF001 - as the writer does
        published += COMMIT_USERS
        time.sleep(max(0.0, begun + published / rate - time.perf_counter()))


async def serve(folder: Path, users: int, rate: int) -> None:
    """Until it is stopped."""
    database = DatabaseSettings(url=f"sqlite:///{folder / DATABASE}")
    settings = Settings(server=ServerSettings(port=0), database=database, logs=LogSettings(level="warning"))
    logs.configure(settings.logs)
    stop = lifecycle.stop_signal()
    async with app.running(settings, os.environ) as served:
        ended = threading.Event()
        thread = threading.Thread(target=publish, args=(served.store, users, rate, ended))
        thread.start()
        print(served.url, flush=True)
        await stop.wait()
        ended.set()
        await asyncio.to_thread(thread.join)


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("users", type=int)
    parser.add_argument("rate", type=int)
    options = parser.parse_args()
    lifecycle.run(serve(options.folder, options.users, options.rate))


if __name__ == "__main__":
    main()
