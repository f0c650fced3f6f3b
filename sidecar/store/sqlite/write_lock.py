"""The wait for SQLite's write lock, which any program that opens the file may hold for any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from sidecar.domain.texts import Sentence, Text
from sidecar.domain.units import SECOND_US
from sidecar.store.sqlite.sqlite_errors import is_busy
from sidecar.system.files import FILES, Files

BUSY_TIMEOUT_S = 5.0
# SQLite's own busy timeout: during it a request to stop goes unnoticed.
SLICE_S: Final = 0.1
# Some attempts fail without that wait.
PAUSE_S: Final = 0.01
# Longer than that is a problem to be shown: commands of Zimwatch's own hold the lock for milliseconds.
LONG_S: Final = 0.5
LOCKED: Final = Sentence("store.locked", "another program holds the write lock of the database")


class WriteLock:
    """Shared by the connections that write a file."""

    def __init__(self, files: Files = FILES) -> None:
        self._files = files
        self._hurries = False
        self._since_us: dict[object, int] = {}

    def hurry(self) -> None:
        """From now on no wait is longer than a slice, because Zimwatch is to stop."""
        self._hurries = True

    def problem(self) -> Text | None:
        """The problem while a transaction has waited for long."""
        before_us = self._files.waited_us() - round(LONG_S * SECOND_US)
        return LOCKED() if any(since_us < before_us for since_us in tuple(self._since_us.values())) else None

    def take(self, begin: Callable[[], object]) -> None:
        """Calls ``begin`` until it succeeds; raises its OperationalError after BUSY_TIMEOUT_S."""
        own = object()
        begun_us = self._since_us[own] = self._files.waited_us()
        try:
            while True:
                try:
                    begin()
                except sa.exc.OperationalError as error:
                    waited_s = (self._files.waited_us() - begun_us) / SECOND_US
                    if not is_busy(error) or waited_s >= BUSY_TIMEOUT_S or self._hurries:
                        raise
                    self._files.wait(PAUSE_S)
                else:
                    return
        finally:
            del self._since_us[own]
