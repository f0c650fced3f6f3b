"""Simulated clients: apps over the simulated SDK that report events of wire version 1 as the tap does.

Pure, like :mod:`sidecar.sdk.simulator.simulated_sdk`: the same seed and the same times always give the same events.
Times are microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import msgspec

from sidecar.domain import error_codes, events, sdk_words
from sidecar.domain.units import SECOND_US
from sidecar.sdk.client.zim_client import (
    Call,
    CallEnded,
    ConnectionStateChanged,
    LoginConfig,
    TokenWillExpire,
    ZimError,
)
from sidecar.sdk.recording.recorder import Device, Recorder, WireEvent
from sidecar.sdk.simulator.simulated_sdk import Output, SimulatedSdk
from sidecar.sdk.token04 import made_up

HEARTBEAT_S: Final = 15  # until the server requests another interval


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The behaviour of a client; times in seconds, None for never.

    ``outage_every``, ``stays`` (logged in), ``away`` and ``calls_every`` are means of exponential distributions;
    ``outage_lasts`` is a range. The ``first_`` ones happen once, that long after the start or the first login.
    ``gives_up``: how long it reconnects before LOGIN_TIMEOUT (SDKs before 2.9.0 gave up after five minutes).
    ``refused`` is the share of logins that the server answers with ``refusal``. ``unanswered``: calls get no answer.
    """

    first_login: float | None = 0.0
    first_outage: float | None = None
    first_logout: float | None = None
    outage_every: float | None = 180.0
    outage_lasts: tuple[float, float] = (1.0, 45.0)
    stays: float | None = 600.0
    away: float | None = 30.0
    token_lives: float = 86_400.0
    renews: bool = True
    refused: float = 0.0
    refusal: tuple[int, str] = (error_codes.TOKEN_EXPIRED, "token expired")
    gives_up: float | None = None
    calls_every: float | None = None
    unanswered: bool = False


class SimulatedClient:
    """One SDK instance in one process. :meth:`advance` returns its events up to a moment, oldest first."""

    def __init__(
        self, *, app_id: int, user_id: str, device: Device, behaviour: Behaviour, start_us: int, rng: Random
    ) -> None:
        self.app_id = app_id
        self.user_id = user_id
        self.device = device
        self._behaviour = behaviour
        self._rng = rng
        self._out: list[WireEvent] = []
        self._recorder = Recorder(app_id=app_id, device=device, at_us=start_us, rng=rng, emit=self._out.append)
        self._sdk = SimulatedSdk(rng=rng, emit=self._on_output)
        self._outage_lasts_s: float | None = None
        self.logged_in = False
        self._heartbeat_after_s: int = HEARTBEAT_S
        self._timers: dict[str, int] = {}
        self._actions: dict[str, Callable[[int], None]] = {
            "login": self._log_in,
            "outage": self._lose_network,
            "return": self._restore_network,
            "logout": lambda at_us: self._call(at_us, "logout"),
            "renew": lambda at_us: self._call(at_us, "renewToken", self._token(at_us)),
            "call": self._send,
            "heartbeat": self._heartbeat,
            "sleep": self._sleep,
        }
        self._take_on(behaviour)
        if behaviour.first_login is not None:
            self._at("login", start_us, behaviour.first_login)

    @property
    def state(self) -> str:
        """The SDK's connection state."""
        return self._sdk.state

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves now."""
        return self._behaviour

    @property
    def due_us(self) -> int | None:
        """When its next action is due; None: never."""
        due_us, timer_us = self._sdk.due_us, min(self._timers.values(), default=None)
        return due_us if timer_us is None or (due_us is not None and due_us < timer_us) else timer_us

    def advance(self, now_us: int) -> list[WireEvent]:
        """Processes everything due by ``now_us``, each at its own time; returns the events."""
        while (due_us := self.due_us) is not None and due_us <= now_us:
            self._sdk.advance(due_us)
            for name in sorted(name for name, at_us in self._timers.items() if at_us == due_us):
                if self._timers.get(name) == due_us:
                    del self._timers[name]
                    self._actions[name](due_us)
        out = [*self._out]
        self._out.clear()
        return out

    def heartbeat_after(self, seconds: int, at_us: int) -> None:
        """The server requests this interval between heartbeats."""
        if seconds != self._heartbeat_after_s:
            self._heartbeat_after_s = seconds
            if "heartbeat" in self._timers:
                self._beat_again(at_us)

    def behave(self, behaviour: Behaviour, at_us: int) -> None:
        """Behaves so from now on. A client that is logged out logs in after ``first_login``."""
        self._take_on(behaviour)
        for name in ("outage", "logout", "call"):
            self._timers.pop(name, None)
        if not self.logged_in:
            self._timers.pop("login", None)
            if behaviour.first_login is not None:
                self._at("login", at_us, behaviour.first_login)
            return
        self._at_random("logout", at_us, behaviour.stays)
        if self.state == sdk_words.CONNECTED:
            self._at_random("outage", at_us, behaviour.outage_every)
            self._at_random("call", at_us, behaviour.calls_every)

    def log_in(self, at_us: int) -> None:
        """Calls ``login``, unless it is logged in."""
        if not self.logged_in:
            self._timers["login"] = at_us

    def log_in_again(self, at_us: int) -> None:
        """Calls ``login`` whether it is logged in or not."""
        self._timers["login"] = at_us

    def log_out(self, at_us: int) -> None:
        """Calls ``logout``, if it is logged in."""
        if self.logged_in:
            self._timers["logout"] = at_us

    def kick_out(self, at_us: int) -> None:
        """Ends this login as the server does when the user logs in on another device."""
        text = '{"reason":1,"message":"the user logged in on another device"}'
        self._sdk.kick_out(at_us, text if self.device.as_integers else "Kicked out with102005")

    def lose_network(self, at_us: int, lasts_s: float | None = None) -> None:
        """Loses the network, if it is connected, for ``lasts_s`` seconds."""
        if self.state == sdk_words.CONNECTED:
            self._outage_lasts_s = lasts_s
            self._timers["outage"] = at_us

    def call(self, at_us: int) -> None:
        """Sends a message, whether it is logged in or not."""
        self._timers["call"] = at_us

    def suspend(self, at_us: int) -> None:
        """The phone sleeps: a last heartbeat, and then neither a callback nor a call until it behaves otherwise."""
        self._timers["sleep"] = at_us

    def _take_on(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._first = {"outage": behaviour.first_outage, "logout": behaviour.first_logout}
        self._sdk.gives_up_s = behaviour.gives_up
        self._sdk.socket_is_silent = behaviour.unanswered

    def _at(self, name: str, now_us: int, after_s: float) -> None:
        self._timers[name] = now_us + round(after_s * SECOND_US)

    def _drawn(self, mean_s: float) -> float:
        return self._rng.expovariate(1 / mean_s)

    def _at_random(self, name: str, now_us: int, mean_s: float | None) -> None:
        after_s = self._first.pop(name, None)
        if after_s is None and mean_s is not None:
            after_s = self._drawn(mean_s)
        if after_s is not None:
            self._at(name, now_us, after_s)

    def _token(self, at_us: int) -> str:
        return made_up(at_us + round(self._behaviour.token_lives * SECOND_US), self._rng)

    def _call(self, at_us: int, method: str, *args: object) -> None:
        call = Call(method, args)
        self._recorder.call(at_us, call)
        self._sdk.take(at_us, call)

    def _log_in(self, at_us: int) -> None:
        refused = self._rng.random() < self._behaviour.refused
        self._sdk.refusal = ZimError(*self._behaviour.refusal) if refused else None
        self.logged_in = True
        self._call(at_us, "login", self.user_id, msgspec.to_builtins(LoginConfig(token=self._token(at_us))))

    def _lose_network(self, at_us: int) -> None:
        self._sdk.lose_network(at_us)
        lasts_s, self._outage_lasts_s = self._outage_lasts_s, None
        self._at("return", at_us, self._rng.uniform(*self._behaviour.outage_lasts) if lasts_s is None else lasts_s)

    def _restore_network(self, _at_us: int) -> None:
        self._sdk.network = True

    def _send(self, at_us: int) -> None:
        self._call(at_us, "sendMessage")
        self._at_random("call", at_us, self._behaviour.calls_every)

    def _heartbeat(self, at_us: int) -> None:
        self._recorder.heartbeat(at_us)
        self._beat_again(at_us)

    def _sleep(self, at_us: int) -> None:
        self._recorder.heartbeat(at_us)
        self._timers.clear()
        self._sdk.suspend()

    def _beat_again(self, at_us: int) -> None:
        self._at("heartbeat", at_us, self._heartbeat_after_s * self._rng.uniform(0.8, 1))

    def _on_output(self, at_us: int, output: Output) -> None:
        if isinstance(output, ConnectionStateChanged):
            self._recorder.connection_state_changed(at_us, output)
            if self.state == sdk_words.CONNECTED:
                self._at_random("outage", at_us, self._behaviour.outage_every)
                self._at_random("call", at_us, self._behaviour.calls_every)
            elif self.state == sdk_words.DISCONNECTED:
                self._logged_out(at_us, sdk_words.EVENTS[output.event])
        elif isinstance(output, TokenWillExpire):
            self._recorder.token_will_expire(at_us, output)
            if self._behaviour.renews:
                self._at("renew", at_us, self._rng.uniform(1, 4))
        else:
            self._recorder.call(at_us, output)
            self._answered(at_us, output)

    def _answered(self, at_us: int, ended: CallEnded) -> None:
        if ended.call.method == "login" and ended.error is None:
            self._beat_again(at_us)
            self._at_random("logout", at_us, self._behaviour.stays)
        elif ended.call.method == "renewToken" and ended.error is not None:
            self._at("renew", at_us, self._rng.uniform(4, 8))

    def _logged_out(self, at_us: int, event: str) -> None:
        self.logged_in = False
        self._sdk.network = True
        self._timers.clear()
        if self._behaviour.away is not None:
            self._at("login", at_us, 3 + self._drawn(self._behaviour.away))
        if event in sdk_words.ENDS_LOGIN:
            self._at("call", at_us, self._rng.uniform(0.5, 2))


class SimulatedUser:
    """The clients of a user. With ``one_device`` a login on one kicks out the others, as the server does by default."""

    def __init__(self, clients: Sequence[SimulatedClient], *, one_device: bool = False) -> None:
        self.clients = clients
        self._one_device = one_device

    def advance(self, now_us: int) -> list[WireEvent]:
        """Events of every client up to ``now_us``, oldest first."""
        out: list[WireEvent] = []
        while due := [(due_us, at) for at, client in enumerate(self.clients) if (due_us := client.due_us) is not None]:
            due_us, at = min(due)
            if due_us > now_us:
                break
            new = self.clients[at].advance(due_us)
            if self._one_device and any(event["type"] == events.LOGIN_RESULT and event["code"] == 0 for event in new):
                for other in self.clients:
                    if other is not self.clients[at]:
                        other.kick_out(due_us)
                        new += other.advance(due_us)
            out += new
        return out

    def heartbeat_after(self, seconds: int, at_us: int) -> None:
        """See :meth:`SimulatedClient.heartbeat_after`."""
        for client in self.clients:
            client.heartbeat_after(seconds, at_us)
