"""Errors of a database file in a sentence: the cause, and what to do about it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

from sidecar.errors import StoreUnavailableError
from sidecar.store.database import CANNOT_READ, RETRY_AFTER_S

RESTORE: Final = "; it was left as it is. Restore a backup with `zimwatch db restore FILE`, or name another file"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FORBIDDEN: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
# With less than this there is no room for SQLite's shared memory and a small transaction.
_LEAST_ROOM_BYTES: Final = 1_048_576


def why_not(path: Path, error: BaseException) -> str:
    """A sentence about an OSError, an error of SQLite's, or SQLAlchemy's around one."""
    cause = getattr(error, "orig", error)
    code = error_code(error)
    number = getattr(cause, "errno", 0)
    folder = path.parent
    if code in _DAMAGED:
        return f"{path} is damaged ({cause}){RESTORE}"
    if code in _BUSY:
        return f"another program has locked {path} ({cause}); end that program, and try again"
    if _is_full(path, code, number):
        old = ", or delete old events with `zimwatch db prune`" if _has_content(path) else ""
        return f"the disk of {folder} is full, so {path} cannot be written; make room on it{old}"
    if number == errno.EROFS or (not number and _is_read_only(folder)):
        return (
            f"{folder} is on a read-only file system, so {path.name} cannot be written; mount it writable."
            " `zimwatch db check` and `zimwatch db backup` work as it is"
        )
    if number in (errno.EACCES, errno.EPERM) or code in _FORBIDDEN:
        return f"{_forbidden(path)}; grant that to the user that Zimwatch runs as, or run it as the owner of the files"
    return f"{path} cannot be used as a database: {getattr(cause, 'strerror', None) or cause}"


def error_code(error: BaseException) -> int:
    """SQLite's primary result code; SQLITE_OK for an error without one."""
    return int(getattr(getattr(error, "orig", error), "sqlite_errorcode", sqlite3.SQLITE_OK)) & 0xFF


def unreadable(error: BaseException) -> StoreUnavailableError:
    """The error to raise where the file could not be read."""
    return StoreUnavailableError(CANNOT_READ(why=getattr(error, "orig", error)), retry_after_s=RETRY_AFTER_S)


def is_busy(error: BaseException) -> bool:
    """Whether another connection has the lock."""
    return error_code(error) in _BUSY


def is_of_the_file(error: BaseException) -> bool:
    """Whether the file could not be read or written, rather than the statement being wrong."""
    of_the_file = (*_DAMAGED, *_BUSY, *_FORBIDDEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PROTOCOL)
    return error_code(error) in of_the_file


def is_full(path: Path) -> bool:
    """Whether the disk of a file that may be written has hardly any room."""
    try:
        return not _is_read_only(path.parent) and shutil.disk_usage(path.parent).free < _LEAST_ROOM_BYTES
    except OSError:
        return False


def _is_full(path: Path, code: int, number: int) -> bool:
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return True
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and is_full(path)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _forbidden(path: Path) -> str:
    """Which permission the user of this process lacks."""
    who = f"user {os.geteuid()}"
    if not _may(path.parent, os.X_OK):
        return f"{who} may not enter the folder {path.parent}"
    for file in (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", ".lock"))):
        if file.exists() and not _may(file, os.R_OK | os.W_OK):
            return f"{who} may not read and write {file}"
    if not _may(path.parent, os.W_OK):
        return f"{who} may not create files in the folder {path.parent}, where the database and its log are"
    return f"{who} may not use {path}"


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)
