"""A simulated ZIM client: moves as the real SDK was seen to move, and reports it as wire-v1 events.

Pure: it is told the time and given its chance (a ``random.Random``), does no I/O and never sleeps, so that the same
seed and the same times always give the same events. Times are microseconds since the Unix epoch, UTC.

Source for the order of states and for the causes: ZIM Web API reference, ``connectionStateChanged`` and
``tokenWillExpire``; the gaps between retries are those of zego-zim-web 2.29.0 as run without a network.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sidecar.domain import connection, events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

WireEvent = dict[str, Any]

SECOND_US: Final = 1_000_000
# The first gap is drawn from this range, the rest follow, and the last one repeats without end.
FIRST_RETRY_S: Final = (0.5, 2.0)
RETRY_GAPS_S: Final = (2, 2, 4, 4, 8, 8, 16, 16, 32)
WILL_EXPIRE_S: Final = 30
EXPIRES_EARLY_S: Final = 2
HEARTBEAT_S: Final = 15
NOT_LOGGED_IN_CODE: Final = 6_000_121
NO_NETWORK_CODE: Final = 6_000_104
TOKEN_EXPIRED_CODE: Final = 6_000_106
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# What may follow a connection state: (state, event).
TRANSITIONS: Final[dict[str, frozenset[tuple[str, str]]]] = {
    connection.DISCONNECTED: frozenset({(connection.CONNECTING, connection.ACTIVE_LOGIN)}),
    connection.CONNECTING: frozenset(
        {
            (connection.CONNECTED, connection.SUCCESS),
            (connection.DISCONNECTED, connection.LOGIN_INTERRUPTED),
            (connection.DISCONNECTED, connection.SUCCESS),
            (connection.DISCONNECTED, connection.KICKED_OUT),
        }
    ),
    connection.CONNECTED: frozenset(
        {
            (connection.RECONNECTING, connection.LOGIN_INTERRUPTED),
            (connection.DISCONNECTED, connection.SUCCESS),
            (connection.DISCONNECTED, connection.KICKED_OUT),
            (connection.DISCONNECTED, connection.TOKEN_EXPIRED),
        }
    ),
    connection.RECONNECTING: frozenset(
        {
            (connection.RECONNECTING, connection.LOGIN_INTERRUPTED),
            (connection.CONNECTED, connection.SUCCESS),
            (connection.DISCONNECTED, connection.SUCCESS),
            (connection.DISCONNECTED, connection.LOGIN_TIMEOUT),
            (connection.DISCONNECTED, connection.KICKED_OUT),
            (connection.DISCONNECTED, connection.TOKEN_EXPIRED),
        }
    ),
}


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What runs the SDK. ``as_integers``: it reports the SDK's integers, else the names in upper snake case."""

    platform: str
    sdk_name: str
    sdk_version: str
    app_version: str
    device_id: str
    as_integers: bool


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How a client lives; times in seconds. A ``None`` means that it never happens.

    ``outage_every``, ``stays`` and ``away`` are means of exponential draws; ``outage_lasts`` is a range. The ``first_``
    ones come once, that long after the start or the first login. ``gives_up``: how long it reconnects before
    LOGIN_TIMEOUT (SDKs before 2.9.0 gave up after five minutes).
    """

    first_login: float | None = 0.0
    first_outage: float | None = None
    first_logout: float | None = None
    outage_every: float | None = 180.0
    outage_lasts: tuple[float, float] = (1.0, 45.0)
    stays: float | None = 600.0
    away: float = 30.0
    token_lives: float = 86_400.0
    renews: bool = True
    refused: float = 0.0
    gives_up: float | None = None


def uuid7(at_us: int, rng: Random) -> uuid.UUID:
    """A version 7 UUID (RFC 9562, section 5.7) of this time, its random bits drawn from ``rng``."""
    high = (at_us // 1_000) << 16 | 0x7 << 12 | rng.getrandbits(12)
    return uuid.UUID(int=high << 64 | 0b10 << 62 | rng.getrandbits(62))


def rfc3339(at_us: int) -> str:
    """``2026-11-24T01:02:03.004Z``."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SimulatedClient:
    """One SDK instance in one process. :meth:`advance` gives what it reported up to a moment, oldest first."""

    def __init__(
        self, *, app_id: int, user_id: str, device: Device, habits: Habits, start_us: int, rng: Random
    ) -> None:
        self.app_id = app_id
        self.user_id = user_id
        self.device = device
        self.state = connection.DISCONNECTED
        self._habits = habits
        self._rng = rng
        self._client_id = str(uuid7(start_us, rng))
        self._session_id: str | None = None
        self._seq = 0
        self._known_user: str | None = None
        self._retries = 0
        self._network_back_us = 0
        self._reconnecting_since_us = 0
        self._token_expires_us = 0
        self._first = {"outage": habits.first_outage, "logout": habits.first_logout}
        self._out: list[WireEvent] = []
        self._timers: dict[str, int] = {}
        self._actions: dict[str, Callable[[int], None]] = {
            "login": self._log_in,
            "connected": self._connect,
            "refused": self._refuse,
            "outage": self._lose_network,
            "retry": self._retry,
            "logout": self._log_out,
            "will_expire": self._token_will_expire,
            "expired": self._token_expired,
            "renew": self._renew,
            "call": self._call_in_vain,
            "heartbeat": self._heartbeat,
        }
        if habits.first_login is not None:
            self._at("login", start_us, habits.first_login)

    @property
    def due_us(self) -> int | None:
        """When it will do something next by itself; None: never."""
        return min(self._timers.values(), default=None)

    @property
    def logged_in(self) -> bool:
        """Between a login and its end."""
        return self._session_id is not None

    def advance(self, now_us: int) -> list[WireEvent]:
        """Does all that is due by ``now_us``, each at its own time, and gives the events of it."""
        while self._timers:
            name, due_us = min(self._timers.items(), key=lambda timer: (timer[1], timer[0]))
            if due_us > now_us:
                break
            del self._timers[name]
            self._actions[name](due_us)
        out, self._out = self._out, []
        return out

    def log_in(self, at_us: int) -> None:
        """The app calls ``login``, unless it is logged in."""
        if not self.logged_in:
            self._timers["login"] = at_us

    def log_out(self, at_us: int) -> None:
        """The app calls ``logout``, if it is logged in."""
        if self.logged_in:
            self._timers["logout"] = at_us

    def kick_out(self, at_us: int) -> None:
        """The server ends this login, because the same user logged in on another device."""
        if not self.logged_in:
            return
        text = '{"reason":1,"message":"the user logged in on another device"}'
        self._end(at_us, connection.KICKED_OUT, text if self.device.as_integers else "Kicked out with102005")
        self._at("call", at_us, self._rng.uniform(0.5, 2))

    def lose_network(self, at_us: int) -> None:
        """The network goes now, if it is there."""
        if self.state == connection.CONNECTED:
            self._timers["outage"] = at_us

    def _at(self, name: str, now_us: int, after_s: float) -> None:
        self._timers[name] = now_us + round(after_s * SECOND_US)

    def _drawn(self, mean_s: float) -> float:
        return self._rng.expovariate(1 / mean_s)

    def _some_time(self, name: str, now_us: int, mean_s: float | None) -> None:
        after_s = self._first.pop(name, None)
        if after_s is None and mean_s is not None:
            after_s = self._drawn(mean_s)
        if after_s is not None:
            self._at(name, now_us, after_s)

    def _say(self, kind: str, at_us: int, **fields: object) -> None:
        self._seq += 1
        self._out.append(
            {
                "id": str(uuid7(at_us, self._rng)),
                "type": kind,
                "occurred_at": rfc3339(at_us),
                "client_id": self._client_id,
                "seq": self._seq,
                "session_id": self._session_id,
                "app_id": self.app_id,
                "user_id": self._known_user,
                "platform": self.device.platform,
                "sdk": {"name": self.device.sdk_name, "version": self.device.sdk_version},
                "app_version": self.device.app_version,
                "device_id": self.device.device_id,
                **fields,
            }
        )

    def _move(self, at_us: int, state: str, event: str, extended_data: str = "") -> None:
        if (state, event) not in TRANSITIONS[self.state]:
            message = f"{self.state} is never followed by {state}, {event}"
            raise AssertionError(message)
        self.state = state
        self._say(
            events.CONNECTION_STATE_CHANGED,
            at_us,
            state=self._spelled(state, connection.STATES),
            event=self._spelled(event, connection.EVENTS),
            extended_data=extended_data,
        )

    def _spelled(self, name: str, names: tuple[str, ...]) -> int | str:
        return names.index(name) if self.device.as_integers else name

    def _end(self, at_us: int, event: str, extended_data: str = "") -> None:
        self._move(at_us, connection.DISCONNECTED, event, extended_data)
        self._session_id = None
        self._timers.clear()
        self._at("login", at_us, 3 + self._drawn(self._habits.away))

    def _log_in(self, at_us: int) -> None:
        self._known_user = self.user_id
        self._session_id = str(uuid7(at_us, self._rng))
        self._token_expires_us = at_us + round(self._habits.token_lives * SECOND_US)
        expires = rfc3339(self._token_expires_us)
        self._say(events.LOGIN, at_us, offline_login=False, token_expires_at=expires)
        self._move(at_us, connection.CONNECTING, connection.ACTIVE_LOGIN)
        refused = self._rng.random() < self._habits.refused
        self._at("refused" if refused else "connected", at_us, self._rng.uniform(0.05, 0.4))

    def _connect(self, at_us: int) -> None:
        first = self.state == connection.CONNECTING
        self._move(at_us, connection.CONNECTED, connection.SUCCESS, "{}" if first else "")
        self._retries = 0
        if first:
            self._say(events.LOGIN_RESULT, at_us, code=0, message="")
            self._watch_token(at_us)
            self._at("heartbeat", at_us, HEARTBEAT_S)
            self._some_time("logout", at_us, self._habits.stays)
        self._some_time("outage", at_us, self._habits.outage_every)

    def _refuse(self, at_us: int) -> None:
        self._say(events.LOGIN_RESULT, at_us, code=TOKEN_EXPIRED_CODE, message="token expired")
        self._end(at_us, connection.LOGIN_INTERRUPTED)

    def _lose_network(self, at_us: int) -> None:
        self._reconnecting_since_us = at_us
        self._network_back_us = at_us + round(self._rng.uniform(*self._habits.outage_lasts) * SECOND_US)
        self._move(at_us, connection.RECONNECTING, connection.LOGIN_INTERRUPTED)
        self._at("retry", at_us, self._rng.uniform(*FIRST_RETRY_S))

    def _retry(self, at_us: int) -> None:
        gives_up = self._habits.gives_up
        if at_us >= self._network_back_us:
            self._connect(at_us)
        elif gives_up is not None and at_us - self._reconnecting_since_us >= gives_up * SECOND_US:
            self._end(at_us, connection.LOGIN_TIMEOUT)
        else:
            self._move(at_us, connection.RECONNECTING, connection.LOGIN_INTERRUPTED)
            self._at("retry", at_us, RETRY_GAPS_S[min(self._retries, len(RETRY_GAPS_S) - 1)])
            self._retries += 1

    def _log_out(self, at_us: int) -> None:
        self._say(events.LOGOUT, at_us)
        self._end(at_us, connection.SUCCESS)

    def _watch_token(self, at_us: int) -> None:
        self._timers["will_expire"] = max(at_us, self._token_expires_us - WILL_EXPIRE_S * SECOND_US)
        self._timers["expired"] = max(at_us, self._token_expires_us - EXPIRES_EARLY_S * SECOND_US)

    def _token_will_expire(self, at_us: int) -> None:
        self._say(events.TOKEN_WILL_EXPIRE, at_us, second=(self._token_expires_us - at_us) // SECOND_US)
        if self._habits.renews:
            self._at("renew", at_us, self._rng.uniform(1, 4))

    def _renew(self, at_us: int) -> None:
        if self.state != connection.CONNECTED:
            self._say(events.TOKEN_RENEWED, at_us, code=NO_NETWORK_CODE, token_expires_at=None)
            self._at("renew", at_us, self._rng.uniform(4, 8))
            return
        self._token_expires_us = at_us + round(self._habits.token_lives * SECOND_US)
        self._say(events.TOKEN_RENEWED, at_us, code=0, token_expires_at=rfc3339(self._token_expires_us))
        self._watch_token(at_us)

    def _token_expired(self, at_us: int) -> None:
        self._end(at_us, connection.TOKEN_EXPIRED, f"Token expired for timer {self._habits.token_lives:.0f}")
        self._at("call", at_us, self._rng.uniform(0.5, 2))

    def _call_in_vain(self, at_us: int) -> None:
        self._say(events.API_ERROR, at_us, method="sendMessage", code=NOT_LOGGED_IN_CODE, message="not logged in")

    def _heartbeat(self, at_us: int) -> None:
        self._say(events.HEARTBEAT, at_us, state=self._spelled(self.state, connection.STATES))
        self._at("heartbeat", at_us, HEARTBEAT_S)


class SimulatedUser:
    """A user's clients. With ``one_device`` a login on one kicks the others out, as the server does by default."""

    def __init__(self, clients: Sequence[SimulatedClient], *, one_device: bool = False) -> None:
        self.clients = clients
        self._one_device = one_device

    def advance(self, now_us: int) -> list[WireEvent]:
        """Events of every client up to ``now_us``, oldest first."""
        out: list[WireEvent] = []
        while due := [(client.due_us, at) for at, client in enumerate(self.clients) if client.due_us is not None]:
            due_us, at = min(due)
            if due_us > now_us:
                break
            said = self.clients[at].advance(due_us)
            if self._one_device and any(event["type"] == events.LOGIN_RESULT and event["code"] == 0 for event in said):
                for other in self.clients:
                    if other is not self.clients[at]:
                        other.kick_out(due_us)
                        said += other.advance(due_us)
            out += said
        return out
