"""What holds at every moment of a run, and what holds once the faults are over."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sidecar.domain.units import SECOND_US
from sidecar.store import heartbeats
from sidecar.store.sqlite import tuning
from tests.simulation import oracle
from tests.simulation.disk import FILES
from tests.simulation.outside import Collector
from tests.simulation.senders import Sender
from tests.simulation.server import Server

LEASE_US: Final = 45 * SECOND_US
# For how long leases may run while nothing is accepted: until something is refused.
_NOT_NOTICED_US: Final = 15 * SECOND_US
_EVENTS: Final = (
    "SELECT position, id, moment_us, received_at_us, user_id, client_id, session_id, seq, type, connection_state,"
    " connection_event FROM events WHERE position > ? ORDER BY position"
)
_USERS: Final = "SELECT user_id, status, since_us, lease_lapsed FROM user_status"
_SPANS: Final = "SELECT first_position FROM span_outbox WHERE spans > 0"


class BrokenError(AssertionError):
    """An invariant does not hold."""


def rows(connection: sqlite3.Connection, sql: str, given: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Rows by column."""
    return [dict(row) for row in connection.execute(sql, given)]


def hold(what: str, is_so: object) -> None:
    """Raises BrokenError with ``what`` is wrong."""
    if not is_so:
        raise BrokenError(what)


class Log:
    """The events of a database, read on as it grows."""

    def __init__(self) -> None:
        self.of_user: dict[str, list[sqlite3.Row]] = defaultdict(list)
        self.users: dict[str, oracle.User] = defaultdict(oracle.User)
        self.ids: dict[str, int] = {}
        self.position = 0
        self.newest_us = 0

    def read_on(self, connection: sqlite3.Connection) -> set[str]:
        """The users with new events. Each event is there once, and none comes from the future."""
        changed = set()
        for row in connection.execute(_EVENTS, (self.position,)):
            self.position = row["position"]
            event_id, user_id = _uuid(row["id"]), row["user_id"]
            hold(f"event {event_id} is stored twice", event_id not in self.ids)
            hold(f"event {event_id} is from the future", row["moment_us"] <= row["received_at_us"])
            self.ids[event_id] = row["position"]
            self.newest_us = max(self.newest_us, row["received_at_us"])
            self.of_user[user_id].append(row)
            self.users[user_id].add(row)
            changed.add(user_id)
        return changed

    def is_still(self, connection: sqlite3.Connection) -> None:
        """Holds where a database has all that was read of it before, as it must after a kill."""
        found = {_uuid(row["id"]): row["position"] for row in connection.execute("SELECT id, position FROM events")}
        gone = [one for one, position in self.ids.items() if found.get(one) != position]
        hold(f"{len(gone)} events that were stored are lost: {gone[:3]}", not gone)


class Look:
    """The database at one moment, and the log up to there. ``users`` are the rows of ``user_status`` by id."""

    def __init__(self, connection: sqlite3.Connection, log: Log, *, whole: bool = False) -> None:
        """Looks at the users that have changed; all of them if it is to be ``whole``."""
        self._log = log
        connection.execute("BEGIN")
        try:
            self._changed = log.read_on(connection)
            self.users = {row["user_id"]: row for row in connection.execute(_USERS)}
            if whole:
                log.is_still(connection)
                self._changed = set(log.users)
        finally:
            connection.rollback()

    def at_every_step(self, senders: Sequence[Sender], *, whole: bool = False) -> None:
        """What is acknowledged is stored once; each changed user has the status that its events give.

        ``whole``: also what was acknowledged before the last look.
        """
        ids = self._log.ids
        for sender in senders:
            if missing := [one for one in (sender.acknowledged if whole else sender.to_look_at) if one not in ids]:
                raise BrokenError(f"acknowledged events of {sender.user_id} are lost: {sorted(missing)[:3]}")
            sender.to_look_at.clear()
        for user_id in sorted(self._changed):
            found = self.users[user_id]["status"] if user_id in self.users else None
            expected = self._log.users[user_id].status
            if found != expected:
                raise BrokenError(f"{user_id} is {found}, and should be {expected}")
        late = [user_id for user_id, row in self.users.items() if (row["since_us"] or 0) > self._log.newest_us]
        hold(f"users whose status is from the future: {late}", not late)

    def leases(self, senders: Sequence[Sender], *, now_us: int, up_us: int, slack_us: int) -> None:
        """Nobody is called silent within the shortest lease, and everybody soon after the longest."""
        for sender in senders:
            user_id = sender.user_id
            if user_id not in self.users:
                continue
            clients = self._log.users[user_id].clients.items()
            live = [sender.signs[client_id] for client_id, one in clients if one.status != "not_logged_in"]
            if not live:
                continue
            silent_us = min(now_us - sign.sure_us if sign.sure_us is not None else LEASE_US for sign in live)
            is_silent = bool(self.users[user_id]["lease_lapsed"])
            if is_silent and silent_us < LEASE_US - SECOND_US:
                raise BrokenError(f"{user_id} counts as silent after {silent_us} us")
            heard_us = up_us - max(sign.sure_up_us for sign in live)
            if is_silent and heard_us < LEASE_US - _NOT_NOTICED_US and any(sign.sure_us is not None for sign in live):
                raise BrokenError(f"{user_id} counts as silent after {heard_us} us in which events were accepted")
            if not is_silent and all(sign.beats for sign in live):
                quiet_us = up_us - max(sign.maybe_up_us for sign in live)
                hold(f"{user_id} is silent for {quiet_us} us", quiet_us < LEASE_US + slack_us)


def is_well(server: Server) -> None:
    """No background task has ended, and what waits in memory and in the write-ahead log is within its bounds."""
    problems = [str(one) for one in server.background.problems()]
    hold(f"background tasks are not well: {problems}", not problems)
    held, most = server.held_heartbeats, heartbeats.HELD_MOST
    hold(f"{held} heartbeats wait in memory, of at most {most}", held <= most)
    log = server.disk.folder / FILES[1]
    size = log.stat().st_size if log.exists() else 0
    hold(f"the write-ahead log has {size} bytes", size <= tuning.LOG_BYTES)


def has_exported_all(connection: sqlite3.Connection) -> bool:
    """Whether no span waits."""
    return not rows(connection, f"{_SPANS} LIMIT 1")


def once_all_is_calm(connection: sqlite3.Connection, log: Log, senders: Sequence[Sender], collector: Collector) -> None:
    """Everything sent is stored, and nothing else; every span arrived, the same each time."""
    Look(connection, log, whole=True).at_every_step(senders, whole=True)
    sent = {event_id for sender in senders for event_id in sender.sent}
    hold("an event that nobody sent is stored", log.ids.keys() <= sent)
    _spans(log, collector)


def _spans(log: Log, collector: Collector) -> None:
    expected = {
        _uuid(event["id"])
        for own in log.of_user.values()
        for event in own
        if event["type"] == "connection_state_changed"
    }
    hold(f"{len(expected - collector.spans.keys())} spans did not arrive", expected <= collector.spans.keys())
    others = [one for one, spans in collector.spans.items() if len({(t, s) for t, s, _ in spans}) > 1]
    hold(f"spans with several ids: {others[:3]}", not others)
    unknown = collector.spans.keys() - log.ids.keys()
    hold(f"spans without an event: {sorted(unknown)[:3]}", not unknown)


def opened(folder: Path) -> sqlite3.Connection:
    """The database of a server, to look at."""
    connection = sqlite3.connect(f"file:{folder / 'zimwatch.db'}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _uuid(value: bytes) -> str:
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
