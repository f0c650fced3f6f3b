"""``zimwatch sdk``: the real ZIM Web SDK for Python, the demo and the canary."""

from __future__ import annotations

import asyncio
import os

import click

from sidecar.sdk.client.install import find, install


@click.group()
def sdk() -> None:
    """Install the real ZIM Web SDK on this machine."""


@sdk.command("install")
def install_() -> None:
    """Download its locked npm packages into a folder; needs Node.js 20 or newer and npm."""
    click.echo(f"The ZIM Web SDK is in {asyncio.run(install(os.environ)).modules}")


@sdk.command()
def path() -> None:
    """Print its folder; exits 1 if it is not installed."""
    click.echo(asyncio.run(find(os.environ)).modules)
