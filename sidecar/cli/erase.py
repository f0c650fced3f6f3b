"""``zimwatch erase``: removes everything of a user, and prints a certificate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from sidecar.alerting.payloads import time_text
from sidecar.cli.audited import recorded
from sidecar.cli.opened import existing, with_store
from sidecar.cli.options import APP_ID, USER_ID, load, settings_options
from sidecar.clock import now_us
from sidecar.domain.erasure_texts import NOT_REACHED
from sidecar.domain.outside_text import one_line
from sidecar.errors import ZimwatchError
from sidecar.store import Store, engines
from sidecar.store.access.audit_values import AuditAction, User
from sidecar.store.care import erasures
from sidecar.store.care.erasures import Erasure

# How often it is looked whether the server has finished, and for how long.
_LOOK_EVERY_S = 0.2
_PATIENCE_S = 600


@click.command()
@click.argument("app_id", type=APP_ID)
@click.argument("user_id", type=USER_ID)
@click.option("--yes", is_flag=True, help="Do not ask for the id again.")
@settings_options
def erase(app_id: int, user_id: str, config: Path | None, database_url: str | None, *, yes: bool) -> None:
    """Remove everything of a user, also while the database is being served; there is no way back.

    Prints what was removed, and what cannot be reached.
    """
    loaded = existing(load(config, database_url))
    if not yes and click.prompt("This cannot be undone. Type the user id again") != user_id:
        raise ZimwatchError("The ids differ; nothing was removed.")
    is_served = engines.is_served(loaded.settings.database.url)

    async def work(store: Store) -> Erasure:
        ask = recorded(erasures.ask, AuditAction.USER_ERASED, User(app_id, user_id))
        number = await store.write(ask, app_id, user_id, now_us())
        if not is_served:
            await store.erase()
        return await _finished(store, number)

    done = with_store(loaded, work, attach=is_served)
    click.echo("\n".join(certificate(done)))


async def _finished(store: Store, number: int) -> Erasure:
    """Waits for the server, which alone may change what it has in memory."""
    for _ in range(round(_PATIENCE_S / _LOOK_EVERY_S)):
        found = await store.read(erasures.one, number)
        if found is not None and found.finished_at_us is not None:
            return found
        await asyncio.sleep(_LOOK_EVERY_S)
    raise ZimwatchError(
        f"Erasure {number} is recorded and not finished after {_PATIENCE_S} s; Zimwatch continues it while it runs."
    )


def certificate(done: Erasure) -> list[str]:
    """The lines of a finished erasure's certificate, which does not name the user."""
    moments = {"asked for": done.asked_at_us, "begun": done.began_at_us, "finished": done.finished_at_us}
    lines = [f"Erasure {done.id}: app {done.app_id}, {done.pseudonym}, which is a pseudonym."]
    lines += [f"{what.capitalize()}: {time_text(at_us)}" for what, at_us in moments.items() if at_us is not None]
    lines.append("Rows removed or changed, by table:" if done.removed else "Nothing was held.")
    lines += [f"  {one_line(table)}: {count:,}" for table, count in sorted(done.removed.items())]
    lines.append("Counts per minute stay: they name nobody. Not reached:")
    return lines + [f"  - {sentence()}" for sentence in NOT_REACHED]
