"""Reads the settings again while Zimwatch runs: at SIGHUP, and for ``POST /v1/admin/reload``.

Settings that are not valid change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import structlog
from opentelemetry import metrics
from opentelemetry.metrics import Observation

from sidecar.errors import SettingsError, ZimwatchError
from sidecar.settings import Loaded
from sidecar.settings.live import LIVE, Changes, take_over
from sidecar.system.threads import THREADS, Threads, run_in

Reread = Callable[[], Loaded]
"""Reads and checks the settings from their sources; SettingsError names all that is wrong."""
Follow = Callable[[frozenset[str]], Awaitable[None]]
"""Follows settings that have changed: their keys."""

_log = structlog.stdlib.get_logger(__name__)
# Observed and not added to, as the settings are read before there is anything to count with.
_reloads = {"done": 0, "refused": 0}
metrics.get_meter("zimwatch").create_observable_counter(
    "zimwatch.reloads",
    [lambda _options: [Observation(count, {"result": result}) for result, count in _reloads.items()]],
    description="Times that the settings were read again, by result",
)


class Reload:
    """The settings in force. Without ``reread`` they come from no source, and reading them again changes nothing."""

    def __init__(self, loaded: Loaded, reread: Reread | None = None, threads: Threads = THREADS) -> None:
        self.loaded = loaded
        self._reread = reread or (lambda: loaded)
        self._threads = threads
        self._followers: list[Follow] = []
        # Changed keys that not everybody could follow, as where the database was away: they are followed next time.
        self._unfollowed: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    def follow(self, follower: Follow) -> None:
        """Has ``follower`` called after each reload, in the order of these calls."""
        self._followers.append(follower)

    def shown(self) -> Iterator[tuple[str, str, str]]:
        """What may be shown of the settings in force: key, value and source."""
        return self.loaded.shown()

    async def run(self) -> Changes:
        """Reads the settings again. SettingsError names all that is wrong, and nothing has changed."""
        async with self._one_at_a_time:
            try:
                new = await self._read()
            except SettingsError as error:
                _reloads["refused"] += 1
                _log.error("the settings were not read again, because they are not valid", problems=error.problems)
                raise
            changes = take_over(self.loaded.settings, new.settings)
            self.loaded = _with_sources_of(self.loaded, new)
            self._unfollowed |= set(changes.changed)
            for follower in self._followers:
                await follower(frozenset(self._unfollowed))
            self._unfollowed.clear()
            _reloads["done"] += 1
            _log.info("the settings were read again", changed=changes.changed, after_restart=changes.after_restart)
            return changes

    async def run_logged(self) -> Changes | None:
        """As :meth:`run`; None where it failed, which is in the log alone."""
        try:
            return await self.run()
        except SettingsError:
            return None  # it is logged
        except ZimwatchError as error:
            _log.error("the settings were read again, and not all could follow", problem=str(error))
            return None

    async def _read(self) -> Loaded:
        pool = self._threads.pool("zimwatch-settings", 1)
        try:
            return await run_in(pool, self._reread)
        finally:
            pool.shutdown(wait=False)


def _with_sources_of(loaded: Loaded, new: Loaded) -> Loaded:
    """The settings in force, where those that may change come from their new sources."""
    sources = {key: (new if key in LIVE else loaded).sources[key] for key in loaded.sources}
    secret = {key for key in loaded.sources if key in (new if key in LIVE else loaded).secret}
    return Loaded(loaded.settings, sources, frozenset(secret))
