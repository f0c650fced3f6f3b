"""All commands as one of click's groups. An expected error is one sentence on stderr: exit 2 for settings, else 1."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from sidecar.cli import overview
from sidecar.errors import SettingsError, ZimwatchError
from sidecar.version import build

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


class _Commands(click.Group):
    """Imports a command when it is used: ``check-config`` is ``check_config`` in ``sidecar.cli.check_config``.

    Prints expected errors, as for a wrong setting or a port in use, as sentences instead of tracebacks.
    """

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """See click."""
        return overview.COMMANDS

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """See click."""
        return command(name) if name in overview.COMMANDS else None

    def get_help(self, _ctx: click.Context) -> str:
        """See click."""
        return overview.text()

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """See click."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for problem in error.problems:
                click.echo(f"zimwatch: {problem}", err=True)
            ctx.exit(EXIT_SETTINGS)
        except ZimwatchError as error:
            click.echo(f"zimwatch: {error}", err=True)
            ctx.exit(EXIT_FAILED)


def command(name: str) -> click.Command:
    """The command of a name in :data:`sidecar.cli.overview.COMMANDS`."""
    module = name.replace("-", "_")
    found: click.Command = getattr(import_module(f"sidecar.cli.{module}"), module)
    return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(build(), message="zimwatch %(version)s")
def zimwatch() -> None:
    """Zimwatch."""
