"""``zimwatch audit``: checks the audit log, and prints its head."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from sidecar.alerting.payloads import time_text
from sidecar.cli.opened import existing, with_store
from sidecar.cli.options import load, settings_options
from sidecar.errors import ZimwatchError
from sidecar.store.access import audit_check, audit_log
from sidecar.store.access.audit_check import Broken

_HEAD: Final = re.compile(r"\d{1,18}:[0-9a-f]{64}", re.ASCII)


def _head(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """The head without what a paste adds to it. BadParameter where it is none: that says nothing about the log."""
    text = None if given is None else given.strip().lower()
    if text is not None and not _HEAD.fullmatch(text):
        raise click.BadParameter("a head is NUMBER:HASH with 64 hexadecimal digits, as “zimwatch audit head” prints it")
    return text


@click.group()
def audit() -> None:
    """Check the audit log."""


@audit.command()
@click.option(
    "--head",
    "saved",
    metavar="NUMBER:HASH",
    callback=_head,
    help="A head that was saved: the rows up to it must be as then.",
)
@settings_options
def verify(saved: str | None, config: Path | None, database_url: str | None) -> None:
    """Check the chain, also while it is being served; exits 1 and names the first broken row."""
    loaded = existing(load(config, database_url))
    found = with_store(loaded, lambda store: store.read(audit_check.verify, saved))
    if isinstance(found, Broken):
        raise ZimwatchError(f"The audit log is broken. {found.why}")
    click.echo(f"The chain of {found.rows} rows holds. Its head is {found.head}.")
    if found.anchor.id:
        cut_at = time_text(found.anchor.at_us)
        click.echo(f"The rows up to {found.anchor.id}, of {cut_at} and before, were deleted past their retention.")


@audit.command()
@settings_options
def head(config: Path | None, database_url: str | None) -> None:
    """Print the head, to be saved where nobody can change it who can write to the database."""
    click.echo(with_store(existing(load(config, database_url)), lambda store: store.read(audit_log.head)))
