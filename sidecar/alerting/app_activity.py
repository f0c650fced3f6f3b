"""Looks once a minute which apps send, and which have stopped although they normally do."""

from __future__ import annotations

from typing import Final

from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.units import MINUTE_US
from sidecar.store import Store
from sidecar.store.users import app_hours
from sidecar.store.users.app_hours import Activity

EVERY_US: Final = MINUTE_US


class AppActivity:
    """For one call at a time."""

    def __init__(self, store: Store, limits: Thresholds) -> None:
        self._store = store
        self._limits = limits
        self._next_us = 0

    async def look(self, now_us: int) -> Activity | None:
        """What apps do; None where that is not due, or nobody wants to know."""
        limits = self._limits
        if not AppSilent.is_on(limits) or 0 < self._next_us - now_us <= EVERY_US:
            return None
        self._next_us = now_us + EVERY_US
        await self._store.write(app_hours.sample, now_us)
        return await self._store.read(
            app_hours.activity, self._store.now(), limits.app_silent_us, limits.app_silent_users
        )
