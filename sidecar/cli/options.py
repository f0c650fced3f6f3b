"""What the commands share: their options, the settings those give, and an open store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from sidecar.clock import now_us
from sidecar.errors import ZimwatchError
from sidecar.settings import Loaded, duration_us
from sidecar.settings import load as load_settings
from sidecar.store import Retention, Store
from sidecar.store.engine import path_of

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[int]):
    """``90d`` as microseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401, D102
        try:
            return duration_us(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def settings_options(command: Command) -> Command:
    """Adds where the settings and the database are."""
    for option in (
        click.option("--database-url", help="sqlite:/// and the path of a file; default sqlite:///zimwatch.db."),
        click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml."),
    ):
        command = option(command)
    return command


def server_options(command: Command) -> Command:
    """Adds where to listen."""
    for option in (
        click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one."),
        click.option("--host", help="Address to listen on; default 127.0.0.1."),
    ):
        command = option(command)
    return command


def load(config: Path | None, database_url: str | None, **server: object) -> Loaded:
    """The settings from every source; what is None on the command line was not given there."""
    overrides = {"database.url": database_url, **{f"server.{key}": value for key, value in server.items()}}
    return load_settings(config, os.environ, overrides)


def existing(loaded: Loaded) -> Loaded:
    """Refuses a database that is not there, where opening it would make an empty one."""
    path = path_of(loaded.settings.database.url)
    if not path.exists():
        raise ZimwatchError(f"There is no database {path}.")
    return loaded


def with_store(loaded: Loaded, work: Callable[[Store], Coroutine[Any, Any, T]], *, attach: bool = True) -> T:
    """What ``work`` gives. With ``attach`` another process may be serving the file meanwhile."""

    async def run() -> T:
        settings = loaded.settings
        store = Store.open(
            settings.database.url,
            clock=now_us,
            leases=settings.leases.leases(),
            retention=Retention.of(settings),
            export_spans=None,
            attach=attach,
        )
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
