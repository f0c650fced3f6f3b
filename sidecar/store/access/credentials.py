"""Finds the token or the browser session of a request: in memory, or else by its index, on the caller's thread.

What is in memory was committed. It is dropped in the commit that changes any token, account or session, if that is
announced here, and otherwise within :data:`OLDEST_US`. Unknown secrets are not kept: each is looked up in the database,
so that a new token works at once and a guess takes no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sidecar.clock import Clock
from sidecar.domain.units import SECOND_US
from sidecar.store.access import browser_sessions, tokens
from sidecar.store.database import Database
from sidecar.store.values import BrowserSession, Commit, Token

MOST: Final = 10_000
"""Tokens, and as many sessions, in memory, under 1 KB each. Past that they are looked up and kept again."""
OLDEST_US: Final = SECOND_US // 4
"""How often the database is checked for commits of other processes while there are requests."""
ANY_EVER: Final = "SELECT 1 FROM api_tokens UNION ALL SELECT 1 FROM accounts LIMIT 1"
"""Has a row once a token or an account was made; rows are never deleted."""


class _Held(msgspec.Struct):
    """What was read since the last change. It is replaced as a whole, so that a row read before is not kept after."""

    tokens: dict[bytes, Token] = {}
    sessions: dict[bytes, BrowserSession] = {}
    apps: dict[int, int | None] | None = None
    nobody: bool = False


class Credentials:
    """Looks up what requests are authenticated by. Its methods are called in one thread."""

    def __init__(self, database: Database, clock: Clock, steady: Clock) -> None:
        self._database = database
        self._clock = clock
        self._steady = steady
        self._any_ever = False
        self._held = _Held()
        self._checked_us: int | None = None
        self._unannounced = 0
        database.listen(self._follow)

    def token(self, secret: str) -> Token | None:
        """The token with this secret, also one that is revoked or expired; None where there is none."""
        held, key = self._current(), tokens.hashed(secret)
        found = held.tokens.get(key)
        if found is None and (row := self._row(tokens.WITH_THIS_SECRET, key)) is not None:
            found = tokens.token_of(row)
            _keep(held.tokens, key, found)
            self._any_ever = True  # also where another process created it, and no check has noticed that yet
        return found

    def session(self, secret: str) -> BrowserSession | None:
        """The session with this secret and its owner, also if one of them has ended; None where there is none."""
        held, key = self._current(), tokens.hashed(secret)
        found = held.sessions.get(key)
        if found is None and (row := self._row(browser_sessions.WITH_THIS_SECRET, key)) is not None:
            found = browser_sessions.session_of(row)
            _keep(held.sessions, key, found)
        return found

    def any_access_ever(self) -> bool:
        """Whether a token or an account was ever made. From then on every request needs one."""
        if not self._any_ever and not (held := self._current()).nobody:
            self._any_ever = self._row(ANY_EVER) is not None
            held.nobody = not self._any_ever
        return self._any_ever

    def apps(self) -> frozenset[int]:
        """The apps that valid tokens are bound to."""
        held, now_us = self._current(), self._clock()
        if held.apps is None:
            held.apps = {
                app: None if unending else end_us for app, end_us, unending in self._database.peek(tokens.APPS)
            }
        return frozenset(app_id for app_id, end_us in held.apps.items() if end_us is None or end_us > now_us)

    def _current(self) -> _Held:
        now_us = self._steady()
        if self._checked_us is None or now_us - self._checked_us >= OLDEST_US:
            unannounced = self._database.unannounced()
            if unannounced != self._unannounced:
                self._held = _Held()
            self._unannounced, self._checked_us = unannounced, now_us
        return self._held

    def _follow(self, commit: Commit) -> None:
        """Called in the thread that committed."""
        if commit.access:
            self._held = _Held()

    def _row(self, sql: str, *values: bytes) -> Sequence[Any] | None:
        return next(iter(self._database.peek(sql, *values)), None)


def _keep(held: dict[bytes, Any], key: bytes, found: object) -> None:
    if len(held) >= MOST:
        held.clear()
    held[key] = found
