"""The command ``zimwatch``. Errors of ours are one sentence on stderr: exit 2 for the settings, 1 for the rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from sidecar import app, demo, logs
from sidecar.api.json import time_text
from sidecar.clock import now_us
from sidecar.errors import SettingsError, ZimwatchError
from sidecar.settings import MASK, Loaded, duration_us, load, without_password
from sidecar.store import Store
from sidecar.store.engine import path_of

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

SCOPES: Final = ("ingest", "read", "write")
EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


class _Sentences(click.Group):
    """Turns errors of ours into sentences, so that nobody meets a traceback for a wrong setting or a taken port."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for problem in error.problems:
                click.echo(f"zimwatch: {problem}", err=True)
            ctx.exit(EXIT_SETTINGS)
        except ZimwatchError as error:
            click.echo(f"zimwatch: {error}", err=True)
            ctx.exit(EXIT_FAILED)


class _Duration(click.ParamType[int]):
    """``90d`` as microseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        try:
            return duration_us(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _settings_options(command: Command) -> Command:
    for option in (
        click.option("--database-url", help="sqlite:/// and the path of a file; default sqlite:///zimwatch.db."),
        click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml."),
    ):
        command = option(command)
    return command


def _server_options(command: Command) -> Command:
    for option in (
        click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one."),
        click.option("--host", help="Address to listen on; default 127.0.0.1."),
    ):
        command = option(command)
    return command


def _load(config: Path | None, database_url: str | None, **server: object) -> Loaded:
    overrides = {"database.url": database_url, **{f"server.{key}": value for key, value in server.items()}}
    return load(config, os.environ, overrides)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("zimwatch"), prog_name="zimwatch")
def main() -> None:
    """Zimwatch: who is online, offline or not logged in on ZEGOCLOUD ZIM, and why."""


@main.command()
@_settings_options
@_server_options
def serve(config: Path | None, database_url: str | None, host: str | None, port: int | None) -> None:
    """Serve the sidecar and its dashboard."""
    settings = _load(config, database_url, host=host, port=port).settings
    logs.configure(settings.logs)
    app.run(app.until_stopped(settings, os.environ, lambda served: click.echo(f"Zimwatch is at {served.url}/")))


@main.command("demo")
@click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one.")
@click.option("--users", type=click.IntRange(0, 5_000), default=200, show_default=True, help="How many users.")
@click.option("--sdk/--no-sdk", "with_sdk", default=True, help="Run the real Web SDK for alice, if Node.js is there.")
def demo_(port: int | None, users: int, *, with_sdk: bool) -> None:
    """Show it at work: a throw-away database and a live fleet of clients."""
    settings = demo.settings(os.environ, port=port)
    logs.configure(settings.logs)
    app.run(demo.live(settings, users=users, with_sdk=with_sdk, environ=os.environ, say=click.echo))


@main.command("check-config")
@_settings_options
@_server_options
def check_config(config: Path | None, database_url: str | None, host: str | None, port: int | None) -> None:
    """Check the settings and print what is in force, secrets masked."""
    for key, value, source in _load(config, database_url, host=host, port=port).shown():
        click.echo(f"{key} = {value}  # {source}")
    for name in sorted(name for name in os.environ if name.startswith("OTEL_")):
        value = MASK if "HEADERS" in name else without_password(os.environ[name])
        click.echo(f"# {name}={value}")


@main.group()
def db() -> None:
    """Look after the database."""


@db.command()
@_settings_options
def upgrade(config: Path | None, database_url: str | None) -> None:
    """Bring the tables up to date, or make them."""
    path = _with_store(_load(config, database_url), _path, attach=False)
    click.echo(f"{path} is up to date.")


@db.command()
@_settings_options
def check(config: Path | None, database_url: str | None) -> None:
    """Look for damage, also while it is being served; exits 1 and says what is broken."""
    problems = _with_store(_existing(_load(config, database_url)), Store.check)
    if problems:
        raise ZimwatchError("\n".join(["The database is broken; restore a backup.", *problems]))
    click.echo("The database is sound.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@_settings_options
def backup(file: Path, config: Path | None, database_url: str | None) -> None:
    """Copy the database to FILE, also while it is being served."""
    _with_store(_existing(_load(config, database_url)), lambda store: store.backup(file))
    click.echo(f"The database is copied to {file}.")


@db.command()
@_settings_options
def rebuild(config: Path | None, database_url: str | None) -> None:
    """Make users, clients and counts anew from the event log; not while it is being served."""
    count = _with_store(_existing(_load(config, database_url)), Store.rebuild, attach=False)
    click.echo(f"All is made anew from {count} events.")


@main.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command()
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="What it allows.")
@click.option("--app-id", type=click.IntRange(min=0), help="Only for this ZEGO AppID; default every one.")
@click.option("--expires", type=_Duration(), metavar="DURATION", help="How long it is good for, such as 90d.")
@_settings_options
def create(scope: str, app_id: int | None, expires: int | None, config: Path | None, database_url: str | None) -> None:
    """Print a new token's secret, which is shown this once."""
    expires_at_us = None if expires is None else now_us() + expires

    async def work(store: Store) -> str:
        _, secret = await store.create_token(scope, app_id, expires_at_us)
        return secret

    click.echo(_with_store(_load(config, database_url), work))


@token.command("list")
@_settings_options
def list_(config: Path | None, database_url: str | None) -> None:
    """List the tokens, without their secrets."""
    tokens = _with_store(_load(config, database_url), Store.tokens)
    click.echo(f"{'id':<5} {'scope':<7} {'app':<12} {'begins':<12} {'expires':<25} state")
    for found in tokens:
        state = "revoked" if found.revoked_at_us is not None else "good"
        if state == "good" and found.expires_at_us is not None and found.expires_at_us <= now_us():
            state = "expired"
        every = "every" if found.app_id is None else str(found.app_id)
        expires = "never" if found.expires_at_us is None else time_text(found.expires_at_us)
        click.echo(f"{found.id:<5} {found.scope:<7} {every:<12} {found.hint:<12} {expires:<25} {state}")


@token.command()
@click.argument("token_id", metavar="ID", type=int)
@_settings_options
def revoke(token_id: int, config: Path | None, database_url: str | None) -> None:
    """Revoke the token with this ID."""
    if not _with_store(_load(config, database_url), lambda store: store.revoke_token(token_id)):
        raise ZimwatchError(f"There is no token {token_id} to revoke; `zimwatch token list` shows them.")
    click.echo(f"Token {token_id} is revoked.")


def _existing(loaded: Loaded) -> Loaded:
    """Refuses a database that is not there, where opening it would make an empty one."""
    path = path_of(loaded.settings.database.url)
    if not path.exists():
        raise ZimwatchError(f"There is no database {path}.")
    return loaded


async def _path(store: Store) -> Path:
    return store.path


def _with_store(loaded: Loaded, work: Callable[[Store], Coroutine[Any, Any, T]], *, attach: bool = True) -> T:
    """What ``work`` gives. With ``attach`` another process may be serving the file meanwhile."""

    async def run() -> T:
        settings = loaded.settings
        store = Store.open(settings.database.url, clock=now_us, leases=settings.leases.leases(), attach=attach)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
