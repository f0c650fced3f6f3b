"""When a rule fires and when what it fired is over: the numbers, in the units of the domain."""

from __future__ import annotations

import msgspec

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """``docs/alerts.md`` says what each means. A duration of 0 switches off what it is the duration of."""

    resolve_after_us: int = 24 * _HOUR_US
    max_age_us: int = 15 * _MINUTE_US
    online_elsewhere_us: int = 5 * _MINUTE_US
    offline_too_long_us: int = 5 * _MINUTE_US
    ping_pong_kicks: int = 3
    ping_pong_window_us: int = 10 * _MINUTE_US
    storm_window_us: int = _MINUTE_US
    storm_users: int = 20
    storm_share: float = 0.05
    storm_share_down: float = 0.02
    token_forecast_us: int = _HOUR_US
    token_forecast_users: int = 100
    stalled_after_us: int = 5 * _MINUTE_US
    flap_count: int = 4
    flap_window_us: int = 15 * _MINUTE_US
    off: frozenset[str] = frozenset()

    @property
    def looks_back_us(self) -> int:
        """How old an alert may be that a rule still asks for after a start."""
        offline_us = self.offline_too_long_us + self.resolve_after_us
        return max(offline_us, self.max_age_us, self.ping_pong_window_us, self.storm_window_us, self.flap_window_us)
