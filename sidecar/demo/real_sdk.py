"""The one client of the demo that is not simulated: the real Web SDK, observed like that of any app.

Offline logins without any network: it is CONNECTED, loses the network, its token expires, and it logs in again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom
from typing import Final

from sidecar.clock import Clock
from sidecar.domain import sdk_words
from sidecar.domain.units import MINUTE_US
from sidecar.sdk import NOWHERE, Bridge, LoginConfig, RemoteSink, ZimError, observe
from sidecar.sdk.client.install import SdkUnavailableError, find, install
from sidecar.sdk.client.zim_client import ConnectionStateChanged
from sidecar.sdk.token04 import made_up

TOKEN_US: Final = MINUTE_US
AWAY_S: Final = 4.0
_DISCONNECTED: Final = sdk_words.STATES.index(sdk_words.DISCONNECTED)


async def live(
    endpoint: str, *, app_id: int, user_id: str, folder: Path, clock: Clock, environ: Mapping[str, str]
) -> None:
    """Runs until cancelled; ``folder`` is for the queue of events. SdkUnavailableError where the SDK cannot run."""
    try:
        installed = await find(environ)
    except SdkUnavailableError:
        installed = await install(environ)
    async with (
        RemoteSink(endpoint, folder=folder) as sink,
        Bridge(installed, network=NOWHERE, environ=environ) as bridge,
    ):
        client = bridge.create(app_id)
        observe(client, sink, app_version="demo", device_id="node-js")
        out = asyncio.Event()

        def changed(to: ConnectionStateChanged) -> None:
            if to.state == _DISCONNECTED:
                out.set()

        client.on_connection_state_changed(changed)
        client.on_sdk_lost(lambda _lost: out.set())
        while True:
            out.clear()
            token = made_up(clock() + TOKEN_US, SystemRandom())
            try:
                await client.login(user_id, LoginConfig(token=token, is_offline_login=True))
                await out.wait()
            except ZimError:  # the SDK's process has ended meanwhile
                pass
            await asyncio.sleep(AWAY_S)
