"""``zimwatch db copy``: moves a database to another one, such as from a SQLite file to PostgreSQL and back."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Final

import click

import sidecar.alerting  # noqa: F401 - its tables are the database's
from sidecar.cli.audited import entry
from sidecar.errors import ZimwatchError
from sidecar.store import engines
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.copying import database_copy
from sidecar.store.copying.database_copy import Pass

# With --wait: how often to look whether the source is still served, and to copy what is new meanwhile.
_LOOK_S: Final = 0.5
_AGAIN_S: Final = 60.0


@click.command()
@click.argument("from_url")
@click.argument("to_url")
@click.option("--wait", is_flag=True, help="Wait until FROM_URL is not served any more, and finish then.")
def copy(from_url: str, to_url: str, *, wait: bool) -> None:
    """Move the database FROM_URL to TO_URL, which is new. Each is sqlite:/// and a path, or postgresql://….

    While FROM_URL is served, all that it has is copied, and the command exits 1. Stop the server and run the same
    command again: it copies what is new, compares all rows, and FROM_URL is marked as moved. What is cut off is
    continued by the same command.
    """
    done = _pass(from_url, to_url)
    while wait and not done.is_finished:
        click.echo(f"{_still_served(from_url, done)} Waiting until it is stopped.", err=True)
        _wait_while_served(from_url)
        done = _pass(from_url, to_url)
    if not done.is_finished:
        raise ZimwatchError(
            f"{_still_served(from_url, done)} Stop it and run the same command again, which copies the rest."
        )
    for table in done.tables:
        if table.rows:
            click.echo(f"{table.table:<20} {table.rows:>12,} rows  {table.checksum[:16]}")
    rows = sum(table.rows for table in done.tables)
    click.echo(f"Moved {engines.name(from_url)} to {engines.name(to_url)}: {rows:,} rows are the same in both.")


@click.command()
@click.argument("url")
def reopen(url: str) -> None:
    """Let the database URL be served again that was moved by `zimwatch db copy`.

    Only if its copy is never served again: both would send what waits in them.
    """
    if not engines.exists(url):
        raise ZimwatchError(f"There is no database {engines.name(url)}.")
    was_moved = database_copy.reopen(url)
    click.echo(f"{engines.name(url)} may be served{' again' if was_moved else ': it was not moved'}.")


def _still_served(url: str, done: Pass) -> str:
    return f"Copied, but {engines.name(url)} is still served; {done.behind:,} events are new since."


def _wait_while_served(url: str) -> None:
    for _ in range(round(_AGAIN_S / _LOOK_S)):
        if not engines.is_served(url):
            return
        time.sleep(_LOOK_S)


def _pass(from_url: str, to_url: str) -> Pass:
    compared: Counter[str] = Counter()
    is_shown = sys.stderr.isatty()

    def progress(table: str, rows: int) -> None:
        compared[table] += rows
        if is_shown:
            click.echo(f"\r\x1b[K{table}: {compared[table]:,} rows", nl=False, err=True)

    written = entry(AuditAction.DATABASE_COPIED, source=engines.name(from_url))
    try:
        return database_copy.run(from_url, to_url, written, progress)
    finally:
        if is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)
