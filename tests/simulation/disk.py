"""The disk of one process of Zimwatch: it fills up, and the process may be killed at any statement."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sidecar.system.files import ThrowAwayFiles

FILES: Final = ("zimwatch.db", "zimwatch.db-wal")
_PLENTY: Final = 1 << 40
# How Zimwatch tries whether the disk has room again.
_TRIES: Final = "PRAGMA user_version = "


class KilledError(BaseException):
    """The process does not run any more: no handler of Exception may continue."""


class Disk(ThrowAwayFiles):
    """Counts the statements of one process. At the one that ``killed_at`` names, ``kill`` is called and it ends."""

    def __init__(self, folder: Path, kill: Callable[[], None]) -> None:
        self.folder = folder
        self.is_full = False
        self.is_dead = False
        self.statements = 0
        self.killed_at: int | None = None
        self._kill = kill

    def connect(self, uri: str, *, timeout_s: float) -> sqlite3.Connection:
        """Opens a file whose statements are counted."""
        disk = self

        class Cursor(sqlite3.Cursor):
            def execute(self, *given: Any) -> Cursor:
                disk.step()
                if given[0].startswith(_TRIES):
                    connection: Any = self.connection
                    connection.committed = -1  # it counts as no change
                super().execute(*given)
                return self

            def executemany(self, *given: Any) -> Cursor:
                disk.step()
                super().executemany(*given)
                return self

        class Connection(sqlite3.Connection):
            def cursor(self, factory: Any = Cursor) -> Any:
                return super().cursor(factory)

            def commit(self) -> None:
                disk.step()
                if disk.is_full and self.in_transaction and self.total_changes != self.committed:
                    raise sqlite3.OperationalError("database or disk is full")
                super().commit()
                self.committed = self.total_changes

            committed = 0

        return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=timeout_s, factory=Connection)

    def free_bytes(self, folder: Path) -> int:  # noqa: ARG002 - as the base has it
        """Plenty, so that only ``is_full`` decides."""
        return _PLENTY

    def wait(self, seconds: float) -> None:
        """Nobody else holds a lock for longer than a step."""

    def step(self) -> None:
        """One statement."""
        if self.is_dead:
            raise KilledError
        self.statements += 1
        if self.killed_at is not None and self.statements >= self.killed_at:
            self._kill()
            raise KilledError

    def left(self, folder: Path) -> None:
        """Copies what a process that is killed now leaves behind."""
        self.is_dead = True
        folder.mkdir()
        for name in FILES:
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)
