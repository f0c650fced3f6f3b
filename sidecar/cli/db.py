"""``zimwatch db``: upkeep of the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from sidecar.cli.audited import record
from sidecar.cli.db_copy import copy, reopen
from sidecar.cli.opened import existing, with_database, with_store
from sidecar.cli.options import load, settings_options
from sidecar.domain.units import DAY_US
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError, ZimwatchError
from sidecar.store import Store, engines
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.care import pruning_hold

EXIT_DUE: Final = 1


async def _name(store: Store) -> str:
    return store.name


@click.group()
def db() -> None:
    """Check, copy and maintain the database."""


@db.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 if there is something to do, else 0.")
@settings_options
@click.pass_context
def upgrade(context: click.Context, config: Path | None, database_url: str | None, *, only_check: bool) -> None:
    """Create the tables, or bring them up to date, and print what was done; `serve` does so by itself.

    Make a backup before: an older Zimwatch refuses a database that was upgraded. What is cut off is not done, and is
    begun again the next time.
    """
    loaded = load(config, database_url)
    url = loaded.settings.database.url
    due = engines.pending_migrations(url)
    is_new = not engines.exists(url)
    if only_check:
        _print_due(engines.name(url), due, is_new=is_new)
        context.exit(EXIT_DUE if due else 0)
    name = with_store(loaded, _name, attach=False)
    if is_new:
        click.echo(f"Created {name}, schema {due[-1][0]}.")
    elif due:
        _print_migrations(due)
        click.echo(f"{name} is up to date now: {len(due)} migrations, schema {due[-1][0]}.")
    else:
        click.echo(f"{name} was up to date; nothing was changed.")


def _print_due(name: str, due: Sequence[tuple[str, str]], *, is_new: bool) -> None:
    if is_new:
        click.echo(f"There is no database {name}; it would be created.")
    elif due:
        _print_migrations(due)
        click.echo(f"{name} is to be upgraded: {len(due)} migrations.")
    else:
        click.echo(f"{name} is up to date.")


def _print_migrations(due: Sequence[tuple[str, str]]) -> None:
    for name, about in due:
        click.echo(f"{name}: {about}")


@db.command()
@settings_options
def check(config: Path | None, database_url: str | None) -> None:
    """Look for damage, also while it is being served; exits 1 and names what is damaged."""
    problems = engines.problems(existing(load(config, database_url)).settings.database.url)
    if problems:
        raise ZimwatchError("\n".join(["The database is damaged; restore a backup.", *problems]))
    click.echo("The database is intact.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_options
def backup(file: Path, config: Path | None, database_url: str | None) -> None:
    """Copy the database to FILE, also while it is being served."""
    loaded = existing(load(config, database_url))
    engines.backup(loaded.settings.database.url, file)
    with_store(loaded, lambda store: record(store, AuditAction.BACKUP_MADE, file=file.name))
    click.echo(f"Copied the database to {file}.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_options
def restore(file: Path, config: Path | None, database_url: str | None) -> None:
    """Replace the database by the backup FILE; not while it is being served."""
    loaded = load(config, database_url)
    replaced = engines.restore(file, loaded.settings.database.url)
    with_store(loaded, lambda store: record(store, AuditAction.BACKUP_RESTORED, file=file.name))
    click.echo(f"Restored the database from {file}.")
    if replaced is not None:
        click.echo(f"The previous database is now {replaced}.")


@db.command()
@click.option("--now", is_flag=True, help="The clock is right: prune although it differs by days from the last run.")
@settings_options
def prune(config: Path | None, database_url: str | None, *, now: bool) -> None:
    """Delete what is past its retention; not while it is being served, which does that itself.

    On a full disk it works on a copy in the folder for temporary files (TMPDIR).
    """

    async def pruned(store: Store) -> int:
        removed = await store.make_room(despite_jump=now)
        await record(store, AuditAction.DATABASE_PRUNED, rows=removed)
        hold = await store.read(pruning_hold.current, store.now())
        if hold is not None:
            days = hold.by_us / DAY_US
            click.echo(
                f"Nothing was deleted for its age: the clock differs by {days:+.1f} days from when Zimwatch ran last."
                " If it is right, run `zimwatch db prune --now`."
            )
        return removed

    loaded = existing(load(config, database_url))
    url = loaded.settings.database.url
    try:
        count = with_store(loaded, pruned, attach=False)
    except (DatabaseRefusedError, StoreUnavailableError):
        if not engines.is_full(url):
            raise
        with engines.elsewhere(url) as copy:
            click.echo(f"The disk is full, so a copy is pruned: {engines.location(copy)}", err=True)
            count = with_store(with_database(loaded, copy), pruned, attach=False)
    click.echo(f"Pruned: {count} rows and free pages.")


@db.command()
@settings_options
def rebuild(config: Path | None, database_url: str | None) -> None:
    """Rebuild users, clients and counts from the event log; not while it is being served."""

    async def rebuilt(store: Store) -> int:
        events = await store.rebuild()
        await record(store, AuditAction.DATABASE_REBUILT, events=events)
        return events

    count = with_store(existing(load(config, database_url)), rebuilt, attach=False)
    click.echo(f"Rebuilt from {count} events.")


db.add_command(copy)
db.add_command(reopen)
