"""What is tuned in SQLite, with the reason and the measured gain; the rest of this package needs none of it."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from sidecar.domain.units import MS_US, SECOND_US

# Python's driver looks up an adapter for each value that is no int, float or text, and is slow to find that there is
# none. These adapters change nothing: 4.4 µs instead of 6.8 for the row of an event.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)
_unchanged: Any = {}.get
sqlite3.register_adapter(type(None), _unchanged)

SPARE_CONNECTIONS: Final = 1
"""Connections kept for the next transaction: 39 µs instead of 69 for a small one. For reads each is kept: 25 instead of
61."""

WRITER_CACHE_KIB: Final = 12_288
"""1,600 events of 20,000 users change 9 MB of pages. With SQLite's own 2 MB many are written and read again within the
commit: a twelfth of the CPU of an event, of which 8 MiB save a third and 16 no more."""

READER_CACHE_KIB: Final = 1_024
"""Half of SQLite's own, because there are several readers."""

LOG_BYTES: Final = 16_777_216
"""To this size a write-ahead log that had to grow is cut again."""

CHECKPOINT_EVENTS: Final = 1_000
CHECKPOINT_SOONEST_US: Final = 125 * MS_US
CHECKPOINT_LATEST_US: Final = SECOND_US
"""The log is checkpointed once it has so many events, so that no caller waits for the pages of many, but not more often
than ``SOONEST``; and after ``LATEST`` where few events arrive."""

VACUUM_PAGES: Final = 200
"""Free pages returned to the disk with a slice of retention."""
SPARE_PAGES: Final = 1_024
"""Free pages kept for new events."""
TIGHT_VACUUM_PAGES: Final = 10
"""``VACUUM_PAGES`` on a disk that is nearly full, so that a slice takes some hundred KB of the log."""

WIPE_BYTES: Final = 16_777_216
"""How much of the file is looked through at once for what was deleted: 30 ms, in which nothing is committed."""
WIPE_PAUSE_US: Final = 20 * MS_US
WIPE_RETRY_US: Final = 200 * MS_US
"""The pause between two of these, and after one that a reader was in the way of."""
