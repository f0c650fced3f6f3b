"""A program that starts the bridge, says its child's process id, and waits to be killed."""

from __future__ import annotations

import asyncio
import os
import sys

from sidecar.sdk import NOWHERE, Bridge
from sidecar.sdk.client.install import find


async def main() -> None:
    async with Bridge(await find(os.environ), network=NOWHERE, environ=os.environ) as bridge:
        sys.stdout.write(f"{bridge.pid}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main())
