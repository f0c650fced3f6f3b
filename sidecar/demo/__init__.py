"""``zimwatch demo``: the server on a throw-away database, with a made-up day in it and a simulated fleet of clients."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from sidecar import app, lifecycle
from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.clock import now_us
from sidecar.demo import fleet, history, personas, real_sdk
from sidecar.demo.day import day
from sidecar.demo.devices import APP_ID, APP_NAMES
from sidecar.demo.person import Person
from sidecar.reload import Reload
from sidecar.sdk import SdkUnavailableError
from sidecar.settings import DatabaseSettings, Loaded, load
from sidecar.system.files import THROW_AWAY

Say = Callable[[str], None]


def settings(environ: Mapping[str, str], *, port: int | None) -> Loaded:
    """The given settings, but for the address and the database. Unless set: warnings only, and a name for the app."""
    loaded = load(None, environ, {"server.host": "127.0.0.1", "server.port": port}, RECEIVER_SETTINGS)
    own = loaded.settings
    if loaded.sources["logs.level"] == "default":
        own = msgspec.structs.replace(own, logs=msgspec.structs.replace(own.logs, level="warning"))
    if loaded.sources["apps.names"] == "default":
        own = msgspec.structs.replace(own, apps=msgspec.structs.replace(own.apps, names=APP_NAMES))
    return msgspec.structs.replace(loaded, settings=own)


async def live(loaded: Loaded, *, users: int, seed: int, with_sdk: bool, environ: Mapping[str, str], say: Say) -> None:
    """Serves the demo until SIGTERM or SIGINT, then deletes its database. ``say`` prints a line."""
    stop = lifecycle.stop_signal()
    with tempfile.TemporaryDirectory(prefix="zimwatch-demo-") as folder:
        database = DatabaseSettings(url=f"sqlite:///{Path(folder) / 'demo.db'}")
        own = msgspec.structs.replace(loaded, settings=msgspec.structs.replace(loaded.settings, database=database))
        made = day(users - with_sdk, end_us=now_us(), seed=seed, without=[personas.REAL_USER] if with_sdk else [])
        await history.write(made, own.settings)
        system = app.System(files=THROW_AWAY)
        async with app.running(own.settings, environ, system=system, reload=Reload(own)) as served:
            say(f"The dashboard is at {served.url}/ (Ctrl-C ends the demo and deletes its database)")
            people = made.people
            work = [asyncio.create_task(fleet.live(people, f"{served.url}/v1/events", clock=now_us), name="fleet")]
            if with_sdk:
                real = _alice(people, served.url, Path(folder), environ, say)
                work.append(asyncio.create_task(real, name="real SDK"))
            try:
                await _until(stop, work)
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)


async def _until(stop: asyncio.Event, work: Sequence[asyncio.Task[None]]) -> None:
    """Waits for ``stop``; raises an error of ``work``."""
    stopped = asyncio.create_task(stop.wait(), name="stop")
    waiting: set[asyncio.Task[Any]] = {stopped, *work}
    try:
        while not stopped.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        stopped.cancel()


async def _alice(people: list[Person], url: str, folder: Path, environ: Mapping[str, str], say: Say) -> None:
    """The real SDK as alice, or a simulated alice once it cannot run."""
    try:
        await real_sdk.live(
            url,
            app_id=APP_ID,
            user_id=personas.REAL_USER,
            folder=folder / "alice",
            clock=now_us,
            environ=environ,
        )
    except SdkUnavailableError as error:
        say(f"alice is simulated as well, because {error}.")
        people.append(personas.alice_from_now(now_us(), Random()))  # noqa: S311 - a simulation's chance, not a secret
