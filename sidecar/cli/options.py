"""Shared parts of the commands: options, the settings from them, and an open store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from sidecar import checks
from sidecar.alerting import HOLDINGS, AlertRetention
from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.clock import now_us
from sidecar.domain import app_ids
from sidecar.errors import SettingsError, ZimwatchError
from sidecar.settings import DatabaseSettings, Loaded, duration_us
from sidecar.settings import load as load_settings
from sidecar.settings import read as read_settings
from sidecar.store import Retention, Store, engines, schema
from sidecar.store.access.audit_retention import AuditRetention

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])
APP_ID: Final = click.IntRange(0, app_ids.LARGEST)
TOKEN_ID: Final = click.IntRange(0, schema.LARGEST)


class Duration(click.ParamType[int]):
    """``90d`` as microseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401, D102
        try:
            return duration_us(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class DurationText(click.ParamType[str]):
    """``90d``, checked."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401, D102
        Duration().convert(value, param, ctx)
        return str(value)


def settings_options(command: Command) -> Command:
    """Adds the options of the settings file and the database."""
    for option in (
        click.option("--database-url", help="sqlite:/// and the path of a file; default sqlite:///zimwatch.db."),
        click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml."),
    ):
        command = option(command)
    return command


def server_options(command: Command) -> Command:
    """Adds the options of the address to listen on."""
    for option in (
        click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one."),
        click.option("--host", help="Address to listen on; default 127.0.0.1."),
    ):
        command = option(command)
    return command


def load(config: Path | None, database_url: str | None, **server: object) -> Loaded:
    """The settings from every source; None stands for an option that was not given."""
    overrides = {"database.url": database_url, **{f"server.{key}": value for key, value in server.items()}}
    return load_settings(config, os.environ, overrides, RECEIVER_SETTINGS)


def load_to_serve(config: Path | None, database_url: str | None, **server: object) -> Loaded:
    """Like :func:`load`, with the checks of serving: SettingsError names all problems at once."""
    overrides = {"database.url": database_url, **{f"server.{key}": value for key, value in server.items()}}
    loaded, problems = read_settings(config, os.environ, overrides, RECEIVER_SETTINGS)
    problems += checks.problems(loaded.settings, os.environ)
    if problems:
        raise SettingsError(problems)
    return loaded


def existing(loaded: Loaded) -> Loaded:
    """Refuses a database that does not exist, which opening would create."""
    path = engines.location(loaded.settings.database.url)
    if not path.exists():
        raise ZimwatchError(f"There is no database {path}.")
    return loaded


def with_database(loaded: Loaded, url: str) -> Loaded:
    """The same settings with another database."""
    settings = msgspec.structs.replace(loaded.settings, database=DatabaseSettings(url=url))
    return msgspec.structs.replace(loaded, settings=settings)


def with_store(loaded: Loaded, work: Callable[[Store], Coroutine[Any, Any, T]], *, attach: bool = True) -> T:
    """Runs ``work`` on the store. With ``attach`` another process may be serving the database."""

    async def run() -> T:
        settings = loaded.settings
        store = Store.open(
            settings.database.url,
            clock=now_us,
            leases=settings.leases.leases(),
            retention=Retention.of(settings),
            expiring=[AlertRetention.of(settings), AuditRetention.of(settings)],
            holdings=HOLDINGS,
            export_spans=None,
            attach=attach,
        )
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
