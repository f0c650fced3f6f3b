"""What a sender, a visitor or ZEGO's server can make many of, and how a test makes so many of each."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting import AlertReaction
from sidecar.alerting.tables import alert_log, message_rows, notifications, user_watch_rows
from sidecar.domain.alerts.alert import RESOLVED, Alert, Subject, fingerprint
from sidecar.domain.alerts.message_plan import Planned, Waiting
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.user_watches import UserWatch
from sidecar.domain.events import API_ERROR, HEARTBEAT, LOGIN_RESULT, SERVER_USER_ACTION, Event
from sidecar.domain.platforms import PLATFORMS
from sidecar.domain.sdk_words import EVENTS
from sidecar.domain.texts import verbatim
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.store import Store
from sidecar.store.access import audit_log, browser_sessions, signed_requests
from sidecar.store.access.audit_values import User
from sidecar.store.care import erasures
from sidecar.store.values import Rejected
from tests.support.audited import entry
from tests.support.clocks import Machine
from tests.support.events import APP_ID, BEGIN_US, Phone, made_id
from tests.support.tokens import a_token

# How many events are appended at once.
_AT_ONCE: Final = 2_500
# Apps with groups, and windows of storms, of their own.
_APPS: Final = 5


class Scene(msgspec.Struct, frozen=True):
    """An open store with its clock and its alert rules."""

    store: Store
    machine: Machine
    reaction: AlertReaction

    async def appends(self, events: Sequence[Event]) -> None:
        """Received now."""
        for start in range(0, len(events), _AT_ONCE):
            await self.store.append([self.received(one) for one in events[start : start + _AT_ONCE]])

    def received(self, event: Event) -> Event:
        """The event, received now; what is a day of the past happened then."""
        now_us = self.machine.now_us
        given_us = event.moment_us if event.moment_us < BEGIN_US else now_us
        return msgspec.structs.replace(event, received_at_us=now_us, occurred_at_us=given_us, moment_us=given_us)


Make = Callable[[Scene, range], Awaitable[None]]


class Many(msgspec.Struct, frozen=True, kw_only=True):
    """``event`` is that of a number, where events make it, else ``make`` makes those of a range.

    ``at_most``: there are never more. ``full``: so many fill what a page shows of them.
    """

    name: str
    event: Callable[[int], Event] | None = None
    make: Make | None = None
    at_most: int | None = None
    full: int = 1_000

    async def makes(self, scene: Scene, numbers: range) -> None:
        """Makes those of the numbers."""
        if self.event is not None:
            await scene.appends([self.event(number) for number in numbers])
        if self.make is not None:
            await self.make(scene, numbers)


def _of(number: int) -> Phone:
    return Phone(f"user-{number:06}")


def _of_alice(number: int, kind: str = "connection_state_changed", **fields: Any) -> Event:
    """One event more of one phone of alice's."""
    phone = Phone("alice", "another phone")
    phone.seq = number + 1
    if kind == "connection_state_changed":
        fields = {"connection_state": "CONNECTED", "connection_event": "SUCCESS"} | fields
    return phone.event(kind, at=0, **fields)


def _group(number: int) -> Event:
    platforms, reasons = sorted(PLATFORMS), sorted(EVENTS)
    phone = Phone(f"user-{number:06}", app_id=1 + number // len(platforms) // len(reasons) % _APPS)
    named = platforms[number // len(reasons) % len(platforms)]
    return phone.says("CONNECTED", reasons[number % len(reasons)], at=0, platform=named)


def _kicks(number: int) -> Event:
    return _of_alice(
        number, connection_state="DISCONNECTED", connection_event="KICKED_OUT", device_id=f"device {number % 2}"
    )


def _flaps(number: int) -> Event:
    state, event = ("DISCONNECTED", "TOKEN_EXPIRED") if number % 2 == 0 else ("CONNECTED", "SUCCESS")
    return _of_alice(number, connection_state=state, connection_event=event)


def _report(number: int) -> Event:
    details = {"action": "login", "status": "online", "said_at_us": BEGIN_US, "zego_session_id": f"{number}"}
    return Phone(f"user-{number:06}").event(SERVER_USER_ACTION, at=0, details=details, platform=None)


def _login(number: int) -> Event:
    return _of(number).login(at=0, token_expires_at_us=BEGIN_US + HOUR_US + number * SECOND_US)


async def _heartbeats(scene: Scene, numbers: range) -> None:
    phone = Phone("alice", "another phone")
    await scene.appends([phone.says("CONNECTED", "SUCCESS", at=0)])
    await scene.appends([msgspec.structs.replace(phone.event(HEARTBEAT, at=0), id=made_id(f"{n}")) for n in numbers])


async def _rejected(scene: Scene, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, numbers.stop))
        now_us = scene.machine.now_us
        await scene.store.append([], [Rejected(now_us, n, f"{n}", f"error {n}", "{}", APP_ID) for n in some])


async def _alerts(scene: Scene, numbers: range, **fields: Any) -> None:
    now_us = scene.machine.now_us

    def write(connection: sa.Connection) -> None:
        first = alert_log.AlertLog(connection).next_id() - numbers.start
        found = []
        for number in numbers:
            subject = Subject(APP_ID, f"user-{number:06}")
            values = {"started_at_us": now_us, "opened_at_us": now_us, "changed_at_us": now_us} | fields
            found.append(
                Alert(
                    id=first + number,
                    kind="login_timeout",
                    fingerprint=fingerprint("login_timeout", subject),
                    severity="warning",
                    subject=subject,
                    summary=verbatim("made"),
                    due_us=now_us + DAY_US,
                    **values,
                )
            )
        alert_log.write(connection, found, [])

    await scene.store.write(write)


async def _resolved(scene: Scene, numbers: range) -> None:
    now_us = scene.machine.now_us
    await _alerts(scene, numbers, state=RESOLVED, ended_at_us=now_us, end_reason=verbatim("made"))


async def _notifications(scene: Scene, numbers: range) -> None:
    await _alerts(scene, numbers)
    due_us = scene.machine.now_us + HOUR_US
    new = [notifications.NewNotification(number + 1, "ops", "firing", "made", due_us) for number in numbers]
    await scene.store.write(notifications.enqueue, new)


async def _messages(scene: Scene, numbers: range) -> None:
    await _alerts(scene, numbers)
    now_us = scene.machine.now_us

    def write(connection: sa.Connection) -> None:
        for number in numbers:
            new = notifications.NewNotification(number + 1, "ops", "firing", "made", now_us)
            notifications.enqueue(connection, [new])
            waiting = Waiting(
                id=number + 1,
                alert_id=number + 1,
                what="firing",
                group="made",
                due_us=now_us,
                answers=None,
                digest=False,
                firing_delivered=True,
                fires=True,
                suppressed_by=None,
                acknowledged=False,
            )
            planned = Planned(what="firing", notifications=(waiting,))
            body = {"alert": {"app_id": APP_ID, "user_id": "alice", "summary": ""}}
            made = message_rows.create(
                connection, "ops", planned, public_id=f"{number}", body=body, alerts=1, now_us=now_us
            )
            message_rows.mark_failed(connection, made.id, verbatim("HTTP 410"), now_us, None)

    await scene.store.write(write)


async def _silences(scene: Scene, numbers: range) -> None:
    now_us = scene.machine.now_us
    for number in numbers:
        wanted = Silence(
            id=0,
            matchers={"user_id": (f"user-{number}",)},
            starts_at_us=now_us,
            ends_at_us=now_us + HOUR_US,
            author="mallory",
            reason="many",
        )
        await scene.store.write(scene.reaction.silence, wanted)


async def _watches(scene: Scene, numbers: range) -> None:
    now_us = scene.machine.now_us
    for number in numbers:
        wanted = UserWatch(
            id=0,
            app_id=APP_ID,
            user_id=f"user-{number:06}",
            author="mallory",
            receiver=None,
            created_at_us=now_us,
            until_us=now_us + HOUR_US,
        )
        await scene.store.write(user_watch_rows.add, wanted)


async def _signed(scene: Scene, numbers: range) -> None:
    now_us = scene.machine.now_us

    def write(connection: sa.Connection) -> None:
        for number in numbers:
            request = signed_requests.digest(f"{number}")
            signed_requests.taken_before(connection, request, b"", now_us=now_us, until_us=now_us + 5 * MINUTE_US)

    await scene.store.write(write)


async def _signs_in(scene: Scene, numbers: range) -> None:
    now_us = scene.machine.now_us

    def write(connection: sa.Connection) -> None:
        for number in numbers:
            new = browser_sessions.New(owner=a_token(), name="mallory", created_at_us=now_us)
            browser_sessions.begin(connection, f"{number}", new, created_after_us=now_us - DAY_US)

    await scene.store.write(write)


async def _erasures(scene: Scene, numbers: range) -> None:
    now_us = scene.machine.now_us

    def write(connection: sa.Connection) -> None:
        with contextlib.suppress(erasures.TooManyErasuresError):
            for number in numbers:
                erasures.ask(connection, APP_ID, f"user-{number:06}", now_us)

    await scene.store.write(write)


async def _audited(scene: Scene, numbers: range) -> None:
    """Looks at many users, each with an id that is kept in readable form."""
    await scene.appends([_of(number).says("CONNECTED", "SUCCESS", at=0) for number in numbers])

    def write(connection: sa.Connection) -> None:
        audit_log.record(connection, *(entry(number, User(APP_ID, f"user-{number:06}")) for number in numbers))

    await scene.store.write(write)


def _moment(number: int) -> Event:
    moment_us = BEGIN_US - (number % 120_000) * MINUTE_US - 1
    return msgspec.structs.replace(_of_alice(number, "login"), moment_us=moment_us)


def _versions(number: int) -> Event:
    fields = ("sdk_name", "sdk_version", "app_version", "reporter_name", "reporter_version")
    return _of(number).says("CONNECTED", "SUCCESS", at=0, **{name: f"{name} {number}" for name in fields})


def _device(number: int, state: str = "CONNECTED") -> Event:
    return Phone("alice", f"device {number}").says(state, "SUCCESS", at=0)


async def _silent(scene: Scene, numbers: range) -> None:
    """Users that send heartbeats, and then nothing for so long that an alert about each is due."""
    phones = [_of(number) for number in numbers]
    await scene.appends([phone.says("CONNECTED", "SUCCESS", at=0) for phone in phones])
    await scene.appends([phone.event(HEARTBEAT, at=0) for phone in phones])
    scene.machine.passes(100)


async def _disagreeing(scene: Scene, numbers: range) -> None:
    await scene.appends([_report(number) for number in numbers])
    scene.machine.passes(100)


EVERY: Final = (
    Many(name="apps", event=lambda n: Phone("alice", app_id=n + 1).says("CONNECTED", "SUCCESS", at=0), at_most=100),
    Many(name="users", event=lambda n: _of(n).says("CONNECTED", "SUCCESS", at=0)),
    Many(name="offline users", event=lambda n: _of(n).says("RECONNECTING", "LOGIN_INTERRUPTED", at=0)),
    Many(name="kicked users", event=lambda n: _of(n).says("DISCONNECTED", "KICKED_OUT", at=0)),
    Many(name="silent users", make=_silent),
    Many(name="devices of a user", event=_device),
    Many(name="devices of a user that ended", event=lambda n: _device(n, "DISCONNECTED")),
    Many(name="devices without a user", event=lambda n: Phone(None, f"device {n}").says("CONNECTED", "SUCCESS", at=0)),
    Many(name="device ids", event=lambda n: _of_alice(n, device_id=f"device {n}")),
    Many(name="sessions", event=lambda n: _of_alice(n, session_id=made_id(f"session {n}"))),
    Many(name="events of a user", event=_of_alice),
    Many(name="events without a span", event=lambda n: _of_alice(n, API_ERROR, details={"method": "m", "code": n})),
    Many(name="platforms", event=lambda n: _of(n).says("CONNECTED", "SUCCESS", at=0, platform=f"platform {n}")),
    Many(name="states", event=lambda n: _of(n).says(f"{n}", "SUCCESS", at=0)),
    Many(name="reasons", event=lambda n: _of(n).says("DISCONNECTED", f"reason {n}", at=0)),
    Many(name="groups of users", event=_group),
    Many(name="versions", event=_versions),
    Many(
        name="old reporters",
        event=lambda n: _of(n).says(
            "CONNECTED", "SUCCESS", at=0, reporter_name="zim-tap", reporter_version=f"0.0.{n % 10_000}"
        ),
        at_most=50,
        full=50,
    ),
    Many(
        name="methods and codes",
        event=lambda n: _of(n).event(LOGIN_RESULT, at=0, details={"code": n, "message": f"{n}"}),
    ),
    Many(name="ends of tokens", event=_login),
    Many(name="kicks of a user", event=_kicks),
    Many(name="alerts of a user", event=_flaps),
    Many(name="reports of ZEGO's server", event=_report),
    Many(name="users that ZEGO's server sees differently", make=_disagreeing),
    Many(name="minutes", event=_moment, full=1_500),
    Many(name="heartbeats", make=_heartbeats),
    Many(name="rejected events", make=_rejected, at_most=10_000),
    Many(name="erasures that are not finished", make=_erasures, at_most=1_000),
    Many(name="firing alerts", make=_alerts),
    Many(name="resolved alerts", make=_resolved),
    Many(name="notifications", make=_notifications),
    Many(name="undelivered messages", make=_messages),
    Many(name="silences", make=_silences, at_most=500),
    Many(name="watches", make=_watches, at_most=100, full=100),
    Many(name="signed requests", make=_signed),
    Many(name="sign-ins", make=_signs_in, at_most=100),
    Many(name="looks", make=_audited),
)

# Each field of an event as it is sent, and what many values of it are.
FIELDS: Final = {
    "id": "events of a user",
    "occurred_at": "minutes",
    "client_id": "devices of a user",
    "seq": "events of a user",
    "app_id": "apps",
    "session_id": "sessions",
    "user_id": "users",
    "platform": "platforms",
    "sdk": "versions",
    "app_version": "versions",
    "device_id": "device ids",
    "reporter": "versions",
    "name": "versions",
    "version": "versions",
    "state": "states",
    "event": "reasons",
    "extended_data": "events of a user",
    "second": "events of a user",
    "code": "methods and codes",
    "message": "methods and codes",
    "method": "methods and codes",
    "token_expires_at": "ends of tokens",
    "offline_login": "events of a user",
    "observed_at": "minutes",
    "proven": "events of a user",
}

# Each table, and what fills it; or why it stays small.
TABLES: Final = {
    "events": "events of a user",
    "clients": "devices of a user that ended",
    "client_blocks": "events of a user",
    "traces": "sessions",
    "user_groups": "groups of users",
    "user_status": "users",
    "rollups": "minutes",
    "happenings": "kicked users",
    "server_views": "reports of ZEGO's server",
    "rejected_events": "rejected events",
    "signed_requests": "signed requests",
    "browser_sessions": "sign-ins",
    "accounts": "few: made by administrators",
    "account_links": "few: one for each account",
    "recovery_codes": "few: ten for each account",
    "alerts": "firing alerts",
    "alert_history": "alerts of a user",
    "alert_notifications": "notifications",
    "alert_messages": "undelivered messages",
    "alert_silences": "silences",
    "user_watches": "watches",
    "offline_watch": "offline users",
    "kicks": "kicks of a user",
    "storm_members": "kicked users",
    "alert_members": "kicked users",
    "alert_counts": "few: a row for each kind of alert and app",
    "storm_windows": "few: a row for each kind of storm and app",
    "alert_cursors": "few: the rules have one",
    "app_hours": "few: two hundred for each app",
    "old_reporters": "old reporters",
    "span_outbox": "few: a run for each time that export was switched off and on",
    "span_losses": "few: the newest thousand",
    "followers": "few: one for each part of Zimwatch",
    "lease_stretches": "few: the newest hundred",
    "pruning_hold": "few: one row",
    "forwarding": "few: one row",
    "edges": "few: a thousand at most",
    "pruned_apps": "few: one for each app in the settings",
    "keys": "few: one for each purpose",
    "audit_log": "looks",
    "audit_subjects": "looks",
    "audit_marks": "few: the head and the anchor",
    "erasures": "erasures that are not finished",
    "api_tokens": "few: the operator creates them",
}
