"""``zimwatch demo``."""

from __future__ import annotations

import os

import click

from sidecar import demo as made_up
from sidecar import lifecycle, logs


@click.command("demo")
@click.option("--port", type=int, help="Port to listen on; default 8790, 0 for any free one.")
@click.option("--users", type=click.IntRange(0, 5_000), default=200, show_default=True, help="How many users.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another number is another day.")
@click.option("--sdk/--no-sdk", "with_sdk", default=True, help="Run the real Web SDK for alice, if Node.js is there.")
def demo(port: int | None, users: int, seed: int, *, with_sdk: bool) -> None:
    """Serve a throw-away database with a made-up day and a live, simulated fleet of clients."""
    loaded = made_up.settings(os.environ, port=port)
    logs.configure(loaded.settings.logs, quotes_errors=loaded.settings.privacy.is_plain)
    click.echo(f"Writing a made-up day of {users:,} users …", err=True)
    lifecycle.run(made_up.live(loaded, users=users, seed=seed, with_sdk=with_sdk, environ=os.environ, say=click.echo))
