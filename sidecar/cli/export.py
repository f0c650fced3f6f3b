"""``zimwatch export``: prints all that is held of a user, as one JSON."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.alerting.payloads import time_text
from sidecar.cli.audited import entry
from sidecar.cli.opened import existing, with_store
from sidecar.cli.options import APP_ID, USER_ID, load, settings_options
from sidecar.clock import now_us
from sidecar.store import Store
from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import AuditAction, User
from sidecar.store.care import user_export


@click.command()
@click.argument("app_id", type=APP_ID)
@click.argument("user_id", type=USER_ID)
@settings_options
def export(app_id: int, user_id: str, config: Path | None, database_url: str | None) -> None:
    """Print all that is held of a user as one JSON, also while the database is being served."""

    async def work(store: Store) -> None:
        await store.write(audit_log.record, entry(AuditAction.USER_EXPORTED, User(app_id, user_id)))
        async for part in user_export.parts(store, app_id, user_id, time_text(now_us())):
            click.echo(part, nl=False)

    with_store(existing(load(config, database_url)), work)
