"""``zimwatch serve``, ``zimwatch demo`` and ``zimwatch check-config``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sidecar import app, lifecycle, logs
from sidecar.cli.options import load_to_serve, server_options, settings_options
from sidecar.clock import now_us
from sidecar.reload import Reload
from sidecar.settings import MASK, ServerSettings, without_password
from sidecar.store import engines
from sidecar.web import tls


@click.command()
@settings_options
@server_options
def serve(config: Path | None, database_url: str | None, host: str | None, port: int | None) -> None:
    """Serve the sidecar and its dashboard."""
    loaded = load_to_serve(config, database_url, host=host, port=port)
    logs.configure(loaded.settings.logs, quotes_errors=loaded.settings.privacy.is_plain)
    lifecycle.run(
        app.until_stopped(
            loaded.settings,
            os.environ,
            lambda served: _say(loaded.settings.server, served),
            reload=Reload(loaded, lambda: load_to_serve(config, database_url, host=host, port=port)),
        )
    )


def _say(server: ServerSettings, served: app.Running) -> None:
    click.echo(f"Zimwatch is at {served.url}/")
    if served.first_account is not None:
        address = server.public_url.rstrip("/") or served.url
        click.echo(f"There is no account yet. Within a day, make yours at {address}{served.first_account}")


@click.command("demo")
@click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one.")
@click.option("--users", type=click.IntRange(0, 5_000), default=200, show_default=True, help="How many users.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another number is another day.")
@click.option("--sdk/--no-sdk", "with_sdk", default=True, help="Run the real Web SDK for alice, if Node.js is there.")
def demo_(port: int | None, users: int, seed: int, *, with_sdk: bool) -> None:
    """Serve a throw-away database with a made-up day and a live, simulated fleet of clients."""
    # No other command needs the fleet in memory.
    from sidecar import demo  # noqa: PLC0415

    loaded = demo.settings(os.environ, port=port)
    logs.configure(loaded.settings.logs, quotes_errors=loaded.settings.privacy.is_plain)
    click.echo(f"Writing a made-up day of {users:,} users …", err=True)
    lifecycle.run(demo.live(loaded, users=users, seed=seed, with_sdk=with_sdk, environ=os.environ, say=click.echo))


@click.command("check-config")
@settings_options
@server_options
def check_config(config: Path | None, database_url: str | None, host: str | None, port: int | None) -> None:
    """Check the settings and print what is in force, secrets masked."""
    loaded = load_to_serve(config, database_url, host=host, port=port)
    for key, value, source in loaded.shown():
        click.echo(f"{key} = {value}  # {source}")
    for warning in (*engines.warnings(loaded.settings.database.url), *tls.warnings(loaded.settings.server, now_us())):
        click.echo(f"zimwatch: warning: {warning}", err=True)
    for name in sorted(name for name in os.environ if name.startswith("OTEL_")):
        value = MASK if "HEADERS" in name else without_password(os.environ[name])
        click.echo(f"# {name}={value}")
