"""How long a client may be silent before its last word is no longer taken as confirmed.

The SDK gives no callback when a process dies, so silence is all there is to go by.
"""

from __future__ import annotations

import msgspec


class Leases(msgspec.Struct, frozen=True):
    """How long one sign of life lasts: for a client that sends heartbeats, and for one that never has."""

    heartbeat_us: int = 45_000_000
    silent_us: int = 86_400_000_000

    def until_us(self, last_seen_at_us: int, *, sends_heartbeats: bool) -> int:
        """When a client last seen at ``last_seen_at_us`` (by the server's clock) becomes unconfirmed."""
        return last_seen_at_us + (self.heartbeat_us if sends_heartbeats else self.silent_us)
