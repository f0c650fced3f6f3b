"""A simulation of the ZIM SDK: takes calls, and emits callbacks and answers.

Pure: the time and a ``random.Random`` are passed in, and there is no I/O and no sleep, so that the same seed and times
always give the same output. Times are microseconds since the Unix epoch, UTC.

Source for the order of states and their causes: ZIM Web API reference, ``connectionStateChanged`` and
``tokenWillExpire``; codes, texts and the pauses between retries were observed in zego-zim-web 2.29.0 without a
network. What requires a server (CONNECTING, a successful renewal, KICKED_OUT) follows the reference alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, Final

from sidecar.domain import error_codes, sdk_words
from sidecar.domain.token04.layout import VERSION, expires_at_us
from sidecar.domain.units import SECOND_US
from sidecar.sdk.client.zim_client import (
    Call,
    CallEnded,
    ConnectionStateChanged,
    TokenWillExpire,
    ZimError,
)

Output = ConnectionStateChanged | TokenWillExpire | CallEnded

# The first pause is drawn from this range, the others follow, and the last one repeats.
FIRST_RETRY_S: Final = (0.5, 2.0)
RETRY_GAPS_S: Final = (2, 2, 4, 4, 8, 8, 16, 16, 32)
LOGIN_S: Final = (0.05, 0.4)
ANSWER_TIMEOUT_S: Final = 6
WILL_EXPIRE_S: Final = 30
EXPIRES_EARLY_S: Final = 2
RENEW_GAP_US: Final = 500_000

# The possible (state, event) after a connection state.
TRANSITIONS: Final[dict[str, frozenset[tuple[str, str]]]] = {
    sdk_words.DISCONNECTED: frozenset(
        {
            (sdk_words.CONNECTING, sdk_words.ACTIVE_LOGIN),
            # Without a network an online login leads here at once, and an offline login to CONNECTED.
            (sdk_words.RECONNECTING, sdk_words.LOGIN_INTERRUPTED),
            (sdk_words.CONNECTED, sdk_words.SUCCESS),
            (sdk_words.DISCONNECTED, sdk_words.SUCCESS),
        }
    ),
    sdk_words.CONNECTING: frozenset(
        {
            (sdk_words.CONNECTED, sdk_words.SUCCESS),
            (sdk_words.RECONNECTING, sdk_words.LOGIN_INTERRUPTED),
            (sdk_words.DISCONNECTED, sdk_words.LOGIN_INTERRUPTED),
            (sdk_words.DISCONNECTED, sdk_words.SUCCESS),
            (sdk_words.DISCONNECTED, sdk_words.KICKED_OUT),
        }
    ),
    sdk_words.CONNECTED: frozenset(
        {
            (sdk_words.RECONNECTING, sdk_words.LOGIN_INTERRUPTED),
            (sdk_words.DISCONNECTED, sdk_words.SUCCESS),
            (sdk_words.DISCONNECTED, sdk_words.KICKED_OUT),
            (sdk_words.DISCONNECTED, sdk_words.TOKEN_EXPIRED),
        }
    ),
    sdk_words.RECONNECTING: frozenset(
        {
            (sdk_words.RECONNECTING, sdk_words.LOGIN_INTERRUPTED),
            (sdk_words.CONNECTED, sdk_words.SUCCESS),
            (sdk_words.DISCONNECTED, sdk_words.SUCCESS),
            (sdk_words.DISCONNECTED, sdk_words.LOGIN_INTERRUPTED),
            (sdk_words.DISCONNECTED, sdk_words.LOGIN_TIMEOUT),
            (sdk_words.DISCONNECTED, sdk_words.KICKED_OUT),
            (sdk_words.DISCONNECTED, sdk_words.TOKEN_EXPIRED),
        }
    ),
}


class SimulatedSdk:
    """One SDK instance. ``emit`` receives the time and each callback or answer.

    ``network``: whether the servers can be reached; a loss takes effect by :meth:`lose_network`, a return at the next
    retry. ``refusal``: the server's answer to a login. ``gives_up_s``: how long it reconnects before LOGIN_TIMEOUT;
    None: for ever, as SDKs do since 2.9.0. ``socket_is_silent``: calls get no answer, and no callback tells.
    """

    def __init__(self, *, rng: Random, emit: Callable[[int, Output], None], network: bool = True) -> None:
        self.state = sdk_words.DISCONNECTED
        self.network = network
        self.refusal: ZimError | None = None
        self.gives_up_s: float | None = None
        self.socket_is_silent = False
        self._rng = rng
        self._emit = emit
        self._user: object = None  # of the current login, pending or complete
        self._logged_in = False
        self._logins: list[Call] = []  # pending
        self._unanswered: list[Call] = []
        self._retries = 0
        self._reconnecting_since_us = 0
        self._token_expires_us = 0
        self._token_lives_s = 0
        self._renewed_us: int | None = None
        self._timers: dict[str, int] = {}
        self._actions: dict[str, Callable[[int], None]] = {
            "answer": self._server_answers,
            "offline": self._enter_offline,
            "retry": self._retry,
            "answer_timeout": self._time_out,
            "will_expire": self._token_will_expire,
            "expired": self._token_expired,
        }

    @property
    def due_us(self) -> int | None:
        """When its next action is due; None: never."""
        return min(self._timers.values(), default=None)

    def advance(self, now_us: int) -> None:
        """Processes everything due by ``now_us``, each at its own time."""
        while self._timers:
            name, due_us = min(self._timers.items(), key=lambda timer: (timer[1], timer[0]))
            if due_us > now_us:
                break
            del self._timers[name]
            self._actions[name](due_us)

    def take(self, at_us: int, call: Call) -> None:
        """Handles a call of the app."""
        if call.method == "login":
            self._log_in(at_us, call)
        elif call.method == "logout":
            if self._user is not None:
                self._end(at_us, sdk_words.SUCCESS)
            self._answer(at_us, call)
        elif not self._logged_in:
            self._answer(at_us, call, error_codes.NOT_LOGGED_IN, f"API.{call.method}: Not logged with call.")
        elif call.method == "renewToken":
            self._renew(at_us, call)
        elif self.state != sdk_words.CONNECTED or not self.network:
            self._answer(at_us, call, error_codes.NO_NETWORK, f"{call.method}: Network error.")
        elif self.socket_is_silent:
            self._unanswered.append(call)
            self._at("answer_timeout", at_us, ANSWER_TIMEOUT_S)
        else:
            self._answer(at_us, call)

    def lose_network(self, at_us: int) -> None:
        """Loses the network, which the SDK notices at once if it is connected."""
        self.network = False
        if self.state == sdk_words.CONNECTED and self._logged_in:
            self._reconnect(at_us)

    def kick_out(self, at_us: int, extended_data: str = "") -> None:
        """Ends this login as the server does when the user logs in on another device."""
        if self._user is not None:
            self._end(at_us, sdk_words.KICKED_OUT, extended_data)

    def suspend(self) -> None:
        """The process is suspended: nothing is due any more, and the server notices nothing."""
        self._timers.clear()

    def _time_out(self, at_us: int) -> None:
        calls, self._unanswered = self._unanswered, []
        for call in calls:
            self._answer(at_us, call, error_codes.NO_ANSWER, f"{call.method}: Response timeout.")

    def _at(self, name: str, now_us: int, after_s: float) -> None:
        self._timers[name] = now_us + round(after_s * SECOND_US)

    def _answer(self, at_us: int, call: Call, code: int = 0, message: str = "") -> None:
        self._emit(at_us, CallEnded(call, ZimError(code, message) if code else None))

    def _move(self, at_us: int, state: str, event: str, extended_data: str = "") -> None:
        if (state, event) not in TRANSITIONS[self.state]:
            message = f"{self.state} is never followed by {state}, {event}"
            raise AssertionError(message)
        self.state = state
        numbers = {"state": sdk_words.STATES.index(state), "event": sdk_words.EVENTS.index(event)}
        self._emit(at_us, ConnectionStateChanged(**numbers, extended_data=extended_data))

    def _end(self, at_us: int, event: str, extended_data: str = "") -> None:
        """Ends the login; pending logins never get an answer."""
        self._reset()
        self._move(at_us, sdk_words.DISCONNECTED, event, extended_data)

    def _reset(self) -> None:
        self._user = None
        self._logged_in = False
        self._logins.clear()
        self._unanswered.clear()
        self._timers.clear()

    def _log_in(self, at_us: int, call: Call) -> None:
        user, config = call.args[0], call.args[1]
        options: dict[str, Any] = config if isinstance(config, dict) else {}
        token = options.get("token", "")
        expires_us = expires_at_us(token)
        if expires_us is None:
            self._refuse_token(at_us, call, token)
        elif self._user is not None and self._user != user:
            self._answer(at_us, call, error_codes.ALREADY_LOGGED_IN, "User has already logged in.")
        elif self._logged_in:
            self._answer(at_us, call)
        else:
            self._logins.append(call)
            if self._user is None:
                self._user = user
                self._take_token(at_us, expires_us)
                self._begin(at_us, offline=bool(options.get("isOfflineLogin")))

    def _refuse_token(self, at_us: int, call: Call, token: object) -> None:
        if isinstance(token, str) and token[:2].isdigit() and token[:2] != VERSION:
            self._answer(at_us, call, error_codes.TOKEN_VERSION, "Token version number is wrong.")
        else:
            self._answer(at_us, call, error_codes.TOKEN_INVALID, "Token is invalid.")

    def _take_token(self, at_us: int, expires_us: int) -> None:
        self._token_expires_us = expires_us
        self._token_lives_s = math.ceil((expires_us - at_us) / SECOND_US)

    def _begin(self, at_us: int, *, offline: bool) -> None:
        if self.network:
            self._move(at_us, sdk_words.CONNECTING, sdk_words.ACTIVE_LOGIN)
            if not self.socket_is_silent:  # else the login is pending for ever
                self._at("answer", at_us, self._rng.uniform(*LOGIN_S))
        elif offline:
            self._at("offline", at_us, self._rng.uniform(*LOGIN_S))
        else:
            self._reconnect(at_us)

    def _enter_offline(self, at_us: int) -> None:
        if self._token_expires_us - at_us <= EXPIRES_EARLY_S * SECOND_US:
            self._enter_with_an_expired_token(at_us)
            return
        self._move(at_us, sdk_words.CONNECTED, sdk_words.SUCCESS)
        self._reconnect(at_us)
        self._logged(at_us)

    def _enter_with_an_expired_token(self, at_us: int) -> None:
        """Emits CONNECTED last, although nobody is logged in."""
        logins = tuple(self._logins)
        self._token_will_expire(at_us)
        self._move(at_us, sdk_words.CONNECTED, sdk_words.SUCCESS)
        self._token_expired(at_us)
        self._move(at_us, sdk_words.CONNECTED, sdk_words.SUCCESS)
        self.state = sdk_words.DISCONNECTED
        for call in logins:
            self._answer(at_us, call)

    def _server_answers(self, at_us: int) -> None:
        if not self.network:
            self._reconnect(at_us)
        elif self.refusal is not None:
            refused, refusal = self._logins[0], self.refusal
            self._answer(at_us, refused, refusal.code, refusal.message)
            self._end(at_us, sdk_words.LOGIN_INTERRUPTED)
        else:
            self._connect(at_us)

    def _connect(self, at_us: int) -> None:
        self._retries = 0
        self._move(at_us, sdk_words.CONNECTED, sdk_words.SUCCESS, "" if self._logged_in else "{}")
        if not self._logged_in:
            self._logged(at_us)

    def _logged(self, at_us: int) -> None:
        self._logged_in = True
        self._watch_token(at_us)
        logins, self._logins = self._logins, []
        for call in logins:
            self._answer(at_us, call)

    def _reconnect(self, at_us: int) -> None:
        self._reconnecting_since_us = at_us
        self._retries = 0
        self._move(at_us, sdk_words.RECONNECTING, sdk_words.LOGIN_INTERRUPTED)
        self._at("retry", at_us, self._rng.uniform(*FIRST_RETRY_S))

    def _retry(self, at_us: int) -> None:
        if self.network:
            self._server_answers(at_us)
        elif self.gives_up_s is not None and at_us - self._reconnecting_since_us >= self.gives_up_s * SECOND_US:
            self._end(at_us, sdk_words.LOGIN_TIMEOUT)
        else:
            self._move(at_us, sdk_words.RECONNECTING, sdk_words.LOGIN_INTERRUPTED)
            self._at("retry", at_us, RETRY_GAPS_S[min(self._retries, len(RETRY_GAPS_S) - 1)])
            self._retries += 1

    def _renew(self, at_us: int, call: Call) -> None:
        token = call.args[0] if call.args else ""
        expires_us = expires_at_us(token)
        too_soon = self._renewed_us is not None and at_us - self._renewed_us < RENEW_GAP_US
        if expires_us is None:
            self._refuse_token(at_us, call, token)
            return
        self._renewed_us = at_us
        if too_soon:
            self._answer(at_us, call, error_codes.TOO_FREQUENT, "Trigger SDK internal frequency limit.")
        elif self.state != sdk_words.CONNECTED or not self.network:
            self._answer(at_us, call, error_codes.NO_NETWORK, "/sw/renew_token: Network error.")
        else:
            self._take_token(at_us, expires_us)
            self._watch_token(at_us)
            self._answer(at_us, call)

    def _watch_token(self, at_us: int) -> None:
        self._timers["will_expire"] = max(at_us, self._token_expires_us - WILL_EXPIRE_S * SECOND_US)
        self._timers["expired"] = max(at_us, self._token_expires_us - EXPIRES_EARLY_S * SECOND_US)

    def _token_will_expire(self, at_us: int) -> None:
        self._emit(at_us, TokenWillExpire(math.ceil((self._token_expires_us - at_us) / SECOND_US)))

    def _token_expired(self, at_us: int) -> None:
        self._end(at_us, sdk_words.TOKEN_EXPIRED, f"Token expired for timer {self._token_lives_s}")
