"""``zimwatch check-config``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from sidecar import private_file
from sidecar.cli.options import load_to_serve, server_options, settings_options
from sidecar.settings import MASK, ServerSettings, without_password


@click.command("check-config")
@settings_options
@server_options
def check_config(config: Path | None, database_url: str | None, **served: object) -> None:
    """Check the settings and print what is in force, secrets masked."""
    loaded = load_to_serve(config, database_url, **served)
    for key, value, source in loaded.shown():
        click.echo(f"{key} = {value}  # {source}")
    for warning in (*_of_database(loaded.settings.database.url), *_of_certificate(loaded.settings.server)):
        click.echo(f"zimwatch: warning: {warning}", err=True)
    for name in sorted(name for name in os.environ if name.startswith("OTEL_")):
        value = MASK if "HEADERS" in name else without_password(os.environ[name])
        click.echo(f"# {name}={value}")


def _of_database(url: str) -> list[str]:
    """The plain URL of a file is read here: the store takes ten times as long to import as all the rest."""
    file = re.fullmatch(r"sqlite:///([^?:]+)", url)
    if file is not None:
        return private_file.exposed(Path(file[1]))
    from sidecar.store import engines  # noqa: PLC0415 - what few need

    return engines.warnings(url)


def _of_certificate(server: ServerSettings) -> list[str]:
    if server.tls_cert is None:
        return []
    from sidecar.clock import now_us  # noqa: PLC0415 - what few need
    from sidecar.web import tls  # noqa: PLC0415 - same

    return list(tls.warnings(server, now_us()))
