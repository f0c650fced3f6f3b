"""The database file in the file system: its identity, its permissions, and the process that serves it.

SQLite uses POSIX locks, and a process loses all of its locks on a file when it closes any descriptor of that file. So
nothing here opens a database or its -shm while SQLite may have it open: only ``stat`` and SQLite itself read it. The
descriptor of our own lock is opened before SQLite opens the file, and closed after SQLite has closed it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import stat
from pathlib import Path
from typing import Final

from sidecar import private_file
from sidecar.domain.texts import Sentence
from sidecar.errors import DatabaseRefusedError, StoreUnavailableError
from sidecar.private_file import OWNER_ONLY
from sidecar.store.database import RETRY_AFTER_S
from sidecar.store.schema import APPLICATION_ID
from sidecar.store.sqlite.sqlite_errors import why_not
from sidecar.system.files import FILES, Files

# The database, and the files that SQLite keeps beside it.
SUFFIXES: Final = ("", "-wal", "-shm")
NOT_IN_PLACE: Final = Sentence(
    "store.file_not_in_place",
    "%(file)s was deleted, moved or replaced while Zimwatch serves it, so nothing more is stored; put that very file"
    " back, or stop Zimwatch and restore a backup",
)
# is_served() of another process takes the lock for a moment, so a refusal is tried again.
_LOCK_ATTEMPTS: Final = 5
_LOCK_PAUSE_S: Final = 0.05
_MOUNTS: Final = Path("/proc/self/mountinfo")
_HEADER_BYTES: Final = 100
_APPLICATION_ID_OFFSET: Final = 68  # https://www.sqlite.org/fileformat.html, section 1.3


def locate(path: Path) -> Path:
    """The file behind all symbolic links. DatabaseRefusedError where it has hard links or is mounted by itself.

    SQLite finds the write-ahead log by the name of the database: with two names there are two logs, which corrupt the
    database.
    """
    found = Path(os.path.realpath(path))
    try:
        status = found.stat()
    except FileNotFoundError:
        if not found.parent.is_dir():
            raise DatabaseRefusedError(f"there is no folder {found.parent} to put the database in") from None
        return found
    except OSError as error:
        raise DatabaseRefusedError(why_not(found, error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseRefusedError(f"{found} is not a regular file, so it is no database")
    if status.st_nlink > 1:
        raise DatabaseRefusedError(
            f"{found} has {status.st_nlink} names (hard links), and a database that is used under two is corrupted;"
            f" remove the others (`find FOLDER -samefile {found}` lists them), or use a copy"
        )
    if _is_mount_point(found):
        raise DatabaseRefusedError(
            f"{found} is mounted by itself, without the write-ahead log that belongs beside it;"
            " mount the folder that it is in"
        )
    return found


def claim(path: Path) -> Path:
    """The located file: initialised where it is missing or empty, refused where it has other contents."""
    path = locate(path)
    try:
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another process has just created it
                private_file.create(path)
        if path.stat().st_size:
            refuse_foreign(path)
        else:
            _mark(path)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseRefusedError(why_not(path, error)) from None
    return path


def refuse_foreign(path: Path) -> None:
    """Refuses a file that Zimwatch has not created."""
    try:
        # Immutable: without locks, and without new files beside one that may be another program's.
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
            is_ours = connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        # No database, a damaged one, or one of which a part is only in the log.
        is_ours = is_served(path) or _has_our_mark(path)
    if not is_ours:
        raise DatabaseRefusedError(
            f"{path} is not a Zimwatch database, so it was left as it is; name another file with --database-url"
        )


def _has_our_mark(path: Path) -> bool:
    with path.open("rb") as file:  # it is not served, so this process does not have it open
        header = file.read(_HEADER_BYTES)
    return header[_APPLICATION_ID_OFFSET:][:4] == APPLICATION_ID.to_bytes(4, "big")


def _mark(path: Path) -> None:
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        raise DatabaseRefusedError(
            f"{path} is missing or empty, but the write-ahead log beside it is not, and would be lost;"
            f" put the database back, or move {log} away"
        )
    # Before journal_mode is WAL, so that the mark is in the first page and not in the log.
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # possible only while the file is empty
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def hold(path: Path, files: Files = FILES) -> contextlib.ExitStack:
    """The exclusive right to serve a located file. Close what is returned after all of SQLite's connections.

    There are two locks: on ``<file>.lock``, which has the id of the process, and on the file itself, which is the same
    under any path. DatabaseRefusedError where another process has one of them.
    """
    is_same_file = True
    with contextlib.ExitStack() as held:
        try:
            beside = _locked(Path(f"{path}.lock"), os.O_CREAT | os.O_NOFOLLOW, files)
            held.callback(os.close, beside)
            os.fchmod(beside, OWNER_ONLY)
            _sign(beside)
            if path.exists():
                file = _locked(path, 0, files)
                held.callback(os.close, file)
                is_same_file = os.path.samestat(os.fstat(file), path.stat())
        except BlockingIOError as error:
            raise DatabaseRefusedError(f"{path} is already served by another Zimwatch{error.args[0]}") from None
        except OSError as error:
            raise DatabaseRefusedError(why_not(path, error)) from None
        if not is_same_file:
            raise DatabaseRefusedError(f"{path} was replaced while it was opened; start Zimwatch again")
        return held.pop_all()


def is_served(path: Path) -> bool:
    """Whether a process serves the file now."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _locked(path: Path, flags: int, files: Files) -> int:
    """A descriptor with an exclusive lock; BlockingIOError with the process that has it."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, OWNER_ONLY)
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            files.lock(file)
        except BlockingIOError:
            if attempt < _LOCK_ATTEMPTS - 1:
                files.wait(_LOCK_PAUSE_S)
        except OSError:
            os.close(file)
            raise
        else:
            return file
    holder = os.read(file, 20).decode("ascii", "replace") if flags & os.O_CREAT else ""
    os.close(file)
    raise BlockingIOError(f" (process {holder.strip()})" if holder.strip().isdecimal() else "")


def _sign(lock: int) -> None:
    with contextlib.suppress(OSError):  # on a full disk the id is left out
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())


class NotInPlaceError(StoreUnavailableError):
    """The served file was deleted, moved or replaced."""


class Place:
    """The identity of the files that SQLite has open, to notice when others have taken their place."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files
        self._known: dict[Path, tuple[int, int]] = {}
        self.remember()

    def remember(self) -> None:
        """Takes the files that are there now; to be called again once SQLite has created those beside the database."""
        names = (Path(f"{self._path}{suffix}") for suffix in SUFFIXES)
        self._known = {file: found for file in names if (found := self._files.identity(file)) is not None}

    def check(self) -> None:
        """NotInPlaceError where one of them is gone or replaced."""
        for file, known in self._known.items():
            if self._files.identity(file) != known:
                raise NotInPlaceError(NOT_IN_PLACE(file=file.name), retry_after_s=RETRY_AFTER_S)


def _is_mount_point(path: Path) -> bool:
    """Whether something is mounted at this very path, by the system's table of mounts, where it has one."""
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return False
    # The fifth field, in which separators are octal escapes: man 5 proc_pid_mountinfo.
    points = (line.split(b" ")[4] for line in mounts.split(b"\n") if line)
    wanted = os.fsencode(path)
    return any(re.sub(rb"\\(\d{3})", lambda code: bytes([int(code[1], 8)]), point) == wanted for point in points)
