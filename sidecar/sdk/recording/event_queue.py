"""A queue of events to send, in a small SQLite file that survives the process, also ``kill -9``.

Bounded in bytes. Past the bound it drops heartbeats first, then repeats of RECONNECTING, then the oldest events, and
counts each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec

from sidecar import private_file
from sidecar.domain import events, sdk_words
from sidecar.errors import ZimwatchError
from sidecar.sdk.recording.recorder import WireEvent

FILE: Final = "outgoing.db"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS waiting
    (position INTEGER PRIMARY KEY AUTOINCREMENT, spare INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS lost (dropped INTEGER NOT NULL);
INSERT INTO lost SELECT 0 WHERE NOT EXISTS (SELECT * FROM lost);
"""
_NEEDED, _REPEAT, _HEARTBEAT = range(3)


class EventQueue:
    """The queue in ``folder``, for one process at a time; ZimwatchError if another uses it."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.count = 0
        self.bytes = 0
        self.dropped = 0
        self._most_bytes = most_bytes
        self._states: dict[object, object] = {}
        path = folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                private_file.create(path)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=0)
            try:
                # Exclusive: SQLite holds the lock until the file is closed or the process ends.
                self._file.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;")
                self._file.executescript("PRAGMA synchronous = NORMAL;" + _TABLES)
                self.count, self.bytes = self._file.execute(
                    "SELECT count(*), coalesce(sum(length(body)), 0) FROM waiting"
                ).fetchone()
                (self.dropped,) = self._file.execute("SELECT dropped FROM lost").fetchone()
            except BaseException:
                self._file.close()
                raise
        except sqlite3.OperationalError as error:
            hint = "; another process uses it" if "locked" in str(error) else ""
            raise ZimwatchError(f"the queue {path} cannot be opened: {error}{hint}") from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise ZimwatchError(f"the queue {path} cannot be opened: {error}") from None

    def push(self, event: WireEvent, *, in_flight: int) -> None:
        """Adds an event, and keeps those up to position ``in_flight``, which are being sent. Raises sqlite3.Error."""
        body = msgspec.json.encode(event)
        self._file.execute("INSERT INTO waiting (spare, body) VALUES (?, ?)", (self._spare(event), body))
        self.count += 1
        self.bytes += len(body)
        while self.bytes > self._most_bytes and self._drop_one(in_flight):
            pass

    def oldest(self, most: int, most_bytes: int) -> list[tuple[int, bytes]]:
        """Position and body of the oldest events: at least one if there is any, else up to ``most_bytes`` together."""
        found: list[tuple[int, bytes]] = []
        size = 0
        with closing(
            self._file.execute("SELECT position, body FROM waiting ORDER BY position LIMIT ?", (most,))
        ) as rows:
            for position, body in rows:
                size += len(body) + 1
                if found and size > most_bytes:
                    break
                found.append((position, body))
        return found

    def remove(self, positions: Sequence[int], *, dropped: bool = False) -> None:
        """Removes acknowledged events; with ``dropped`` they were never delivered, and are counted."""
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for position in positions:
                row = self._file.execute(
                    "DELETE FROM waiting WHERE position = ? RETURNING length(body)", (position,)
                ).fetchone()
                if row is not None:
                    self.count -= 1
                    self.bytes -= row[0]
                    if dropped:
                        self._count_dropped()
        finally:
            self._file.execute("COMMIT")

    def clear(self) -> None:
        """Removes all events; they do not count as dropped. Raises sqlite3.Error."""
        self._file.execute("DELETE FROM waiting")
        self.count = self.bytes = 0

    def close(self) -> None:
        """Closes the file, which keeps the queued events."""
        self._file.close()

    def _drop_one(self, in_flight: int) -> bool:
        row = self._file.execute(
            "SELECT position FROM waiting WHERE position > ? ORDER BY spare DESC, position LIMIT 1", (in_flight,)
        ).fetchone()
        if row is None:
            return False
        self.remove([row[0]], dropped=True)
        return True

    def _count_dropped(self) -> None:
        self.dropped += 1
        self._file.execute("UPDATE lost SET dropped = ?", (self.dropped,))

    def _spare(self, event: WireEvent) -> int:
        if event["type"] == events.HEARTBEAT:
            return _HEARTBEAT
        if event["type"] != events.CONNECTION_STATE_CHANGED:
            return _NEEDED
        state = sdk_words.connection_state(event["state"])
        before = self._states.get(event["client_id"])
        self._states[event["client_id"]] = state
        return _REPEAT if state == before == sdk_words.RECONNECTING else _NEEDED
