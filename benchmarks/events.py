"""Events as a fleet of clients would send them, prepared before the measurement."""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

APP_ID: Final = 1_234_567_890
# The state changes of a client whose network fails repeatedly, beginning with its login.
CHANGES: Final = (
    ("CONNECTED", "SUCCESS"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("CONNECTED", "SUCCESS"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("CONNECTED", "SUCCESS"),
    ("DISCONNECTED", "SUCCESS"),
)
PLATFORMS: Final = ("Web", "Android", "IPhoneOS", "Win", "MacOS")


def uuid7(at_ms: int) -> str:
    """A UUID of version 7, like a sender's."""
    value = at_ms << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 2 << 62))


class Fleet:
    """``users`` clients, one for each user, in a random order; every seventh event of one begins a session."""

    def __init__(self, users: int, *, seed: int = 1) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a simulation's chance
        self._clients = [str(uuid.UUID(int=self._chance.getrandbits(128))) for _ in range(users)]
        self._sessions = [""] * users
        self._seqs = [0] * users
        self._now_ms = time.time_ns() // 1_000_000  # the rules would skip old events

    @property
    def known(self) -> int:
        """The number of users with an event."""
        return sum(1 for seq in self._seqs if seq)

    def events(self, count: int) -> Iterator[dict[str, Any]]:
        """The next events; no two share an id."""
        for _ in range(count):
            number = self._chance.randrange(len(self._clients))
            self._seqs[number] += 1
            turn = (self._seqs[number] - 1) % len(CHANGES)
            if turn == 0:
                self._sessions[number] = str(uuid.UUID(int=self._chance.getrandbits(128)))
            if number % 20 == 0:
                self._now_ms += 1
            moment = datetime.fromtimestamp(self._now_ms / 1_000, UTC).isoformat(timespec="milliseconds")
            state, event = CHANGES[turn]
            yield {
                "id": uuid7(self._now_ms),
                "type": "connection_state_changed",
                "occurred_at": moment.replace("+00:00", "Z"),
                "client_id": self._clients[number],
                "seq": self._seqs[number],
                "session_id": self._sessions[number],
                "app_id": APP_ID,
                "user_id": f"user-{number:07}",
                "platform": PLATFORMS[number % len(PLATFORMS)],
                "sdk": {"name": "zego-zim-web", "version": "2.29.0"},
                "state": state,
                "event": event,
                "extended_data": "{}",
            }

    def bodies(self, count: int, batch: int) -> list[bytes]:
        """``count`` events from now on, as request bodies of ``batch`` events each."""
        self._now_ms = max(self._now_ms, time.time_ns() // 1_000_000)
        return [json.dumps(list(self.events(batch))).encode() for _ in range(count // batch)]
