"""``zimwatch token``: creates, lists and revokes API tokens."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.alerting.payloads import time_text
from sidecar.cli.options import Duration, load, settings_options, with_store
from sidecar.clock import now_us
from sidecar.errors import ZimwatchError
from sidecar.store import Store
from sidecar.store.access import tokens


@click.group()
def token() -> None:
    """Create, list and revoke tokens."""


@token.command()
@click.option("--scope", type=click.Choice(tokens.SCOPES), required=True, help="What it allows.")
@click.option("--app-id", type=click.IntRange(min=0), help="Only for this ZEGO AppID; default every one.")
@click.option("--expires", type=Duration(), metavar="DURATION", help="How long it is valid, such as 90d.")
@settings_options
def create(scope: str, app_id: int | None, expires: int | None, config: Path | None, database_url: str | None) -> None:
    """Create a token and print its secret, which is shown only this once."""
    expires_at_us = None if expires is None else now_us() + expires

    async def work(store: Store) -> str:
        _, secret = await store.write(tokens.create, scope, app_id, expires_at_us, now_us())
        return secret

    click.echo(with_store(load(config, database_url), work))


@token.command("list")
@settings_options
def list_(config: Path | None, database_url: str | None) -> None:
    """List the tokens, without their secrets."""
    loaded = load(config, database_url)
    kept, apps = with_store(loaded, lambda store: store.read(tokens.list_all)), loaded.settings.apps.apps()
    called = {found.id: "every" if found.app_id is None else apps.in_full(found.app_id) for found in kept}
    width = max([12, *map(len, called.values())])
    click.echo(f"{'id':<5} {'scope':<7} {'app':<{width}} {'begins':<12} {'expires':<25} state")
    for found in kept:
        expires = "never" if found.expires_at_us is None else time_text(found.expires_at_us)
        app, state = called[found.id], found.state(now_us())
        click.echo(f"{found.id:<5} {found.scope:<7} {app:<{width}} {found.hint:<12} {expires:<25} {state}")


@token.command()
@click.argument("token_id", metavar="ID", type=int)
@settings_options
def revoke(token_id: int, config: Path | None, database_url: str | None) -> None:
    """Revoke the token with this ID."""
    if not with_store(load(config, database_url), lambda store: store.write(tokens.revoke, token_id, now_us())):
        raise ZimwatchError(f"There is no token {token_id} to revoke; `zimwatch token list` shows them.")
    click.echo(f"Token {token_id} is revoked.")
