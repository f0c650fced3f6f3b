"""Finds the token or the browser session of a request: in memory, or else by its index, on the caller's thread.

What is in memory was committed. It is dropped in the commit that changes any token, account or session, if that is
announced here, and otherwise within :data:`OLDEST_US`. Unknown secrets are not kept: each is looked up in the database,
so that a new token works at once and a guess takes no memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sidecar.clock import Clock
from sidecar.domain import api_token
from sidecar.domain.units import HOUR_US, MINUTE_US, SECOND_US
from sidecar.store.access import app_sets, browser_sessions, tokens
from sidecar.store.database import Database
from sidecar.store.values import BrowserSession, Commit, Token

MOST: Final = 10_000
"""Tokens, and as many sessions, in memory, under 1 KB each. Past that they are looked up and kept again."""
OLDEST_US: Final = SECOND_US // 4
"""How often the database is checked for commits of other processes while there are requests."""
ANY_EVER: Final = "SELECT 1 FROM api_tokens UNION ALL SELECT 1 FROM accounts LIMIT 1"
"""Has a row once a token or an account was made; rows are never deleted."""
USED_EVERY_US: Final = HOUR_US
"""The precision of a token's last use: so often at most it is recorded."""
WRITTEN_EVERY_US: Final = MINUTE_US
"""Uses of all tokens are written in one commit, so often at most."""


class _Held(msgspec.Struct):
    """What was read since the last change. It is replaced as a whole, so that a row read before is not kept after."""

    tokens: dict[bytes, Token] = {}
    sessions: dict[bytes, BrowserSession] = {}
    apps: list[tuple[frozenset[int], int | None]] | None = None
    of_identities: dict[str, list[Token]] | None = None
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
        # By the id of a token: when its last use was noted, and what of that is not written yet.
        self._noted_us: dict[int, int] = {}
        self._unwritten_us: dict[int, int] = {}
        self._written_us: int | None = None
        database.listen(self._follow)

    def token(self, secret: str) -> Token | None:
        """The token with this secret, also one that is revoked or expired; None where there is none.

        A secret that was mistyped is not looked up.
        """
        if api_token.is_mistyped(secret):
            return None
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
            held.apps = [
                (app_sets.read(apps) or frozenset(), None if unending else end_us)
                for apps, end_us, unending in self._database.peek(tokens.APPS)
            ]
        valid = (apps for apps, end_us in held.apps if end_us is None or end_us > now_us)
        return frozenset().union(*valid)

    def of_identity(self, identity: str) -> list[Token]:
        """The valid tokens that somebody made whom a provider or a proxy named, by the key of that person."""
        held, now_us = self._current(), self._clock()
        if held.of_identities is None:
            held.of_identities = {}
            for token in map(tokens.token_of, self._database.peek(tokens.OF_IDENTITIES, now_us)):
                held.of_identities.setdefault(token.made_by_identity or "", []).append(token)
        return [token for token in held.of_identities.get(identity, ()) if token.state(now_us) == "good"]

    def used(self, token: Token) -> None:
        """Notes a request of the token, unless one was noted within :data:`USED_EVERY_US`; nothing is written yet."""
        now_us = self._clock()
        before_us = max(self._noted_us.get(token.id, 0), token.last_used_at_us or 0)
        if abs(now_us - before_us) >= USED_EVERY_US:  # further ahead where the clock was set back
            if len(self._noted_us) >= MOST:
                self._noted_us.clear()
            self._noted_us[token.id] = self._unwritten_us[token.id] = now_us

    def unwritten_uses(self, *, at_once: bool = False) -> dict[int, int]:
        """When tokens, by id, were used that were noted since the last call.

        Empty within :data:`WRITTEN_EVERY_US` of a call that was not, unless ``at_once``.
        """
        now_us = self._steady()
        is_due = self._written_us is None or now_us - self._written_us >= WRITTEN_EVERY_US
        if not self._unwritten_us or not (is_due or at_once):
            return {}
        uses, self._unwritten_us, self._written_us = self._unwritten_us, {}, now_us
        return uses

    def keep_unwritten(self, uses: Mapping[int, int]) -> None:
        """Takes back uses that could not be written."""
        self._unwritten_us = {**uses, **self._unwritten_us}

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
