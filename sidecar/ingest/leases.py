"""Lets open pages know when a lease runs out: nothing happens then that could tell them."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

import structlog

from sidecar.errors import StoreUnavailableError
from sidecar.store import Store

SWEEP_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


async def watch(store: Store) -> NoReturn:
    """Sweeps until cancelled. A database that cannot commit does not end it."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await store.sweep()
        except StoreUnavailableError as error:
            _log.debug("sweep put off", reason=str(error))
