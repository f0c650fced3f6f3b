"""Shared parts of the commands: an open store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from sidecar import logs
from sidecar.alerting import HOLDINGS, AlertRetention
from sidecar.clock import now_us
from sidecar.errors import ZimwatchError
from sidecar.settings import DatabaseSettings, Loaded
from sidecar.store import Retention, Store, engines
from sidecar.store.access.audit_retention import AuditRetention

T = TypeVar("T")


def existing(loaded: Loaded) -> Loaded:
    """Refuses a database that does not exist, which opening would create."""
    url = loaded.settings.database.url
    if not engines.exists(url):
        raise ZimwatchError(f"There is no database {engines.name(url)}.")
    return loaded


def with_database(loaded: Loaded, url: str) -> Loaded:
    """The same settings with another database."""
    settings = msgspec.structs.replace(loaded.settings, database=DatabaseSettings(url=url))
    return msgspec.structs.replace(loaded, settings=settings)


def with_store(loaded: Loaded, work: Callable[[Store], Coroutine[Any, Any, T]], *, attach: bool = True) -> T:
    """Runs ``work`` on the store. With ``attach`` another process may be serving the database.

    What the store logs goes to stderr: the output is the command's own.
    """
    logs.configure(loaded.settings.logs, quotes_errors=loaded.settings.privacy.is_plain)

    async def run() -> T:
        settings = loaded.settings
        store = Store.open(
            settings.database.url,
            clock=now_us,
            leases=settings.leases.leases(),
            retention=Retention.of(settings),
            expiring=[AlertRetention.of(settings), AuditRetention.of(settings)],
            holdings=HOLDINGS,
            export_spans=None,
            attach=attach,
        )
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
