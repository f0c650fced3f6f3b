"""File systems that are mounted for a test, as root: a part of another one, one that is read-only, a small one."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def bound(source: Path, target: Path, *, read_only: bool = False) -> Iterator[Path]:
    """The file or folder ``source`` under ``target`` as well, which must exist."""
    _run("mount", "--bind", source, target)
    try:
        if read_only:
            _run("mount", "-o", "remount,ro,bind", target)
        yield target
    finally:
        _run("umount", "-l", target)


@contextlib.contextmanager
def small_disk(target: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own at the folder ``target``, in memory, with that much room."""
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", target)
    try:
        yield target
    finally:
        _run("umount", "-l", target)


def filled(folder: Path, *, leave_bytes: int = 0) -> Path:
    """A file that takes all room of the file system of ``folder`` but so much."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while out.write(bytes(4_096)):
            pass
    if leave_bytes:
        with file.open("r+b") as out:
            out.truncate(max(0, file.stat().st_size - leave_bytes))
    return file


def _run(*command: object) -> None:
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
