"""``zimwatch doctor``: checks the set-up."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import click
import msgspec

from sidecar.cli.options import load, server_options, settings_options
from sidecar.clock import now_us, steady_us
from sidecar.doctor import Result, examine

_COLOURS: Final = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
@settings_options
@server_options
@click.pass_context
def doctor(
    context: click.Context, /, config: Path | None, database_url: str | None, *, as_json: bool, **served: object
) -> None:
    """Check this machine, the database, what is called, and how a running server is reached.

    Exits 1 for a problem.
    """
    loaded = load(config, database_url, **served)
    results: list[Result] = []

    async def work() -> None:
        async for one in examine(loaded, os.environ, clock=now_us, steady=steady_us):
            results.append(one)
            if not as_json:
                _print(one)

    asyncio.run(work())
    problems = sum(one.level == "problem" for one in results)
    if as_json:
        click.echo(msgspec.json.encode({"problems": problems, "results": results}))
    elif problems:
        click.echo(f"{problems} to mend.")
    else:
        click.echo("Nothing needs doing.")
    context.exit(1 if problems else 0)


def _print(result: Result) -> None:
    level = click.style(f"{result.level:<8}", fg=_COLOURS[result.level])
    click.echo(f"{level} {result.check}: {result.text}")
    if result.advice:
        click.echo(f"{'':<8} → {result.advice}")
