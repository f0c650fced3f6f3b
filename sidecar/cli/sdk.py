"""``zimwatch sdk``: the real ZIM Web SDK for Python, the demo and the canary."""

from __future__ import annotations

import asyncio
import os

import click

from sidecar.sdk.install import find, install


@click.group()
def sdk() -> None:
    """Look after the real ZIM Web SDK on this machine."""


@sdk.command("install")
def install_() -> None:
    """Fetch its locked npm packages into a folder of their own; needs Node.js 20 or newer and npm."""
    click.echo(f"The ZIM Web SDK is in {asyncio.run(install(os.environ)).modules}")


@sdk.command()
def path() -> None:
    """Print the folder it is in; exits 1 where it is not installed."""
    click.echo(asyncio.run(find(os.environ)).modules)
