"""The folder of scheduled backups: their names, which are good, and which are to go. No other file is touched."""

from __future__ import annotations

import contextlib
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from sidecar.domain.units import SECOND_US
from sidecar.settings import BackupSettings, duration_us
from sidecar.store import engines

_STAMP: Final = "%Y%m%dT%H%M%SZ"


class Good(msgspec.Struct, frozen=True, order=True):
    """A backup that was checked: only such a one has its name."""

    made_us: int
    path: Path
    size_bytes: int


class BackupFolder:
    """The backups of one database in a folder: ``<database>-<moment>.db``, the moment in UTC."""

    def __init__(self, folder: Path, url: str) -> None:
        self.path = folder
        self._stem = engines.location(url).stem
        self._name = re.compile(rf"{re.escape(self._stem)}-([0-9]{{8}}T[0-9]{{6}}Z)\.db")
        # What a backup that was not finished leaves has more behind its name.
        self._left = re.compile(rf"{self._name.pattern}\.(trial|unchecked(\.unfinished(-journal)?)?)")

    def target(self, now_us: int) -> Path:
        """The name of a backup that is made now."""
        return self.path / f"{self._stem}-{datetime.fromtimestamp(now_us // SECOND_US, UTC):{_STAMP}}.db"

    def good(self, now_us: int) -> list[Good]:
        """The newest first; those of the future, from before the clock was set, do not count. OSError."""
        found = []
        for path in self.path.iterdir():
            made_us = self._made_us(path)
            if made_us is not None and made_us <= now_us and path.is_file() and not path.is_symlink():
                found.append(Good(made_us, path, path.stat().st_size))
        return sorted(found, reverse=True)

    def _made_us(self, path: Path) -> int | None:
        match = self._name.fullmatch(path.name)
        if match is not None:
            with contextlib.suppress(ValueError):  # the 31st of February
                return int(datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC).timestamp()) * SECOND_US
        return None

    def clean(self) -> list[str]:
        """Removes what unfinished backups left, and returns the names. Only while none is being made."""
        left = [path for path in self.path.iterdir() if self._left.fullmatch(path.name)]
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return [path.name for path in left]

    def remove_old(self, settings: BackupSettings, now_us: int) -> list[str]:
        """Removes those that are too many or too old, never the newest, and returns the names."""
        oldest_us = now_us - duration_us(settings.keep_for)
        others = self.good(now_us)[1:]
        gone = [one for kept, one in enumerate(others, 1) if kept >= settings.keep or one.made_us < oldest_us]
        for one in gone:
            one.path.unlink(missing_ok=True)
        return [one.path.name for one in gone]
