"""Counts the users whose tokens end soon, of those with tokens of more than twice the forecast's span.

With a span of one hour, half of the tokens that live for two hours end within it at any time: such short ones are left
out. One that is still valid was reported within two spans, so that only that much of the log is read, each event once.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.alerting.tables import rule_reads
from sidecar.domain.alerts.rules.token_expiring import Ending

# A token that lives for no more spans than this is left out.
_SHORT = 2


class Forecast:
    """For one call at a time; each reads the events since the last one."""

    def __init__(self, span_us: int) -> None:
        self._span_us = span_us
        self._short: set[tuple[int, str, int]] = set()
        self._position = 0

    def ending(self, connection: sa.Connection, now_us: int) -> dict[int, Ending]:
        """By app: how many users' tokens end within the span, of how many."""
        short_us = _SHORT * self._span_us
        found = rule_reads.tokens_beyond(connection, now_us + short_us)
        soon = rule_reads.tokens_ending(connection, now_us, now_us + short_us)
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
        self._position, reported = rule_reads.reported_tokens(connection, self._position, now_us - short_us)
        for app_id, user_id, expires_us, reported_us in reported:
            if now_us < expires_us <= reported_us + short_us:
                self._short.add((app_id, user_id, expires_us))
