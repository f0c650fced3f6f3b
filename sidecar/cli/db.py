"""``zimwatch db``: looks after the database."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli.options import existing, load, settings_options, with_store
from sidecar.errors import ZimwatchError
from sidecar.store import Store, backups
from sidecar.store.engine import path_of


async def _path(store: Store) -> Path:
    return store.path


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@settings_options
def upgrade(config: Path | None, database_url: str | None) -> None:
    """Bring the tables up to date, or make them."""
    path = with_store(load(config, database_url), _path, attach=False)
    click.echo(f"{path} is up to date.")


@db.command()
@settings_options
def check(config: Path | None, database_url: str | None) -> None:
    """Look for damage, also while it is being served; exits 1 and says what is broken."""
    problems = with_store(existing(load(config, database_url)), Store.check)
    if problems:
        raise ZimwatchError("\n".join(["The database is broken; restore a backup.", *problems]))
    click.echo("The database is sound.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_options
def backup(file: Path, config: Path | None, database_url: str | None) -> None:
    """Copy the database to FILE, also while it is being served."""
    with_store(existing(load(config, database_url)), lambda store: store.backup(file))
    click.echo(f"The database is copied to {file}.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_options
def restore(file: Path, config: Path | None, database_url: str | None) -> None:
    """Put the backup FILE in the place of the database; not while it is being served."""
    replaced = backups.restore(file, path_of(load(config, database_url).settings.database.url))
    click.echo(f"The database is restored from {file}.")
    if replaced is not None:
        click.echo(f"What was there is now {replaced}.")


@db.command()
@settings_options
def prune(config: Path | None, database_url: str | None) -> None:
    """Remove what retention no longer keeps; not while it is being served, which does that by itself."""
    count = with_store(existing(load(config, database_url)), Store.prune, attach=False)
    click.echo(f"Pruned: {count} rows and free pages.")


@db.command()
@settings_options
def rebuild(config: Path | None, database_url: str | None) -> None:
    """Make users, clients and counts anew from the event log; not while it is being served."""
    count = with_store(existing(load(config, database_url)), Store.rebuild, attach=False)
    click.echo(f"All is made anew from {count} events.")
