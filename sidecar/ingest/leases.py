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
    """Sweeps until cancelled. Nothing that fails ends it."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await store.sweep()
        except StoreUnavailableError as error:
            _log.debug("sweep put off", reason=str(error))
        except Exception as error:  # noqa: BLE001 - the top of the loop: the next sweep tells what this one did not
            _log.error("sweep failed", exc_info=error)
