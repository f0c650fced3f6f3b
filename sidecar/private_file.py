"""Files with personal data: readable by their owner only, from the first byte."""

from __future__ import annotations

import os
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
