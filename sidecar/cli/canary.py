"""``zimwatch canary``: the canary of the settings alone, without a server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import click

from sidecar import app, logs
from sidecar.alerting.views import time_text
from sidecar.canary import CanaryStatus, canary_from
from sidecar.cli.options import load
from sidecar.clock import now_us
from sidecar.errors import SettingsError
from sidecar.settings import CanarySettings

EXIT_UNREACHABLE: Final = 1
EXIT_UNKNOWN: Final = 3
_SECOND_US: Final = 1_000_000


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml.")
@click.option("--once", is_flag=True, help="End with the first answer: 0 reachable, 1 not, 3 where it cannot be known.")
def canary(config: Path | None, *, once: bool) -> None:
    """Log an account in through the real SDK, and print a line whenever ZIM can be reached or no longer can."""
    settings = load(config, None).settings
    if not settings.canary.is_on:
        raise SettingsError(["canary.app_id, canary.user_id and canary.token_command or canary.token_url are not set."])
    logs.configure(settings.logs)
    status = app.run(_watched(settings.canary, once=once))
    if once:
        click.get_current_context().exit({True: 0, False: EXIT_UNREACHABLE, None: EXIT_UNKNOWN}[status.reachable])


async def _watched(settings: CanarySettings, *, once: bool) -> CanaryStatus:
    stop = app.stop_signal()

    def changed(status: CanaryStatus) -> None:
        click.echo(_line(status))
        if once:
            stop.set()

    canary = canary_from(settings, os.environ, clock=now_us, changed=changed)
    life = asyncio.create_task(canary.run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({life, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (life, stopped):
        task.cancel()
    (end, _) = await asyncio.gather(life, stopped, return_exceptions=True)
    if isinstance(end, Exception):
        raise end
    return canary.status


def _line(status: CanaryStatus) -> str:
    word = {True: "reachable", False: "not reachable", None: "not known"}[status.reachable]
    duration_us = status.login_duration_us
    took = f"the login took {duration_us / _SECOND_US:.2f} s" if status.reachable and duration_us is not None else None
    return f"{time_text(status.since_us or 0)} {word}: {status.problem or took}"
