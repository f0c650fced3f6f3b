"""One log line a request, up to a number of lines a minute; the requests beyond are counted, and summed up in a line.

A successful request counts for its route, and a failed one for its status, whatever the route. Both are few, so that no
flood of requests or of refusals fills a disk, or takes more than a count each.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import Final

import msgspec
import structlog

from sidecar.settings import LogSettings

WINDOW_S: Final = 60.0
_ERROR: Final = 400
_NAME: Final = "zimwatch.request"
_log = structlog.stdlib.get_logger(_NAME)
_levels = logging.getLogger(_NAME)


class _Window(msgspec.Struct):
    """The requests of one route, or of one status, since its first line."""

    level: int
    timer: asyncio.TimerHandle
    written: int = 0
    left_out: int = 0
    slowest_ms: float = 0.0


class RequestLog:
    """Writes the lines: within :data:`WINDOW_S` as many as the settings have, one by one. Used in the event loop."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._windows: dict[str | int, _Window] = {}

    def note(self, level: int, *, method: str, route: str, status: int, duration_ms: float) -> None:
        """To be called once for each request, with its answer's status. ``route`` is the template, not the path."""
        if not _levels.isEnabledFor(level):
            return
        about = route if status < _ERROR else status
        window = self._windows.get(about)
        if window is None:
            timer = asyncio.get_running_loop().call_later(
                WINDOW_S,
                self._end,
                about,
                context=contextvars.Context(),  # it is of no request
            )
            window = self._windows[about] = _Window(level, timer)
        if window.written < self._settings.requests_a_minute:
            window.written += 1
            _log.log(level, "request", method=method, route=route, status=status, duration_ms=duration_ms)
        else:
            window.level = max(window.level, level)
            window.left_out += 1
            window.slowest_ms = max(window.slowest_ms, duration_ms)

    def close(self) -> None:
        """Writes what is still to be summed up."""
        for about in tuple(self._windows):
            self._end(about)

    def _end(self, about: str | int) -> None:
        window = self._windows.pop(about)
        window.timer.cancel()
        if window.left_out:
            named = {"route": about} if isinstance(about, str) else {"status": about}
            _log.log(window.level, "more requests", **named, count=window.left_out, slowest_ms=window.slowest_ms)
