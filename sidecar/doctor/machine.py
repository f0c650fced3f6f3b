"""Checks of this machine: Node.js, the disk of the database, SQLite, file permissions and the clock."""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sidecar.doctor.result import Result, note, ok, problem
from sidecar.domain.units import HOUR_US, MS_US, SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.sdk.client.install import find
from sidecar.settings import Settings, wait_us
from sidecar.store import engines
from sidecar.store.backup_folder import BackupFolder

SYNCS: Final = 15
# A commit waits for one sync, and requests share commits: 20 a second are plenty, and 2 are not.
SLOW_SYNC_US: Final = 50 * MS_US
STALLED_SYNC_US: Final = 500 * MS_US
_PAGE: Final = b"\0" * 4_096
LITTLE_ROOM_BYTES: Final = 1 << 30
NO_ROOM_BYTES: Final = 100 << 20
# https://sqlite.org/releaselog/3_51_3.html: two connections that checkpoint at once could corrupt a WAL database.
SAFE_SQLITE: Final = (3, 51, 3)
_BACKUP_ADVICE: Final = "Run `zimwatch serve`, which makes them; its log says why one fails."
CLOCK_MOST_US: Final = 5 * SECOND_US


async def node(environ: Mapping[str, str]) -> Result:
    """Node.js and the real SDK, which only the canary and the Python client need."""
    try:
        found = await find(environ)
    except ZimwatchError as error:
        return note("Node.js", f"{error}. Only the canary and Python apps that log in need it")
    return ok("Node.js", f"the ZIM Web SDK can run: {found.node}")


def disk_speed(folder: Path, clock: Callable[[], int]) -> Result:
    """How long a sync to the database's disk takes. ``clock`` gives steady microseconds."""
    took = []
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".zimwatch-doctor-") as file:
            for _ in range(SYNCS):
                begun = clock()
                file.write(_PAGE)
                file.flush()
                os.fsync(file.fileno())
                took.append(clock() - begun)
    except OSError as error:
        return problem(
            "disk", f"{folder} cannot be written: {error.strerror}", "Let the user of this process write there."
        )
    return speed_of(int(statistics.median(took)))


def speed_of(sync_us: int) -> Result:
    """A verdict on the median time of a sync."""
    text = f"a sync takes {sync_us / MS_US:.1f} ms"
    if sync_us >= STALLED_SYNC_US:
        return problem("disk", f"{text}, and each commit waits for one", "Put the database on a faster, local disk.")
    if sync_us >= SLOW_SYNC_US:
        return note("disk", f"{text}: answers to apps wait for it", "A local SSD needs a few milliseconds.")
    return ok("disk", text)


def room(folder: Path, most_bytes: int) -> Result:
    """Free space beside what the database may grow to."""
    return room_of(shutil.disk_usage(folder).free, most_bytes)


def room_of(free: int, most_bytes: int) -> Result:
    """A verdict on the number of free bytes."""
    text = f"{free / (1 << 30):.1f} GiB are free"
    if free < NO_ROOM_BYTES:
        return problem("room", text, "Free some space, or events are refused soon.")
    if free < LITTLE_ROOM_BYTES or free < most_bytes:
        most = f"retention.max_bytes lets the database grow to {most_bytes / (1 << 30):.1f} GiB"
        return note("room", f"{text}, and {most}", "Lower retention.max_bytes, or use a larger disk.")
    return ok("room", text)


def sqlite_version(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Result:
    """The SQLite library of this Python."""
    text = f"SQLite {'.'.join(map(str, version))}"
    if version < SAFE_SQLITE:
        return note("SQLite", f"{text}: only one connection makes checkpoints, which avoids a bug of this version")
    return ok("SQLite", text)


def database(url: str) -> Iterator[Result]:
    """The file of the database: that it is whole, and readable by its owner alone."""
    path = engines.location(url)
    if not path.exists():
        yield note("database", f"{path} does not exist yet; `zimwatch serve` creates it")
        return
    try:
        damaged = engines.problems(url)
    except ZimwatchError as error:
        yield problem("database", str(error), "See docs/database.md.")
        return
    for one in damaged:
        yield problem("database", one, "Restore a backup with `zimwatch db restore`.")
    exposed = engines.warnings(url)
    for one in exposed:
        yield problem("file modes", one, "Run chmod as the sentence says, or move the file.")
    if not damaged:
        yield ok("database", f"{path} is whole")
    if not exposed:
        yield ok("file modes", "only the owner can read the database")


def database_server(url: str) -> Result:
    """That the server of the database can be reached, and has our tables."""
    try:
        if not engines.exists(url):
            return note("database", f"{engines.name(url)} has no tables yet; `zimwatch serve` creates them")
    except ZimwatchError as error:
        return problem("database", str(error), "See docs/postgresql.md.")
    return ok("database", f"{engines.name(url)} can be read")


def backups(settings: Settings, now_us: int) -> Result:
    """The newest good scheduled backup."""
    if settings.backups.folder is None:
        return note("backups", "none are made", "Set backups.folder, or make them another way.")
    try:
        good = BackupFolder(Path(settings.backups.folder), settings.database.url).good(now_us)
    except OSError as error:
        return problem("backups", f"{settings.backups.folder} cannot be read: {error.strerror}", _BACKUP_ADVICE)
    if not good:
        return problem("backups", f"{settings.backups.folder} has no good backup yet", _BACKUP_ADVICE)
    age_us, overdue_us = now_us - good[0].made_us, wait_us(settings.alerts.backup_overdue)
    text = f"the last good one was made {age_us // HOUR_US} h ago: {good[0].path}"
    if 0 < overdue_us <= age_us:
        return problem("backups", text, _BACKUP_ADVICE)
    return ok("backups", text)


def clock(settings: Settings, now_us: int) -> Result:
    """The clock of this machine beside the newest event that the database has."""
    newest_us = engines.newest_receipt_us(settings.database.url)
    if newest_us is not None and newest_us > now_us + CLOCK_MOST_US:
        ahead = (newest_us - now_us) // SECOND_US
        return problem(
            "clock",
            f"the newest event was received {ahead} s in the future by this machine's clock",
            "Set the clock, and keep it set by NTP (chrony, systemd-timesyncd).",
        )
    return ok("clock", "no event was received in the future")
