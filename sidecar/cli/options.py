"""Shared parts of the commands: options, and the settings from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from sidecar.domain import app_ids
from sidecar.errors import SettingsError
from sidecar.settings import Loaded, duration_us
from sidecar.settings import load as load_settings
from sidecar.settings import read as read_settings
from sidecar.settings.alert_settings import ReceiverSettings

Command = TypeVar("Command", bound=Callable[..., Any])
APP_ID: Final = click.IntRange(0, app_ids.LARGEST)
_SETTINGS: Final = {"host": "server.host", "port": "server.port", "forward_to": "forward.url"}
TOKEN_ID: Final = click.IntRange(0, 2**63 - 1)


class Duration(click.ParamType[int]):
    """``90d`` as microseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401, D102
        try:
            return duration_us(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class UserIdText(click.ParamType[str]):
    """The id of a user: any text but none."""

    name = "user id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401, D102
        return str(value) or self.fail("a user id is not empty.", param, ctx)


USER_ID: Final = UserIdText()


class DurationText(click.ParamType[str]):
    """``90d``, checked."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401, D102
        Duration().convert(value, param, ctx)
        return str(value)


def settings_options(command: Command) -> Command:
    """Adds the options of the settings file and the database."""
    for option in (
        click.option(
            "--database-url",
            help="sqlite:/// and the path of a file, or postgresql://…; default sqlite:///zimwatch.db.",
        ),
        click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml."),
    ):
        command = option(command)
    return command


def server_options(command: Command) -> Command:
    """Adds the options of what is served: the address to listen on, and the centre of an edge."""
    for option in (
        click.option("--forward-to", metavar="URL", help="Be an edge: pass events on to the Zimwatch at this address."),
        click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one."),
        click.option("--host", help="Address to listen on; default 127.0.0.1."),
    ):
        command = option(command)
    return command


class _ReceiverTypes(Mapping[str, type[ReceiverSettings]]):
    """The types of receivers, imported once a setting names one."""

    def __getitem__(self, name: str) -> type[ReceiverSettings]:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __bool__(self) -> bool:
        return True

    @staticmethod
    def _known() -> Mapping[str, type[ReceiverSettings]]:
        from sidecar.alerting.receivers import RECEIVER_SETTINGS  # noqa: PLC0415 - they can send, too

        return RECEIVER_SETTINGS


def load(config: Path | None, database_url: str | None, **served: object) -> Loaded:
    """The settings from every source; None stands for an option that was not given.

    ``served``: the options of :func:`server_options`.
    """
    return load_settings(config, os.environ, _overrides(database_url, served), _ReceiverTypes())


def load_to_serve(config: Path | None, database_url: str | None, **served: object) -> Loaded:
    """Like :func:`load`, with the checks of serving: SettingsError names all problems at once."""
    from sidecar import checks  # noqa: PLC0415 - the other commands do without

    loaded, problems = read_settings(config, os.environ, _overrides(database_url, served), _ReceiverTypes())
    problems += checks.problems(loaded, os.environ)
    if problems:
        raise SettingsError(problems)
    return loaded


def _overrides(database_url: str | None, served: Mapping[str, object]) -> dict[str, object]:
    return {"database.url": database_url, **{_SETTINGS[name]: value for name, value in served.items()}}
