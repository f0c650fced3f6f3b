"""Backup and restore: a copy is taken also while the database is served, and put back only while it is not."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from sidecar import private_file
from sidecar.errors import DatabaseRefusedError
from sidecar.store.sqlite import database_file, integrity
from sidecar.store.sqlite.database_file import SUFFIXES
from sidecar.store.sqlite.integrity import never

# Some MB, after which a copy may be stopped.
_PAGES_AT_ONCE: Final = 1_000
# What a scheduled backup leaves free beside its two copies.
_SPARE_BYTES: Final = 134_217_728
# After the name of a backup that is not good yet: the copy, and the folder into which it is restored.
UNCHECKED: Final = ".unchecked"
TRIAL: Final = ".trial"


def backup(source: Path, target: Path) -> None:
    """Copies the database as of one moment. Commits continue; the write-ahead log grows until the copy is complete."""
    source, target = database_file.locate(source), Path(os.path.realpath(target))
    database_file.refuse_foreign(source)
    if target.exists():
        raise DatabaseRefusedError(f"{target} exists already; a backup never overwrites a file")
    _copy(source, target)


def checked_backup(source: Path, target: Path, stopped: Callable[[], bool] = never) -> None:
    """A backup that gets its name only when it was restored, is whole, and has all rows of the database.

    DatabaseRefusedError where it is not, where there is no room, or when ``stopped`` says so; then nothing is left.
    """
    source, target = database_file.locate(source), Path(os.path.realpath(target))
    if target.exists():
        raise DatabaseRefusedError(f"{target} exists already; a backup never overwrites a file")
    _refuse_without_room(source, target.parent)
    unchecked, trial = target.with_name(f"{target.name}{UNCHECKED}"), target.with_name(f"{target.name}{TRIAL}")
    try:
        contents = _copy(source, unchecked, stopped=stopped, to_check=True)
        trial.mkdir(mode=0o700)
        restored = trial / target.name
        restore(unchecked, restored, stopped=stopped)
        with integrity.reading(restored, in_use=False) as connection:
            integrity.stoppable(connection, stopped)
            if integrity.contents(connection) != contents:
                raise DatabaseRefusedError(f"a backup of {source} has other rows than the database had")
        unchecked.replace(target)
        _synced(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseRefusedError(f"{source} cannot be backed up to {target}: {error}") from None
    finally:
        shutil.rmtree(trial, ignore_errors=True)
        unchecked.unlink(missing_ok=True)


def restore(source: Path, target: Path, *, stopped: Callable[[], bool] = never) -> Path | None:
    """Replaces ``target`` by a copy of ``source``; returns where the previous file is now. Nothing is overwritten."""
    if source.stat().st_size == 0:
        raise DatabaseRefusedError(f"{source} is empty, so it is no backup")
    source = Path(os.path.realpath(source))
    database_file.refuse_foreign(source)
    target = database_file.locate(target)
    with database_file.hold(target):
        copy = target.with_name(f"{target.name}.restoring")
        _copy(source, copy, stopped=stopped)
        problems = integrity.problems(copy, in_use=False, stopped=stopped)
        if problems:
            copy.unlink()
            raise DatabaseRefusedError(f"{source} is damaged ({'; '.join(problems[:3])}), so {target} was not replaced")
        replaced = None
        if target.exists():
            if os.geteuid() == 0:  # root may restore for the user that Zimwatch runs as
                os.chown(copy, target.stat().st_uid, target.stat().st_gid)
            replaced = _moved_aside(target)
        copy.replace(target)
        _synced(target.parent)
        return replaced


@contextlib.contextmanager
def elsewhere(path: Path) -> Iterator[Path]:
    """A copy in the folder for temporary files, which replaces the database when the context ends.

    For a full disk. Where writing it back fails, the copy is kept, and the error says where.
    """
    path = database_file.locate(path)
    folder = Path(tempfile.mkdtemp(prefix="zimwatch-"))
    copy = folder / path.name
    with database_file.hold(path):
        try:
            _copy(path, copy, in_use=False)
            yield copy
            with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("VACUUM")
            _refuse_larger(copy, path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _overwrite(copy, path)
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_without_room(source: Path, folder: Path) -> None:
    needed = 2 * sum(file.stat().st_size for suffix in ("", "-wal") if (file := Path(f"{source}{suffix}")).exists())
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise DatabaseRefusedError(
            f"{folder} has no room for a backup and for the copy that checks it: {needed + _SPARE_BYTES} bytes are"
            f" needed, and {free} are free"
        )


def _refuse_larger(copy: Path, path: Path) -> None:
    room = shutil.disk_usage(path.parent).free
    room += sum(Path(f"{path}{suffix}").stat().st_size for suffix in SUFFIXES if Path(f"{path}{suffix}").exists())
    if copy.stat().st_size > room:
        raise DatabaseRefusedError(
            f"what retention keeps of {path} needs more room than its disk has; keep less, or make room on the disk"
        )


def _overwrite(copy: Path, path: Path) -> None:
    try:
        for suffix in SUFFIXES[1:]:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        with copy.open("rb") as source, path.open("r+b") as target:
            target.truncate()
            shutil.copyfileobj(source, target)
        _synced(path)
        _synced(path.parent)
    except OSError as error:
        raise DatabaseRefusedError(
            f"{path} could not be put back ({error.strerror}); all of it is in {copy}:"
            " make room, then run `zimwatch db restore` with that file"
        ) from None


def _copy(
    source: Path,
    target: Path,
    *,
    in_use: bool | None = None,
    stopped: Callable[[], bool] = never,
    to_check: bool = False,
) -> tuple[str | None, dict[str, int]] | None:
    """Returns what was copied, where it is ``to_check``."""

    def go_on(*_: int) -> None:
        if stopped():
            raise DatabaseRefusedError(f"the copy of {source} was stopped")

    contents = None
    if in_use is None:
        in_use = database_file.is_served(source)
    damage = integrity.damage_of_log(source, in_use=in_use)
    if damage is not None:
        raise DatabaseRefusedError(f"{damage}, so a copy would lack it; move the log away if you want one without it")
    unfinished = target.with_name(f"{target.name}.unfinished")
    _remove(unfinished)
    try:
        private_file.create(unfinished)
        with integrity.reading(source, in_use=in_use) as origin, closing(sqlite3.connect(unfinished)) as copy:
            integrity.stoppable(origin, stopped)
            origin.execute("BEGIN")
            origin.execute("SELECT 1 FROM sqlite_master").fetchone()  # a commit between two steps changes nothing now
            origin.backup(copy, pages=_PAGES_AT_ONCE, progress=go_on)
            contents = integrity.contents(origin) if to_check else None
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        _synced(unfinished)
        unfinished.replace(target)
    except DatabaseRefusedError:
        _remove(unfinished)
        raise
    except (sqlite3.Error, OSError) as error:
        _remove(unfinished)
        raise DatabaseRefusedError(f"{source} cannot be copied to {target}: {error}") from None
    _synced(target.parent)
    return contents


def _remove(unfinished: Path) -> None:
    """Also the journal that SQLite leaves beside a failed copy."""
    for file in (unfinished, Path(f"{unfinished}-journal")):
        file.unlink(missing_ok=True)


def _moved_aside(path: Path) -> Path:
    """Renames the file and its log, which would corrupt another database."""
    number = 1
    while (aside := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    for suffix in SUFFIXES:
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
