"""What holds of alerts and their messages: each has a cause, none is forgotten, and each is delivered."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from sidecar.domain.units import MINUTE_US, SECOND_US
from tests.simulation.invariants import Log, hold, rows
from tests.simulation.outside import Receiver
from tests.simulation.server import MOST_PER_MINUTE

_OPENED_BY: Final = {
    "kicked_out": "KICKED_OUT",
    "token_expired": "TOKEN_EXPIRED",
    "login_timeout": "LOGIN_TIMEOUT",
    "unregistered": "UNREGISTERED",
}
# The end of alerts that one digest was about is notified once the last of them is over.
_WAITING: Final = (
    "SELECT n.id, n.what, n.due_at_us FROM alert_notifications n WHERE n.state = 'waiting' AND NOT EXISTS ("
    " SELECT 1 FROM alert_notifications b JOIN alert_notifications o ON o.message_id = b.message_id"
    " JOIN alerts a ON a.id = o.alert_id WHERE b.alert_id = n.alert_id AND a.state = 'firing')"
)
_PENDING: Final = "SELECT id FROM alert_messages WHERE state = 'pending'"
_STORMS: Final = "SELECT 1 FROM alerts WHERE state = 'firing' AND kind LIKE '%_storm' LIMIT 1"
_ABOUT_STATES: Final = (
    "SELECT kind, user_id, MAX(id), MAX(state = 'firing') FROM alerts WHERE kind IN ({}) GROUP BY 1, 2"
)


class State(msgspec.Struct, frozen=True):
    """A state of users, by their rows of ``user_status``, which has an alert of ``kind`` after ``due_us`` at most.

    A share of users is waited for, so that many are one storm; and the rules do not run at every moment.
    """

    kind: str
    holds: Callable[[Mapping[str, Any]], bool]
    due_us: int


_STATES: Final = (
    State("client_lost", lambda user: bool(user["lease_lapsed"]), 80 * SECOND_US),
    State("offline_too_long", lambda user: bool(user["status"] == "offline"), 140 * SECOND_US),
)
_OVER_WITHIN_US: Final = 10 * SECOND_US
_GRACE_US: Final = 60 * SECOND_US


class Since(msgspec.Struct):
    """A user in a state, or an alert without it: from when on, and the newest alert before. ``is_storm``: one fired."""

    up_us: int
    newest: int
    is_storm: bool = False


class StateAlerts:
    """Follows states of users, and the alerts about them, from look to look."""

    def __init__(self) -> None:
        self._in_state: dict[tuple[str, str], Since] = {}
        self._without: dict[tuple[str, str], Since] = {}
        self._newest = 0

    def begin_again(self) -> None:
        """The server is started: its rules wait for signs of life."""
        for since in (*self._in_state.values(), *self._without.values()):
            since.up_us += _GRACE_US

    def look(self, connection: sqlite3.Connection, users: Mapping[str, Mapping[str, Any]], up_us: int) -> None:
        """A state that lasts has its alert, and an alert ends soon after its state.

        ``users`` are of the moment of ``connection``, and ``up_us`` is for how long events were accepted.
        """
        marks = ", ".join("?" * len(_STATES))
        found = connection.execute(_ABOUT_STATES.format(marks), [state.kind for state in _STATES]).fetchall()
        alerts = {(row[0], row[1]): (row[2], row[3]) for row in found}
        is_storm = connection.execute(_STORMS).fetchone() is not None
        for state in _STATES:
            for user_id, user in users.items():
                key = state.kind, user_id
                newest, fires = alerts.get(key, (0, False))
                if not state.holds(user):
                    self._in_state.pop(key, None)
                    self._ends(key, up_us, fires=fires)
                    continue
                self._without.pop(key, None)
                since = self._in_state.setdefault(key, Since(up_us, self._newest))
                since.is_storm |= is_storm
                if up_us - since.up_us > state.due_us and not (fires or newest > since.newest or since.is_storm):
                    hold(f"{user_id} has no {state.kind} after {up_us - since.up_us} us", is_so=False)
        self._newest = connection.execute("SELECT COALESCE(MAX(id), 0) FROM alerts").fetchone()[0]

    def _ends(self, key: tuple[str, str], up_us: int, *, fires: bool) -> None:
        if not fires:
            self._without.pop(key, None)
            return
        lasts_us = up_us - self._without.setdefault(key, Since(up_us, 0)).up_us
        hold(f"{key[0]} of {key[1]} fires {lasts_us} us after its end", lasts_us <= _OVER_WITHIN_US)


def has_sent_all(connection: sqlite3.Connection) -> bool:
    """Whether no message or notification waits."""
    return not any(rows(connection, f"{sql} LIMIT 1") for sql in (_WAITING, _PENDING))


def once_all_is_calm(connection: sqlite3.Connection, log: Log, receiver: Receiver, *, set_us: Sequence[int]) -> None:
    """Alerts have their causes, and every message arrived, the same each time.

    ``set_us``: when the server's clock was set. Limits count by that clock, and start again then.
    """
    _alerts(connection, log)
    _messages(connection, receiver, set_us)


def _alerts(connection: sqlite3.Connection, log: Log) -> None:
    alerts = rows(connection, "SELECT * FROM alerts")
    firing = Counter(one["fingerprint"] for one in alerts if one["state"] == "firing")
    hold(f"two alerts fire with one fingerprint: {firing}", all(count == 1 for count in firing.values()))
    counts: Counter[tuple[str, str]] = Counter()
    for one in alerts:
        hold(f"alert {one['id']} began after it opened", one["started_at_us"] <= one["opened_at_us"])
        counts[one["kind"], one["user_id"]] += one["count"]
    for kind, event in _OPENED_BY.items():
        for user_id, own in log.of_user.items():
            causes = sum(one["connection_event"] == event for one in own)
            counted = counts[kind, user_id]
            hold(f"{user_id} has {causes} {event} and {counted} of {kind}", causes == counted)


def _messages(connection: sqlite3.Connection, receiver: Receiver, set_us: Sequence[int]) -> None:
    waiting = rows(connection, _WAITING)
    hold(f"{len(waiting)} notifications are still waiting: {waiting[:3]}", not waiting)
    messages = {one["public_id"]: one for one in rows(connection, "SELECT * FROM alert_messages")}
    unsent = [one for one in messages.values() if one["state"] != "sent"]
    hold(f"{len(unsent)} messages are not sent", not unsent)
    missing = messages.keys() - receiver.accepted.keys()
    hold(f"messages that the receiver does not have: {sorted(missing)[:3]}", not missing)
    unknown = receiver.accepted.keys() - messages.keys()
    hold(f"messages that are not on record: {sorted(unknown)[:3]}", not unknown)
    changed = [one for one, bodies in receiver.bodies.items() if len(bodies) > 1]
    hold(f"messages whose body changed between attempts: {changed[:3]}", not changed)
    moments = sorted(receiver.first_us.values())
    crowded = [
        at
        for at, later in zip(moments, moments[MOST_PER_MINUTE:], strict=False)
        if later - at < MINUTE_US and not any(at - MINUTE_US < one <= later for one in set_us)
    ]
    hold(f"more than {MOST_PER_MINUTE} new messages within a minute: {crowded[:3]}", not crowded)
    _ends(connection, receiver)
    notified = {one for ids, what in receiver.alerts() if what == "alert.firing" for one in ids}
    open_ = "SELECT id, kind FROM alerts WHERE suppressed_by IS NULL AND state = 'firing'"
    silent = [one for one in rows(connection, open_) if one["id"] not in notified]
    hold(f"alerts that nobody was notified of: {silent[:3]}", not silent)


def _ends(connection: sqlite3.Connection, receiver: Receiver) -> None:
    """Whoever was notified of alerts that are over was notified of their end."""
    firing = {row["id"] for row in rows(connection, "SELECT id FROM alerts WHERE state = 'firing'")}
    ended = {one for ids, what in receiver.alerts() if what == "alert.resolved" for one in ids}
    told = [ids for ids, what in receiver.alerts() if what == "alert.firing"]
    # The end of a digest waits for the last of its alerts, also where one of them was repeated since.
    waits = firing.union(*(ids for ids in told if ids & firing))
    open_ = sorted({one for ids in told for one in ids} - ended - waits)
    hold(f"alerts whose end nobody was notified of: {open_[:3]}", not open_)
