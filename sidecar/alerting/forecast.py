"""How many users' tokens end soon, of those whose tokens live long enough for that to say something.

Of tokens that live for two hours one half ends within the next hour, at any time, and of shorter ones more: they are
left out. Such a token that is still good was told less than two hours ago, so that only that much of the log is read,
each event once.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.domain.alerting.token_rules import Ending
from sidecar.store import alert_log

# A token that lives for no more than so many times the forecast's span is left out.
_SHORT = 2


class Forecast:
    """One call at a time; each learns from the events since the last one."""

    def __init__(self, span_us: int) -> None:
        self._span_us = span_us
        self._short: set[tuple[int, str, int]] = set()
        self._position = 0

    def ending(self, connection: sa.Connection, now_us: int) -> dict[int, Ending]:
        """By app: how many users' tokens end within the span, of how many."""
        short_us = _SHORT * self._span_us
        found = alert_log.tokens_beyond(connection, now_us + short_us)
        soon = alert_log.tokens_ending(connection, now_us, now_us + short_us)
        if soon:
            self._learn(connection, now_us, short_us)
        counted = {app_id: [0, count] for app_id, count in found.items()}
        for token in soon:
            if token not in self._short:
                count = counted.setdefault(token[0], [0, 0])
                count[0] += token[2] <= now_us + self._span_us
                count[1] += 1
        return {app_id: Ending(*count) for app_id, count in counted.items()}

    def _learn(self, connection: sa.Connection, now_us: int, short_us: int) -> None:
        self._short = {token for token in self._short if token[2] > now_us}
        self._position, told = alert_log.tokens_told(connection, self._position, now_us - short_us)
        for app_id, user_id, expires_us, told_us in told:
            if now_us < expires_us <= told_us + short_us:
                self._short.add((app_id, user_id, expires_us))
