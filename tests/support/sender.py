"""Puts events into a remote sink until it is killed, and says the id of each one that is kept, a line each."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path

from sidecar.sdk import RemoteSink
from tests.support.wire import wire_event


async def main(address: str, folder: Path) -> None:
    client_id = str(uuid.uuid4())
    async with RemoteSink(address, folder=folder) as sink:
        for seq in range(1, 100_000):
            event = wire_event(client_id=client_id, seq=seq, user_id=f"alice-{client_id}")
            sink.put(event)
            sys.stdout.write(f"{event['id']}\n")
            sys.stdout.flush()
            await asyncio.sleep(0)


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
