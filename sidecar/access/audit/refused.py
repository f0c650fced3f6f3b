"""Refused requests in the audit log: the first of its kind is an entry, and those that follow are counted in another.

Anyone can make many, so that a window has entries of a bounded number of kinds, and counts the rest together.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sidecar.store.access.audit_values import Entry

WINDOW_S: Final = 300.0
KINDS_MOST: Final = 20
MANY: Final = "many"
"""In place of who and from where, where more than ``KINDS_MOST`` kinds were refused in a window."""


class _Window(msgspec.Struct):
    """Those of one kind since the first, which was recorded."""

    last: Entry
    timer: asyncio.TimerHandle
    more: int = 0


class Refused:
    """Counts them, and gives the entries to ``record``. Used in the event loop."""

    def __init__(self, record: Callable[[Sequence[Entry]], None]) -> None:
        self._record = record
        self._windows: dict[Any, _Window] = {}

    def note(self, entries: Sequence[Entry]) -> None:
        """To be called once for each request that was refused, with its entries."""
        for entry in entries:
            self._note(entry)

    def close(self) -> None:
        """Records what was counted so far."""
        for kind in tuple(self._windows):
            self._end(kind)

    def _note(self, entry: Entry) -> None:
        kind: Any = (entry.actor, entry.address, entry.details.get("status"), entry.details.get("route"), entry.subject)
        if kind not in self._windows and len(self._windows) >= KINDS_MOST:
            kind = entry.details.get("status")
            entry = msgspec.structs.replace(entry, actor=MANY, address=None, subject=None)
        window = self._windows.get(kind)
        if window is not None:
            window.last, window.more = entry, window.more + 1
            return
        timer = asyncio.get_running_loop().call_later(WINDOW_S, self._end, kind, context=contextvars.Context())
        self._windows[kind] = _Window(entry, timer)
        self._record([entry])

    def _end(self, kind: object) -> None:
        window = self._windows.pop(kind)
        window.timer.cancel()
        if window.more:
            details = {**window.last.details, "times": window.more}
            self._record([msgspec.structs.replace(window.last, details=details, request_id=None)])
