"""File system access, but for what SQLite does by itself."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Final, Protocol

from sidecar.clock import steady_us


class Files(Protocol):
    """The file system, and locks shared with other programs.

    ``survive_crashes``: what was committed is on the disk, and not in the system's memory alone.
    """

    survive_crashes: bool

    def identity(self, path: Path) -> tuple[int, int] | None:
        """Device and inode, which change when another file takes the name; None where there is none."""

    def size_bytes(self, path: Path) -> int:
        """The size of a file; 0 where there is none."""

    def free_bytes(self, folder: Path) -> int:
        """Free space of its disk."""

    def connect(self, uri: str, *, timeout_s: float) -> sqlite3.Connection:
        """Opens a SQLite file. The connection may be used by any thread, one at a time."""

    def lock(self, file: int) -> None:
        """Takes the exclusive lock of an open file until that is closed; BlockingIOError where a process has it."""

    def wait(self, seconds: float) -> None:
        """Blocks between two attempts at a lock."""

    def waited_us(self) -> int:
        """The steady clock of :meth:`wait` and of SQLite's own waits."""


class RealFiles:
    """The files of this machine."""

    survive_crashes = True

    def identity(self, path: Path) -> tuple[int, int] | None:
        """See :class:`Files`."""
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def size_bytes(self, path: Path) -> int:
        """See :class:`Files`."""
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def free_bytes(self, folder: Path) -> int:
        """See :class:`Files`."""
        return shutil.disk_usage(folder).free

    def connect(self, uri: str, *, timeout_s: float) -> sqlite3.Connection:
        """See :class:`Files`."""
        return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=timeout_s)

    def lock(self, file: int) -> None:
        """See :class:`Files`."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def wait(self, seconds: float) -> None:
        """See :class:`Files`."""
        time.sleep(seconds)

    def waited_us(self) -> int:
        """See :class:`Files`."""
        return steady_us()


class ThrowAwayFiles(RealFiles):
    """Files that are deleted at the end of the run: nothing waits for the disk."""

    survive_crashes = False


FILES: Final[Files] = RealFiles()
THROW_AWAY: Final[Files] = ThrowAwayFiles()
