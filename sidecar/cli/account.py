"""``zimwatch account``: people who sign in by name and password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import sqlalchemy as sa

from sidecar.access import account_admin
from sidecar.access.passwords import strong_hasher
from sidecar.access.policy import PEOPLE
from sidecar.alerting.payloads import time_text
from sidecar.cli.audited import recorded
from sidecar.cli.opened import with_store
from sidecar.cli.options import APP_ID, load, settings_options
from sidecar.clock import now_us
from sidecar.domain.account_names import (
    PASSWORD_CHARACTERS,
    name_problem,
    normal_name,
    normal_password,
    password_problem,
)
from sidecar.errors import ZimwatchError
from sidecar.store.access import accounts
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.values import Account

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])
_ENOUGH_BYTES = 4 * PASSWORD_CHARACTERS + 2
_force = click.option("--force", is_flag=True, help="Also of the last administrator who can sign in.")
_app_ids = click.option(
    "--app-id", "app_ids", type=APP_ID, multiple=True, help="Only for this ZEGO AppID; can be repeated."
)
_password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    help="A file whose first line is the password, - for standard input; without it you are prompted.",
)


@click.group()
def account() -> None:
    """Add, list and change accounts of people."""


@account.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in PEOPLE]), required=True, help="What the person may do."
)
@_app_ids
@_password_file
@settings_options
def add(
    name: str,
    role: str,
    *,
    app_ids: tuple[int, ...],
    password_file: Path | None,
    config: Path | None,
    database_url: str | None,
) -> None:
    """Add the account NAME."""
    loaded = load(config, database_url)
    if (normal := normal_name(name)) is None:
        raise ZimwatchError(name_problem(name))
    hashed = _hashed(_read_password(password_file), normal)

    def work(connection: sa.Connection) -> Account:
        made = account_admin.create(connection, normal, role, frozenset(app_ids) or None, now_us())
        accounts.set_password(connection, made.id, hashed, now_us())
        return made

    made = with_store(loaded, lambda store: store.write(_recorded(work, "add")))
    click.echo(f"The account {made.name} can sign in, with the role {role}.")


@account.command("list")
@settings_options
def list_(config: Path | None, database_url: str | None) -> None:
    """List the accounts."""
    loaded = load(config, database_url)
    kept, apps = with_store(loaded, lambda store: store.read(accounts.list_all)), loaded.settings.apps.apps()
    rows = [("name", "role", "apps", "last sign-in", "codes", "state")]
    for one in kept:
        of = "every" if one.apps is None else ", ".join(apps.in_full(app_id) for app_id in sorted(one.apps))
        last = "never" if one.signed_in_at_us is None else time_text(one.signed_in_at_us)
        state = "disabled" if one.disabled_at_us else "no password yet" if not one.password_changed_at_us else "good"
        rows.append((one.name, one.role, of, last, "yes" if one.has_totp else "no", state))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@account.command()
@click.argument("name")
@click.argument("role", type=click.Choice([role.value for role in PEOPLE]))
@_app_ids
@_force
@settings_options
def role(
    name: str, role: str, *, app_ids: tuple[int, ...], force: bool, config: Path | None, database_url: str | None
) -> None:
    """Give the account NAME another ROLE, for every app or for those given, and sign it out everywhere.

    Tokens that it made and could not make with this role and these apps are revoked.
    """
    change, apps = account_admin.change, frozenset(app_ids) or None
    changed, ended = _write(config, database_url, change, name, role, apps, now_us(), force=force)
    click.echo(f"The account {changed.name} has the role {role}, and is signed out everywhere. {_revoked(ended)}")


@account.command()
@click.argument("name")
@_force
@settings_options
def disable(name: str, *, force: bool, config: Path | None, database_url: str | None) -> None:
    """Disable the account NAME, sign it out everywhere, and revoke the tokens that it made."""
    changed, ended = _write(config, database_url, account_admin.disable, name, now_us(), force=force)
    click.echo(f"The account {changed.name} is disabled, and signed out everywhere. {_revoked(ended)}")


@account.command()
@click.argument("name")
@settings_options
def enable(name: str, config: Path | None, database_url: str | None) -> None:
    """Let the account NAME sign in again."""
    changed = _write(config, database_url, account_admin.enable, name)
    click.echo(f"The account {changed.name} can sign in again.")


@account.command()
@click.argument("name")
@_password_file
@settings_options
def password(name: str, password_file: Path | None, config: Path | None, database_url: str | None) -> None:
    """Give the account NAME another password, and sign it out everywhere."""
    loaded = load(config, database_url)
    found = with_store(loaded, lambda store: store.read(account_admin.named, name))
    hashed = _hashed(_read_password(password_file), found.name)

    def work(connection: sa.Connection) -> Account:
        accounts.set_password(connection, found.id, hashed, now_us())
        return found

    with_store(loaded, lambda store: store.write(_recorded(work, "password")))
    click.echo(f"The account {found.name} has another password, and is signed out everywhere.")


@account.command("totp-off")
@click.argument("name")
@settings_options
def totp_off(name: str, config: Path | None, database_url: str | None) -> None:
    """Let the account NAME sign in without one-time codes, as when its device is lost."""
    changed = _write(config, database_url, account_admin.turn_codes_off, name)
    click.echo(f"The account {changed.name} signs in by its password alone, and is signed out everywhere.")


def _write(
    config: Path | None, database_url: str | None, work: Callable[..., T], *given: object, **options: object
) -> T:
    did = click.get_current_context().info_name or ""
    return with_store(load(config, database_url), lambda store: store.write(_recorded(work, did), *given, **options))


def _recorded(work: Callable[..., T], did: str) -> Callable[..., T]:
    return recorded(work, AuditAction.ACCOUNT_CHANGED, _subject, did=did)


def _subject(done: Account | tuple[Account, int]) -> str:
    return (done if isinstance(done, Account) else done[0]).called


def _revoked(ended: int) -> str:
    """How many valid tokens ended with a change."""
    return f"Tokens revoked: {ended}."


def _read_password(path: Path | None) -> str:
    """From the file, or from standard input, or typed twice. ZimwatchError."""
    if path is None:
        if not sys.stdin.isatty():
            raise ZimwatchError("Give the password on a terminal, or by --password-file FILE, - for standard input.")
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        with click.open_file(str(path), "rb") as file:
            line: bytes = file.readline(_ENOUGH_BYTES)
        return line.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ZimwatchError(f"The password cannot be read from {path}: {error}.") from None


def _hashed(given: str, name: str) -> str:
    if (problem := password_problem(given, name)) is not None:
        raise ZimwatchError(problem)
    return strong_hasher().hash(normal_password(given))
