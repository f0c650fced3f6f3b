"""What holds at every moment of a run, and what holds once the faults are over."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sidecar.domain.units import MINUTE_US, SECOND_US
from tests.simulation import oracle
from tests.simulation.outside import Collector, Receiver
from tests.simulation.senders import Sender
from tests.simulation.server import MOST_PER_MINUTE

LEASE_US: Final = 45 * SECOND_US
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
_SPANS: Final = "SELECT first_position FROM span_outbox WHERE spans > 0"


class BrokenError(AssertionError):
    """An invariant does not hold."""


def rows(connection: sqlite3.Connection, sql: str, given: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Rows by column."""
    cursor = connection.execute(sql, given)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def hold(what: str, is_so: object) -> None:
    """Raises BrokenError with ``what`` is wrong."""
    if not is_so:
        raise BrokenError(what)


class Log:
    """The events of a database, read on as it grows; a process that was killed may have lost the last ones."""

    def __init__(self) -> None:
        self.of_user: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.ids: dict[str, int] = {}
        self.position = 0

    def clients_of(self, user_id: str) -> Iterable[tuple[bytes, list[dict[str, Any]]]]:
        """The events of each client of a user."""
        by_client: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
        for event in self.of_user[user_id].values():
            by_client[event["client_id"]].append(event)
        return by_client.items()

    def read_on(self, connection: sqlite3.Connection) -> set[str]:
        """The users with new events. Each event is there once, and none comes from the future."""
        changed = set()
        for row in rows(connection, "SELECT * FROM events WHERE position > ? ORDER BY position", (self.position,)):
            self.position = row["position"]
            event_id = _uuid(row["id"])
            hold(f"event {event_id} is stored twice", event_id not in self.ids)
            hold(f"event {event_id} is from the future", row["moment_us"] <= row["received_at_us"])
            self.ids[event_id] = row["position"]
            self.of_user[row["user_id"]][row["position"]] = row
            changed.add(row["user_id"])
        return changed


def at_every_step(folder: Path, log: Log, senders: Sequence[Sender], users: Iterable[str] | None = None) -> None:
    """What is acknowledged is stored once; each changed user has the status that its events give."""
    with closing(_opened(folder)) as connection:
        changed = log.read_on(connection)
        for sender in senders:
            missing = sender.acknowledged - log.ids.keys()
            hold(f"acknowledged events of {sender.user_id} are lost: {sorted(missing)[:3]}", not missing)
        for user_id in sorted(changed if users is None else users):
            found = rows(connection, "SELECT status, since_us FROM user_status WHERE user_id = ?", (user_id,))
            expected = oracle.of_user(log.of_user[user_id].values())
            hold(f"{user_id} is {found}, and should be {expected}", [one["status"] for one in found] == [expected])
        newest = "SELECT MAX(received_at_us) FROM events"
        late = rows(connection, f"SELECT user_id FROM user_status WHERE since_us > ({newest})")
        hold(f"users whose status is from the future: {late}", not late)


def leases(folder: Path, log: Log, senders: Sequence[Sender], *, now_us: int, up_us: int, slack_us: int) -> None:
    """Nobody is called silent within the shortest lease, and everybody soon after the longest."""
    with closing(_opened(folder)) as connection:
        lapsed = {row["user_id"]: row["lease_lapsed"] for row in rows(connection, "SELECT * FROM user_status")}
    for sender in senders:
        live = [
            sender.signs[client_id]
            for client_id, own in log.clients_of(sender.user_id)
            if oracle.of_client(own) != "not_logged_in"
        ]
        if not live or sender.user_id not in lapsed:
            continue
        silent_us = min(now_us - sign.sure_us if sign.sure_us is not None else LEASE_US for sign in live)
        is_silent = bool(lapsed[sender.user_id])
        hold(
            f"{sender.user_id} counts as silent after {silent_us} us",
            not is_silent or silent_us >= LEASE_US - SECOND_US,
        )
        if all(sign.beats for sign in live):
            quiet_us = up_us - max(sign.maybe_up_us for sign in live)
            hold(f"{sender.user_id} is silent for {quiet_us} us", is_silent or quiet_us < LEASE_US + slack_us)


def has_sent_all(folder: Path) -> bool:
    """Whether no message, notification or span waits."""
    with closing(_opened(folder)) as connection:
        return not any(rows(connection, f"{sql} LIMIT 1") for sql in (_WAITING, _PENDING, _SPANS))


def once_all_is_calm(
    folder: Path,
    log: Log,
    senders: Sequence[Sender],
    receiver: Receiver,
    collector: Collector,
    *,
    set_us: Sequence[int],
) -> None:
    """Everything sent is stored; every span and message arrived, the same each time; alerts have their causes.

    ``set_us``: when the server's clock was set. Limits count by that clock, and start again then.
    """
    at_every_step(folder, log, senders, log.of_user)
    sent = {event_id for sender in senders for event_id in sender.sent}
    hold("an event that nobody sent is stored", log.ids.keys() <= sent)
    with closing(_opened(folder)) as connection:
        _spans(log, collector)
        _alerts(connection, log)
        _messages(connection, receiver, set_us)


def _spans(log: Log, collector: Collector) -> None:
    expected = {
        _uuid(event["id"])
        for own in log.of_user.values()
        for event in own.values()
        if event["type"] == "connection_state_changed"
    }
    hold(f"{len(expected - collector.spans.keys())} spans did not arrive", expected <= collector.spans.keys())
    others = [one for one, spans in collector.spans.items() if len({(t, s) for t, s, _ in spans}) > 1]
    hold(f"spans with several ids: {others[:3]}", not others)
    unknown = collector.spans.keys() - log.ids.keys()
    hold(f"spans without an event: {sorted(unknown)[:3]}", not unknown)


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
            causes = sum(one["connection_event"] == event for one in own.values())
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
    notified = {one[0] for one in receiver.alerts() if one[1] == "alert.firing"}
    open_ = "SELECT id, kind FROM alerts WHERE suppressed_by IS NULL AND state = 'firing'"
    silent = [one for one in rows(connection, open_) if one["id"] not in notified]
    hold(f"alerts that nobody was notified of: {silent[:3]}", not silent)


def _opened(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{folder / 'zimwatch.db'}?mode=ro", uri=True)


def _uuid(value: bytes) -> str:
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
