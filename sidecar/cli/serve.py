"""``zimwatch serve``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sidecar import app, lifecycle, logs
from sidecar.cli.options import load_to_serve, server_options, settings_options
from sidecar.reload import Reload
from sidecar.settings import Loaded, ServerSettings


@click.command()
@settings_options
@server_options
def serve(config: Path | None, database_url: str | None, **served: object) -> None:
    """Serve the sidecar and its dashboard."""

    def load() -> Loaded:
        return load_to_serve(config, database_url, **served)

    loaded = load()
    logs.configure(loaded.settings.logs, quotes_errors=loaded.settings.privacy.is_plain)
    lifecycle.run(
        app.until_stopped(
            loaded.settings,
            os.environ,
            lambda running: _say(loaded.settings.server, running),
            reload=Reload(loaded, load),
        )
    )


def _say(server: ServerSettings, served: app.Running) -> None:
    # Where it listens on each address of the machine, as in a container, that is none to open in a browser.
    here = served.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    click.echo(f"Zimwatch is at {here}/")
    if served.first_account is not None:
        address = server.public_url.rstrip("/") or here
        click.echo(f"There is no account yet. Within a day, make yours at {address}{served.first_account}")
