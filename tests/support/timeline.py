"""A small language for what happens to users and who is told what, second by second, on a real database.

    story = Timeline(tmp_path).at(0).kicked("carol").at(30).login("carol")
    story.want(firing("kicked_out", "carol")).between(0, 2)
    story.want(resolved("kicked_out", "carol")).between(30, 31)
    story.run(until=60)

The rules, the ledger and the plan of messages are the real ones; the time is passed in, and nothing is sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from sidecar.alerting.engine import Engine, Gathered, Policy
from sidecar.alerting.forecast import Forecast
from sidecar.clock import steady_us
from sidecar.domain.alerting.alert import Alert
from sidecar.domain.alerting.matching import Silence
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases
from sidecar.domain.lease_time import plain
from sidecar.store import alert_log, engine, event_log, notifications
from sidecar.store.alert_records import AlertFilter, Message
from sidecar.store.event_log import Batch
from sidecar.store.projections import Projections
from sidecar.store.retention import Pruner, Retention
from tests.support.events import APP_ID, BEGIN_US, SECOND_US, Phone

STEP_S = 0.5
OPS = "ops"


def us(seconds: float) -> int:
    return BEGIN_US + int(seconds * SECOND_US)


class Wanted(msgspec.Struct, frozen=True):
    """A message: what it tells of which kind, and of whom (None: of an app, or of many)."""

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


class Timeline:
    """Actions happen at the time that :meth:`at` has set last."""

    def __init__(self, folder: Path, policy: Policy | None = None, leases: Leases | None = None) -> None:
        self.policy = policy or Policy(receivers={OPS: 1_000}, most_per_minute=1_000)
        self.leases = leases or Leases()
        # Everything goes that the rules do not look back to.
        rules_us = self.policy.thresholds.looks_back_us
        self.retention = Retention(events_us=SECOND_US, alerts_us=SECOND_US, rules_us=rules_us)
        self.engine = Engine(self.policy)
        self.database = engine.connect(folder / "timeline.db", writes=True)
        engine.migrate(self.database, folder / "timeline.db")
        with self.database.connect() as connection:
            connection.connection.execute("PRAGMA synchronous = OFF")  # nothing here survives a crash
        self.projections: Projections | None = None
        self._forecast = Forecast(self.policy.thresholds.token_forecast_us)
        self.forecasts = 0
        self.told: list[tuple[float, Wanted, Message]] = []
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
                while self.engine.tick(connection, us(now), Gathered(tokens_ending=ending)):
                    pass

            self._in_transaction(tick)
            self.forecasts += 1

        return self.act(look)

    def heartbeat(self, user_id: str, name: str = "phone") -> Self:
        return self.event(self.phone(user_id, name).event("heartbeat", self._now, connection_state="CONNECTED"))

    def restart(self) -> Self:
        """Zimwatch ends and starts again: only what is in the database is left."""

        def again(_now: float) -> None:
            self.engine = Engine(self.policy)
            self._forecast = Forecast(self.policy.thresholds.token_forecast_us)
            self.projections = None

        return self.act(again)

    def pruned(self, retention: Retention | None = None) -> Self:
        """Retention has done all that it has to do at that moment."""

        def prune(now: float) -> None:
            pruner = Pruner(retention or self.retention, steady_us)
            while self._in_transaction(lambda c: pruner.slice(c, us(now))) is not None:
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
            self._in_transaction(lambda c: self.engine.silence(c, wanted, us(now)))

        return self.act(silence)

    def acknowledged(self, alert_id: int, who: str = "dana") -> Self:
        return self.act(lambda now: self._in_transaction(lambda c: self.engine.acknowledge(c, alert_id, who, us(now))))

    def stalled(self, part: str, since: float | None, why: str = "HTTP 503") -> Self:
        gathered = Gathered(stalled={part: (None if since is None else us(since), why)})
        return self.act(lambda now: self._in_transaction(lambda c: self.engine.tick(c, us(now), gathered)))

    def act(self, act: Callable[[float], Any]) -> Self:
        self._acts[self._now].append(act)
        return self

    # What is wanted.

    def want(self, wanted: Wanted) -> _Want:
        want = _Want(self, wanted)
        self._wants.append(want)
        return want

    def run(self, until: float) -> None:
        """Lives through it all, and holds what was told to what was wanted: that, then, and nothing else."""
        self._lived = -STEP_S
        self.run_on(until)

    def run_on(self, until: float) -> None:
        """The same from where it stopped."""
        self.live_on(until)
        left = list(self.told)
        for want in self._wants:
            found = next((t for t in left if t[1] == want.wanted and want.earliest <= t[0] <= want.latest), None)
            assert found is not None, f"{want.wanted} between {want.earliest} and {want.latest}: {self._said()}"
            left.remove(found)
        assert not left, f"not wanted: {[(at, wanted) for at, wanted, _ in left]}"

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
        """From where it stopped; the rules are told the time so often."""
        step = self._lived + every
        while step <= until:
            self._happens(step)
            with self.database.begin() as connection:
                self._tick(connection, step)
                self._tell(connection, step)
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

    def close(self) -> None:
        self.database.dispose()

    def _append(self, events: list[Event]) -> None:
        if events:
            time = plain(max(event.received_at_us for event in events))

            def append(connection: sa.Connection) -> None:
                projections = self._projected(connection)
                event_log.append(connection, [Batch(events)], projections, time=time, reactions=[self.engine])

            self._in_transaction(append)

    def _tick(self, connection: sa.Connection, now: float) -> None:
        self._projected(connection).sweep(connection, plain(us(now)), 1_000)
        while self.engine.tick(connection, us(now), Gathered()):
            pass

    def _projected(self, connection: sa.Connection) -> Projections:
        if self.projections is None:
            self.projections = Projections(connection, self.leases)
        return self.projections

    def _tell(self, connection: sa.Connection, now: float) -> None:
        for receiver in self.policy.receivers:
            for message in self.engine.plan(connection, receiver, us(now)):
                notifications.sent(connection, message.id, {"status": 200}, us(now))
                alert = message.body["alert"]
                wanted = Wanted(message.what, alert["kind"], alert["user_id"], "alerts" in message.body)
                self.told.append((now, wanted, message))

    def _in_transaction(self, work: Callable[[sa.Connection], Any]) -> Any:
        with self.database.begin() as connection:
            return work(connection)

    def _said(self) -> str:
        return ", ".join(f"{at}: {wanted.what} {wanted.kind} {wanted.user_id}" for at, wanted, _ in self.told)


__all__ = ["APP_ID", "Timeline", "digest", "firing", "repeated", "resolved"]
