"""``zimwatch token``: creates, lists, rotates, revokes and checks API tokens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import sqlalchemy as sa

from sidecar.access import token_form
from sidecar.access.policy import SCOPES
from sidecar.access.principal import LOCAL
from sidecar.access.token_form import TokenRequest
from sidecar.alerting.payloads import time_text
from sidecar.cli.audited import entry, recorded
from sidecar.cli.opened import with_store
from sidecar.cli.options import APP_ID, TOKEN_ID, DurationText, load, settings_options
from sidecar.clock import now_us
from sidecar.domain import api_token
from sidecar.domain.outside_text import one_line
from sidecar.errors import ZimwatchError
from sidecar.store import Store
from sidecar.store.access import audit_log, tokens
from sidecar.store.access.audit_values import AuditAction
from sidecar.store.values import Token
from sidecar.web.origin import origin_is_allowed

MADE_BY: Final = "command line"
EXIT_NOT_GOOD: Final = 1
_SECRET_CHARACTERS: Final = 1_000  # what follows is not read


@click.group()
def token() -> None:
    """Create, list, rotate and revoke tokens."""


@token.command()
@click.option("--scope", type=click.Choice([scope.value for scope in SCOPES]), required=True, help="What it allows.")
@click.option("--app-id", "apps", type=APP_ID, multiple=True, help="Only for this app; repeatable.")
@click.option("--name", default="", help="What it is for, up to 100 characters.")
@click.option("--expires", type=DurationText(), metavar="DURATION", help="How long it is valid, such as 90d.")
@click.option("--origin", "origins", multiple=True, help="Pages only of this origin; repeatable.")
@settings_options
def create(
    *,
    scope: str,
    apps: tuple[int, ...],
    name: str,
    expires: str | None,
    origins: tuple[str, ...],
    config: Path | None,
    database_url: str | None,
) -> None:
    """Create a token and print its secret, which is shown only this once."""
    loaded = load(config, database_url)
    given = TokenRequest(scope=scope, name=name, apps=[*apps] or None, origins=[*origins], expires=expires)
    wanted = token_form.new_token(given, LOCAL, now_us(), made_by=MADE_BY)

    async def work(store: Store) -> str:
        create = recorded(tokens.create, AuditAction.TOKEN_MADE, tokens.named, scope=scope)
        _, secret = await store.write(create, wanted, now_us())
        return secret

    click.echo(with_store(loaded, work))
    for origin in origins:
        if not origin_is_allowed(origin, loaded.settings):
            click.echo(f"Pages of {origin} may not send yet: add it to ingest.allowed_origins.", err=True)


@token.command("list")
@settings_options
def list_(config: Path | None, database_url: str | None) -> None:
    """List the tokens, without their secrets: all that are valid, and the newest that have ended."""
    loaded, at_us = load(config, database_url), now_us()
    kept, apps = with_store(loaded, lambda store: store.read(tokens.listed, at_us)), loaded.settings.apps.apps()
    rows = [("id", "scope", "name", "app", "begins", "made", "by", "last used", "expires", "state", "origins")]
    for found in kept:
        bound = "every" if found.apps is None else ", ".join(apps.in_full(app_id) for app_id in sorted(found.apps))
        made, expires = time_text(found.created_at_us), _time(found.expires_at_us, "never")
        used, by, origins = (
            _time(found.last_used_at_us, "never"),
            found.made_by or "-",
            ", ".join(found.origins) or "-",
        )
        name, state = one_line(found.name) or "-", _state(found, at_us)
        rows.append((str(found.id), found.scope, name, bound, found.hint, made, by, used, expires, state, origins))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@token.command()
@click.argument("token_id", metavar="ID", type=TOKEN_ID)
@click.option(
    "--overlap",
    metavar="DURATION",
    default=token_form.OVERLAP,
    show_default=True,
    help="How long the old secret works; 0s for not at all.",
)
@settings_options
def rotate(token_id: int, overlap: str, config: Path | None, database_url: str | None) -> None:
    """Make a successor of the token with this ID, and print its secret, which is shown only this once.

    The successor has the same name, scope, apps and origins. The old one works until the overlap ends.
    """
    overlap_us = token_form.overlap_us(overlap)

    async def work(store: Store) -> tuple[Token, str, Token | None]:
        at_us = now_us()

        def rotate(connection: sa.Connection) -> tuple[Token, str]:
            made = tokens.rotate(connection, token_id, overlap_us=overlap_us, now_us=at_us, made_by=MADE_BY)
            done = entry(AuditAction.TOKEN_ROTATED, f"token {token_id}", successor=made[0].id)
            audit_log.record(connection, done)
            return made

        new, secret = await store.write(rotate)
        return new, secret, await store.read(tokens.one, token_id)

    new, secret, old = with_store(load(config, database_url), work)
    click.echo(secret)
    ends = "" if old is None or old.expires_at_us is None else f", which ends {time_text(old.expires_at_us)}"
    click.echo(f"Token {new.id} ({new.hint}…) replaces token {token_id}{ends}.", err=True)


@token.command()
@click.argument("token_id", metavar="ID", type=TOKEN_ID)
@settings_options
def revoke(token_id: int, config: Path | None, database_url: str | None) -> None:
    """Revoke the token with this ID, and those that it made."""
    revoke = recorded(tokens.revoke, AuditAction.TOKEN_REVOKED, f"token {token_id}")
    if not with_store(load(config, database_url), lambda store: store.write(revoke, token_id, now_us())):
        raise ZimwatchError(f"There is no token {token_id} to revoke; `zimwatch token list` shows them.")
    click.echo(f"Token {token_id} is revoked.")


@token.command()
@settings_options
def check(config: Path | None, database_url: str | None) -> None:
    """Read a secret from standard input, and say which token it is of, and whether that is valid.

    Exit status: 0 it is valid, 1 it is mistyped, unknown, expired or revoked.
    """
    if sys.stdin.isatty():
        click.echo("Paste the secret, and end with Enter and Ctrl-D.", err=True)
    secret = sys.stdin.read(_SECRET_CHARACTERS).strip()
    if api_token.is_mistyped(secret):
        click.echo("It is mistyped: its checksum is wrong. Copy it again.")
        click.get_current_context().exit(EXIT_NOT_GOOD)

    async def work(store: Store) -> Token | None:
        return store.credentials.token(secret)

    found, at_us = with_store(load(config, database_url), work), now_us()
    if found is None:
        click.echo("It is of no token of this database.")
    else:
        click.echo(f"It is of token {found.id}, scope {found.scope}: {_state(found, at_us)}.")
    if found is None or found.state(at_us) != "good":
        click.get_current_context().exit(EXIT_NOT_GOOD)


def _time(at_us: int | None, none: str) -> str:
    return none if at_us is None else time_text(at_us)


def _state(found: Token, at_us: int) -> str:
    """Such as ``good``, or ``good, replaced by 4``."""
    state = found.state(at_us)
    return state if found.replaced_by is None else f"{state}, replaced by {found.replaced_by}"
