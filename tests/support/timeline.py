"""A small language for what happens to users and what is sent about it, second by second, on a real database.

    story = Timeline(tmp_path).at(0).kicked("carol").at(30).login("carol")
    story.want(firing("kicked_out", "carol")).between(0, 2)
    story.want(resolved("kicked_out", "carol")).between(30, 31)
    story.run(until=60)

The rules, the alert log and the plan of messages are the real ones; the time is passed in, and nothing is sent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.forecast import Forecast
from sidecar.alerting.tables import alert_log, message_rows
from sidecar.alerting.tables.alert_retention import AlertRetention
from sidecar.alerting.tables.alert_values import AlertFilter, Message
from sidecar.clock import steady_us
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.alerts.rules.edge_behind import KnownEdges
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.texts import verbatim
from sidecar.domain.units import SECOND_US
from sidecar.store import engines
from sidecar.store.care.retention import Pruner, Retention
from sidecar.store.database import Database
from sidecar.store.log import event_log
from sidecar.store.log.event_log import Batch
from sidecar.store.log.followers import Followers
from sidecar.store.sqlite import database_file
from sidecar.store.sqlite.sqlite_database import SqliteDatabase
from sidecar.store.users.projections import Projections
from sidecar.system.files import FILES
from sidecar.system.threads import THREADS
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone

STEP_S = 1.0
OPS = "ops"


def us(seconds: float) -> int:
    return BEGIN_US + int(seconds * SECOND_US)


class Wanted(msgspec.Struct, frozen=True):
    """A message: what happened, the kind, and the user (None: an app, or many users)."""

    what: str
    kind: str
    user_id: str | None = None
    is_digest: bool = False


def firing(kind: str, user_id: str | None = None) -> Wanted:
    return Wanted("firing", kind, user_id)


def resolved(kind: str, user_id: str | None = None) -> Wanted:
    return Wanted("resolved", kind, user_id)


def repeated(kind: str, user_id: str | None = None) -> Wanted:
    return Wanted("repeat", kind, user_id)


def digest(what: str, kind: str) -> Wanted:
    return Wanted(what, kind, None, is_digest=True)


class _Want:
    def __init__(self, story: Timeline, wanted: Wanted) -> None:
        self.story = story
        self.wanted = wanted
        self.earliest = self.latest = 0.0

    def between(self, earliest: float, latest: float) -> Timeline:
        self.earliest, self.latest = earliest, latest
        return self.story


class _OnPostgres:
    """The part of SQLAlchemy's engine that tests use."""

    def __init__(self, opened: Database) -> None:
        self.connect = opened.reading
        self.begin = opened.begin


def _opened(folder: Path) -> tuple[Database, Any]:
    """The database of a new timeline, with its tables, and how to connect to it."""
    url = url_of(folder, "timeline.db")
    if not url.startswith("sqlite"):
        server = engines.open_database(url, attach=True, steady=steady_us, threads=THREADS, files=FILES)
        server.migrate()
        return server, _OnPostgres(server)
    file = SqliteDatabase(database_file.claim(folder / "timeline.db"))
    file.migrate()
    with file.writes.connect() as connection:
        connection.connection.execute("PRAGMA synchronous = OFF")  # nothing here survives a crash
    return file, file.writes


class Timeline:
    """Actions happen at the time that :meth:`at` has set last."""

    def __init__(self, folder: Path, policy: Policy | None = None, leases: Leases | None = None) -> None:
        self.policy = policy or Policy(receivers={OPS: 1_000}, most_per_minute=1_000)
        self.leases = leases or Leases()
        # Everything goes that the rules do not look back to.
        self.kept_us, self.rules_us = SECOND_US, self.policy.thresholds.looks_back_us
        self.reaction = AlertReaction(self.policy)
        self._opened, self.database = _opened(folder)
        with self.database.begin() as connection:
            Followers(self.reaction).begin(connection)
        self._connection: sa.Connection | None = None
        self.projections: Projections | None = None
        self._forecast = Forecast(self.policy.thresholds.token_forecast_us)
        self.forecasts = 0
        self.sent: list[tuple[float, Wanted, Message]] = []
        self._now = 0.0
        self._lived = -STEP_S
        self._phones: dict[tuple[str, str], Phone] = {}
        self._events: dict[float, list[Event]] = defaultdict(list)
        self._acts: dict[float, list[Callable[[float], Any]]] = defaultdict(list)
        self._wants: list[_Want] = []

    # What happens.

    def at(self, seconds: float) -> Self:
        self._now = seconds
        return self

    def phone(self, user_id: str, name: str = "phone") -> Phone:
        return self._phones.setdefault((user_id, name), Phone(user_id, name))

    def event(self, event: Event) -> Self:
        """Received at the present moment, whenever it occurred."""
        self._events[self._now].append(msgspec.structs.replace(event, received_at_us=us(self._now)))
        return self

    def login(self, user_id: str, name: str = "phone", *, expires_at: float | None = None, **fields: Any) -> Self:
        phone = self.phone(user_id, name)
        expires = None if expires_at is None else us(expires_at)
        login = phone.login(self._now, token_expires_at_us=expires)
        self.event(msgspec.structs.replace(login, **fields))
        return self.says(user_id, "CONNECTED", "SUCCESS", name, **fields)

    def says(self, user_id: str, state: str, event: str, name: str = "phone", **fields: Any) -> Self:
        said = self.phone(user_id, name).says(state, event, self._now)
        return self.event(msgspec.structs.replace(said, **fields))

    def kicked(self, user_id: str, name: str = "phone", **fields: Any) -> Self:
        return self.says(user_id, "DISCONNECTED", "KICKED_OUT", name, **fields)

    def token_expired(self, user_id: str, name: str = "phone") -> Self:
        return self.says(user_id, "DISCONNECTED", "TOKEN_EXPIRED", name)

    def loses_network(self, user_id: str, name: str = "phone", **fields: Any) -> Self:
        return self.says(user_id, "RECONNECTING", "LOGIN_INTERRUPTED", name, **fields)

    def logout(self, user_id: str, name: str = "phone") -> Self:
        return self.says(user_id, "DISCONNECTED", "SUCCESS", name)

    def token_will_expire(self, user_id: str, second: int = 30, name: str = "phone") -> Self:
        return self.event(self.phone(user_id, name).event("token_will_expire", self._now, details={"second": second}))

    def renewed(self, user_id: str, name: str = "phone", code: int = 0, *, expires_at: float | None = None) -> Self:
        details: dict[str, Any] = {"code": code}
        if expires_at is not None:
            details["token_expires_at_us"] = us(expires_at)
        return self.event(self.phone(user_id, name).event("token_renewed", self._now, details=details))

    def forecast(self) -> Self:
        """The ticker looks whose tokens end soon."""

        def look(now: float) -> None:
            def tick(connection: sa.Connection) -> None:
                ending = self._forecast.ending(connection, us(now))
                while self.reaction.tick(connection, us(now), Gathered(tokens_ending=ending)).result:
                    pass

            self.in_transaction(tick)
            self.forecasts += 1

        return self.act(look)

    def heartbeat(self, user_id: str, name: str = "phone") -> Self:
        return self.event(self.phone(user_id, name).event("heartbeat", self._now, connection_state="CONNECTED"))

    def restart(self) -> Self:
        """Zimwatch ends and starts again: only what is in the database is left."""

        def again(now: float) -> None:
            self.reaction = AlertReaction(self.policy)
            self.in_transaction(lambda connection: self.reaction.begin(connection, us(now)))
            self._forecast = Forecast(self.policy.thresholds.token_forecast_us)
            self.projections = None

        return self.act(again)

    def pruned(self, kept_us: int | None = None, rules_us: int | None = None) -> Self:
        """Retention has done all that it has to do at that moment."""

        def prune(now: float) -> None:
            alerts = AlertRetention(
                kept_us=self.kept_us if kept_us is None else kept_us,
                rules_us=self.rules_us if rules_us is None else rules_us,
            )
            pruner = Pruner(Retention(events_us=SECOND_US), steady_us, [alerts])
            while self.in_transaction(lambda c: pruner.slice(c, us(now))) is not None:
                pass

        return self.act(prune)

    def silenced(self, seconds: float, **matchers: str) -> Self:
        def silence(now: float) -> None:
            wanted = Silence(
                id=0,
                matchers={name: (value,) for name, value in matchers.items()},
                starts_at_us=us(now),
                ends_at_us=us(now + seconds),
                author="dana",
                reason="tests",
            )
            self.in_transaction(lambda c: self.reaction.silence(c, wanted))

        return self.act(silence)

    def acknowledged(self, alert_id: int, who: str = "dana") -> Self:
        return self.act(lambda now: self.in_transaction(lambda c: self.reaction.acknowledge(c, alert_id, who, us(now))))

    def stalled(self, part: str, since: float | None, why: str = "HTTP 503") -> Self:
        gathered = Gathered(stalled={part: (None if since is None else us(since), verbatim(why))})
        return self.act(lambda now: self.in_transaction(lambda c: self.reaction.tick(c, us(now), gathered)))

    def backup(self, last: LastBackup) -> Self:
        """What a tick knows of the last good backup."""
        gathered = Gathered(backup=last)
        return self.act(lambda now: self.in_transaction(lambda c: self.reaction.tick(c, us(now), gathered)))

    def edges(self, known: KnownEdges) -> Self:
        """What a tick knows of the edges."""
        gathered = Gathered(edges=known)
        return self.act(lambda now: self.in_transaction(lambda c: self.reaction.tick(c, us(now), gathered)))

    def act(self, act: Callable[[float], Any]) -> Self:
        self._acts[self._now].append(act)
        return self

    # What is wanted.

    def want(self, wanted: Wanted) -> _Want:
        want = _Want(self, wanted)
        self._wants.append(want)
        return want

    def run(self, until: float) -> None:
        """Runs it all. What was sent must be what was wanted: that, then, and nothing else."""
        self._lived = -STEP_S
        self.run_on(until)

    def run_on(self, until: float) -> None:
        """The same from where it stopped."""
        self.live_on(until)
        left = list(self.sent)
        for want in self._wants:
            found = next((t for t in left if t[1] == want.wanted and want.earliest <= t[0] <= want.latest), None)
            assert found is not None, f"{want.wanted} between {want.earliest} and {want.latest}: {self._sent_text()}"
            left.remove(found)
        assert not left, f"not wanted: {[(at, wanted) for at, wanted, _ in left]}"
        self.is_counted()

    def live(self, until: float) -> None:
        """Up to and with that second."""
        self._lived = -STEP_S
        self.live_on(until)

    def leap(self, to: float) -> Self:
        """Things happen until then, but time is passed to the rules only for a few seconds before and after it."""
        self._happens(to - 3)
        self._lived = to - 3
        self.live_on(to + 3)
        return self

    def live_on(self, until: float, *, every: float = STEP_S) -> None:
        """From where it stopped, with a tick of the rules so often."""
        step = self._lived + every
        while step <= until:
            self._happens(step)
            self.in_transaction(lambda connection: self._second(connection, step))  # noqa: B023 - called at once
            self._lived = step
            step += every

    def _happens(self, until: float) -> None:
        for at in sorted(at for at in {*self._events, *self._acts} if at <= until):
            self._append(self._events.pop(at, []))
            for act in self._acts.pop(at, []):
                act(at)

    # What became of it.

    def alerts(self, **wanted: Any) -> list[Alert]:
        """Newest first."""
        with self.database.connect() as connection:
            return alert_log.page(connection, AlertFilter(limit=1_000_000, **wanted)).alerts

    def is_counted(self) -> None:
        """The counts of firing alerts are those of the alerts."""
        firing = Counter(one.kind for one in self.alerts(state="firing"))
        with self.database.connect() as connection:
            assert alert_log.counts(connection) == firing

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._opened.close()

    def _append(self, events: list[Event]) -> None:
        if events:
            time = LeaseTime.without_skips(max(event.received_at_us for event in events))

            def append(connection: sa.Connection) -> None:
                projections = self._projected(connection)
                event_log.append(
                    connection, [Batch(events)], projections, time=time, followers=Followers(self.reaction)
                )

            self.in_transaction(append)

    def _second(self, connection: sa.Connection, now: float) -> None:
        self._tick(connection, now)
        self._tell(connection, now)

    def _tick(self, connection: sa.Connection, now: float) -> None:
        self._projected(connection).sweep(connection, LeaseTime.without_skips(us(now)), 1_000)
        while self.reaction.tick(connection, us(now), Gathered()).result:
            pass

    def _projected(self, connection: sa.Connection) -> Projections:
        if self.projections is None:
            self.projections = Projections(connection, self.leases)
        return self.projections

    def _tell(self, connection: sa.Connection, now: float) -> None:
        for receiver in self.policy.receivers:
            for message in self.reaction.plan(connection, receiver, us(now)).result:
                message_rows.mark_sent(connection, message.id, {"status": 200}, us(now))
                alert = message.body["alert"]
                wanted = Wanted(message.what, alert["kind"], alert["user_id"], "alerts" in message.body)
                self.sent.append((now, wanted, message))

    def in_transaction(self, work: Callable[[sa.Connection], Any]) -> Any:
        """What ``work`` gives, on the one connection that is kept from one transaction to the next."""
        if isinstance(self.database, _OnPostgres):
            with self.database.begin() as connection:
                return work(connection)
        if self._connection is None:
            self._connection = self.database.connect()
        with self._connection.begin():
            return work(self._connection)

    def _sent_text(self) -> str:
        return ", ".join(f"{at}: {wanted.what} {wanted.kind} {wanted.user_id}" for at, wanted, _ in self.sent)


__all__ = ["APP_ID", "Timeline", "digest", "firing", "repeated", "resolved"]
