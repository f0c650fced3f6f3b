"""``zimwatch canary``: the canary of the settings, without a server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import click

from sidecar import lifecycle, logs
from sidecar.alerting.payloads import time_text
from sidecar.canary import CanaryStatus, canary_from
from sidecar.cli.options import load
from sidecar.clock import now_us
from sidecar.domain.units import SECOND_US
from sidecar.errors import SettingsError
from sidecar.settings import Settings

EXIT_UNREACHABLE: Final = 1
EXIT_UNKNOWN: Final = 3


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml.")
@click.option("--once", is_flag=True, help="Exit with the first result: 0 reachable, 1 not reachable, 3 not known.")
def canary(config: Path | None, *, once: bool) -> None:
    """Log an account in through the real SDK, and print when ZIM becomes reachable or unreachable."""
    settings = load(config, None).settings
    if not settings.canary.is_on:
        raise SettingsError(["canary.app_id, canary.user_id and canary.token_command or canary.token_url are not set."])
    logs.configure(settings.logs, quotes_errors=settings.privacy.is_plain)
    status = lifecycle.run(_watched(settings, once=once))
    if once:
        click.get_current_context().exit({True: 0, False: EXIT_UNREACHABLE, None: EXIT_UNKNOWN}[status.reachable])


async def _watched(settings: Settings, *, once: bool) -> CanaryStatus:
    stop = lifecycle.stop_signal()

    def changed(status: CanaryStatus) -> None:
        click.echo(_line(status))
        if once:
            stop.set()

    canary = canary_from(
        settings.canary, os.environ, clock=now_us, allowed_hosts=settings.alerts.allowed_hosts, changed=changed
    )
    running = asyncio.create_task(canary.run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, stopped):
        task.cancel()
    (end, _) = await asyncio.gather(running, stopped, return_exceptions=True)
    if isinstance(end, Exception):
        raise end
    return canary.status


def _line(status: CanaryStatus) -> str:
    state = {True: "reachable", False: "not reachable", None: "not known"}[status.reachable]
    duration_us = status.login_duration_us
    took = f"the login took {duration_us / SECOND_US:.2f} s" if status.reachable and duration_us is not None else None
    return f"{time_text(status.since_us or 0)} {state}: {status.problem or took}"
