"""Files with personal data: readable by their owner only, from the first byte; and those that others can read."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600


def create(path: Path) -> None:
    """Creates an empty file, whatever the umask; FileExistsError. SQLite gives the files beside it the same mode."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    try:
        os.fchmod(file, OWNER_ONLY)  # the umask may have removed bits
    finally:
        os.close(file)


def exposed(path: Path) -> list[str]:
    """A sentence for each file of a database, and for its folder, whose mode gives others than its owner access."""
    path = Path(os.path.realpath(path))
    found = []
    with contextlib.suppress(OSError):
        for file in sorted(path.parent.glob(f"{_literal(path.name)}*")):
            mode = stat.S_IMODE(file.stat().st_mode)
            if file.is_file() and mode & ~OWNER_ONLY & ~stat.S_IXUSR:
                found.append(
                    f"{file} is open to others than its owner (mode {mode:04o}), and holds personal data;"
                    f" make it private with `chmod 600 {file}`"
                )
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(path.parent.stat().st_mode)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            found.append(
                f"others than its owner may write to the folder {path.parent} (mode {mode:04o}), and so replace the"
                f" database in it; take that from them with `chmod go-w {path.parent}`"
            )
    return found


def _literal(name: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", name)
