"""Copies of a database: made while it is served, and put back while it is not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sidecar.errors import DatabaseRefusedError
from sidecar.store import engine

_BESIDE: Final = ("", "-wal", "-shm")


def backup(source: Path, target: Path) -> None:
    """Copies the database as it is at one moment. Writing goes on; the write-ahead log grows until the copy is made."""
    if target.exists():
        raise DatabaseRefusedError(f"{target} exists already; a backup never overwrites a file")
    _copy(source, target)


def restore(source: Path, target: Path) -> Path | None:
    """Puts a copy of ``source`` in the place of ``target``; where what was there is now. Nothing is overwritten."""
    if source.stat().st_size == 0:
        raise DatabaseRefusedError(f"{source} is empty, and no backup")
    engine.claim(source)
    lock = engine.lock(target)
    try:
        copy = target.with_name(f"{target.name}.restoring")
        _copy(source, copy)
        problems = _problems(copy)
        if problems:
            copy.unlink()
            raise DatabaseRefusedError(f"{source} is damaged ({problems}), so it was not put in the place of {target}")
        replaced = _moved_aside(target) if target.exists() else None
        copy.replace(target)
        _synced(target.parent)
        return replaced
    finally:
        lock.close()


def _copy(source: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as origin,
            closing(sqlite3.connect(unfinished)) as copy,
        ):
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        _synced(unfinished)
        unfinished.replace(target)
    except (sqlite3.Error, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise DatabaseRefusedError(f"{source} cannot be copied to {target}: {error}") from None
    _synced(target.parent)


def _problems(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(found)


def _moved_aside(path: Path) -> Path:
    """The file and the log beside it, which belongs to it and would spoil another."""
    number = 1
    while (aside := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    for suffix in _BESIDE:
        file = Path(f"{path}{suffix}")
        if file.exists():
            file.rename(f"{aside}{suffix}")
    return aside


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
