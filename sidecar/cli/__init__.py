"""The command ``zimwatch``. An expected error is one sentence on stderr: exit 2 for settings, 1 for all others."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import click

from sidecar.cli.account import account
from sidecar.cli.alerts import alerts
from sidecar.cli.audit import audit
from sidecar.cli.canary import canary
from sidecar.cli.db import db
from sidecar.cli.doctor import doctor
from sidecar.cli.erase import erase
from sidecar.cli.export import export_
from sidecar.cli.sdk import sdk
from sidecar.cli.serve import check_config, demo_, serve
from sidecar.cli.token import token
from sidecar.cli.token04 import token04
from sidecar.errors import SettingsError, ZimwatchError

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


class _Sentences(click.Group):
    """Prints expected errors, as for a wrong setting or a port in use, as sentences instead of tracebacks."""

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


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("zimwatch"), prog_name="zimwatch")
def main() -> None:
    """Zimwatch: who is online, offline or not logged in on ZEGOCLOUD ZIM, and why."""


for command in (
    serve,
    demo_,
    check_config,
    doctor,
    db,
    erase,
    export_,
    alerts,
    account,
    audit,
    token,
    token04,
    sdk,
    canary,
):
    main.add_command(command)
