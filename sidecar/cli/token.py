"""``zimwatch token``: makes, lists and revokes API tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sidecar.alerting.views import time_text
from sidecar.cli.options import Duration, load, settings_options, with_store
from sidecar.clock import now_us
from sidecar.errors import ZimwatchError
from sidecar.store import Store

SCOPES: Final = ("ingest", "read", "write")


@click.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command()
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="What it allows.")
@click.option("--app-id", type=click.IntRange(min=0), help="Only for this ZEGO AppID; default every one.")
@click.option("--expires", type=Duration(), metavar="DURATION", help="How long it is good for, such as 90d.")
@settings_options
def create(scope: str, app_id: int | None, expires: int | None, config: Path | None, database_url: str | None) -> None:
    """Print a new token's secret, which is shown this once."""
    expires_at_us = None if expires is None else now_us() + expires

    async def work(store: Store) -> str:
        _, secret = await store.create_token(scope, app_id, expires_at_us)
        return secret

    click.echo(with_store(load(config, database_url), work))


@token.command("list")
@settings_options
def list_(config: Path | None, database_url: str | None) -> None:
    """List the tokens, without their secrets."""
    tokens = with_store(load(config, database_url), Store.tokens)
    click.echo(f"{'id':<5} {'scope':<7} {'app':<12} {'begins':<12} {'expires':<25} state")
    for found in tokens:
        state = "revoked" if found.revoked_at_us is not None else "good"
        if state == "good" and found.expires_at_us is not None and found.expires_at_us <= now_us():
            state = "expired"
        every = "every" if found.app_id is None else str(found.app_id)
        expires = "never" if found.expires_at_us is None else time_text(found.expires_at_us)
        click.echo(f"{found.id:<5} {found.scope:<7} {every:<12} {found.hint:<12} {expires:<25} {state}")


@token.command()
@click.argument("token_id", metavar="ID", type=int)
@settings_options
def revoke(token_id: int, config: Path | None, database_url: str | None) -> None:
    """Revoke the token with this ID."""
    if not with_store(load(config, database_url), lambda store: store.revoke_token(token_id)):
        raise ZimwatchError(f"There is no token {token_id} to revoke; `zimwatch token list` shows them.")
    click.echo(f"Token {token_id} is revoked.")
