"""The made-up day of the demo in a database, and a Zimwatch that serves it at its end, when the clock stands still."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from sidecar.demo import history
from sidecar.demo.day import Day, day
from sidecar.domain.units import SECOND_US
from sidecar.settings import AlertSettings, DatabaseSettings, Settings
from tests.support.clocks import Machine
from tests.support.running import Zimwatch, zimwatch

# 2026-11-24T16:00:00Z
END_US = 1_795_536_000 * SECOND_US
SEED = 3


async def write(folder: Path, users: int, settings: AlertSettings | None = None) -> Day:
    """Writes ``folder/zimwatch.db``."""
    made = day(users, end_us=END_US, seed=SEED)
    url = f"sqlite:///{folder / 'zimwatch.db'}"
    await history.write(made, Settings(database=DatabaseSettings(url=url), alerts=settings or AlertSettings()))
    return made


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Zimwatch]:
    """Serves it."""
    async with zimwatch(folder, machine=Machine(END_US), alerts=AlertSettings()) as running:
        yield running
