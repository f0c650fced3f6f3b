"""The moment of an event: a wrong clock, of a device or of the server, decides nothing."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from sidecar.alerting.alert_reaction import AlertReaction, Policy
from sidecar.alerting.tables import alert_log
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain import rfc3339
from sidecar.domain.moment import EARLIEST_US, clock_off_us, moment_us
from sidecar.domain.units import DAY_US, HOUR_US, SECOND_US
from sidecar.ingest import decode
from sidecar.settings import AlertSettings
from sidecar.store import Store, log_positions
from sidecar.store.log import span_outbox
from sidecar.store.users import per_minute, user_reads
from tests.support.clocks import Machine
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, made_id
from tests.support.running import Zimwatch
from tests.support.stores import projected
from tests.support.wire import wire_event

pytestmark = pytest.mark.both_engines("soak")

YEAR_US = 366 * DAY_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Device:
    """A device of alice with a clock of its own: ``off_us`` ahead of the machine that Zimwatch runs on."""

    def __init__(self, machine: Machine, name: str, off_us: int = 0) -> None:
        self.machine = machine
        self.client_id = str(uuid.UUID(bytes=made_id(name)))
        self.off_us = off_us
        self.seq = 0

    @property
    def clock(self) -> str:
        return rfc3339.text(self.machine.now_us + self.off_us)

    def event(self, state: int, event: int, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        sent = {
            "client_id": self.client_id,
            "seq": self.seq,
            "occurred_at": self.clock,
            "session_id": self.client_id,
        }
        return wire_event(**sent, state=state, event=event) | fields

    def kicked(self) -> dict[str, Any]:
        return self.event(0, 4)

    def online(self) -> dict[str, Any]:
        return self.event(2, 0)

    def logged_out(self) -> dict[str, Any]:
        return self.event(0, 0)


@pytest.fixture
def options(machine: Machine) -> dict[str, Any]:
    return {"machine": machine, "alerts": AlertSettings(offline_too_long="0s")}


async def post(running: Zimwatch, events: list[dict[str, Any]], sent_at: str | None = None) -> tuple[int, Any]:
    query = "" if sent_at is None else f"?sent_at={sent_at}"
    async with running.http.post(URL(f"{running.url}/v1/events{query}", encoded=True), json=events) as answer:
        return answer.status, await answer.json()


async def alice(running: Zimwatch) -> dict[str, Any]:
    _, read = await running.get(f"/v1/users/{APP_ID}/alice")
    return dict(read)


@pytest.mark.parametrize("reports_clock", [False, True])
@pytest.mark.parametrize("off_us", [3 * HOUR_US, 8_000 * YEAR_US])
async def test_a_clock_in_the_future_does_not_decide_the_status(
    running: Zimwatch, machine: Machine, off_us: int, *, reports_clock: bool
) -> None:
    wrong, right = Device(machine, "phone", off_us), Device(machine, "laptop")
    kicked = wrong.kicked()
    await post(running, [kicked], wrong.clock if reports_clock else None)
    assert (await alice(running))["since"] == rfc3339.text(machine.now_us)
    for happens in (right.online, right.logged_out):
        machine.passes(60)
        await post(running, [happens()], right.clock if reports_clock else None)
        user = await alice(running)
        assert user["since"] == rfc3339.text(machine.now_us)
    assert (user["status"], user["reason"]) == ("not_logged_in", "SUCCESS")
    _, answer = await running.get(f"/v1/users/{APP_ID}/alice/events")
    assert answer["events"][-1]["occurred_at"] == kicked["occurred_at"]


async def test_a_queue_of_yesterday_from_a_wrong_clock_is_corrected(running: Zimwatch, machine: Machine) -> None:
    for number, off_us in enumerate((-30 * YEAR_US, -HOUR_US, HOUR_US, 100 * YEAR_US, 9_000 * YEAR_US)):
        device = Device(machine, f"phone {number}", off_us)
        user_id = f"user{number}"
        waiting = [device.online() | {"user_id": user_id}]
        online_us = machine.now_us
        machine.passes(3_600)
        waiting.append(device.event(0, 4) | {"user_id": user_id})
        kicked_us = machine.now_us
        machine.passes(23 * 3_600)
        assert (await post(running, waiting, device.clock))[1]["accepted"] == 2
        _, user = await running.get(f"/v1/users/{APP_ID}/{user_id}")
        assert (user["status"], user["since"]) == ("not_logged_in", rfc3339.text(kicked_us))
        _, answer = await running.get(f"/v1/users/{APP_ID}/{user_id}/events")
        assert [one["moment"] for one in answer["events"]] == [rfc3339.text(kicked_us), rfc3339.text(online_us)]
        assert [one["occurred_at"] for one in answer["events"]] == [one["occurred_at"] for one in reversed(waiting)]
        # A chart has it in the minute in which it happened.
        minutes = await running.store.read(
            per_minute.buckets, None, begin_us=online_us, end_us=machine.now_us, step_minutes=1
        )
        assert [one.begin_us for one in minutes if one.kicked_out] == [kicked_us // 60_000_000 * 60_000_000]


async def test_a_sender_whose_clock_is_right_within_two_seconds_is_believed(
    running: Zimwatch, machine: Machine
) -> None:
    device = Device(machine, "phone", -2 * SECOND_US)
    event = device.online()
    machine.passes(10)
    await post(running, [event], device.clock)
    assert (await alice(running))["since"] == event["occurred_at"]


async def test_a_sent_at_that_is_no_time_is_rejected_by_name(running: Zimwatch, machine: Machine) -> None:
    for sent_at in ("", "yesterday", "2026-11-23", "2026-02-30T00:00:00Z", "1795442600", "2026-11-23T14:00:00"):
        status, problem = await post(running, [Device(machine, "phone").online()], quote(sent_at))
        assert (status, "sent_at" in problem["detail"]) == (400, True)
    assert await running.store.read(log_positions.newest_position) == 0


async def test_a_plus_that_was_not_escaped_is_still_an_offset(running: Zimwatch, machine: Machine) -> None:
    device = Device(machine, "phone", 5 * HOUR_US)
    there = EPOCH + timedelta(microseconds=machine.now_us + device.off_us)
    sent_at = there.astimezone().isoformat().replace("-00:00", "+00:00")
    status, _ = await post(running, [device.online()], sent_at)
    assert status == 200
    assert (await alice(running))["since"] == rfc3339.text(machine.now_us)


async def test_a_device_whose_clock_is_off_by_more_than_a_minute_is_named(running: Zimwatch, machine: Machine) -> None:
    wrong, right = Device(machine, "phone", -2 * HOUR_US), Device(machine, "laptop", 59 * SECOND_US)
    for device in (wrong, right):
        await post(running, [device.online()], device.clock)
    sessions = {one["client_id"]: one["clock_off_s"] for one in (await alice(running))["sessions"]}
    assert sessions == {wrong.client_id: -7_200, right.client_id: None}
    async with running.http.get(f"/users/{APP_ID}/alice") as page:
        text = re.sub(r"<[^>]*>", "", await page.text())
    assert text.count("clock is wrong: 2 h behind") == 1
    # Once it is right, the finding is gone.
    wrong.off_us = 0
    await post(running, [wrong.online()], wrong.clock)
    assert [one["clock_off_s"] for one in (await alice(running))["sessions"]] == [None, None]


async def test_a_span_is_at_the_moment_and_has_the_time_of_the_device(tmp_path: Path, machine: Machine) -> None:
    store = Store.open(url_of(tmp_path), clock=machine.clock, export_spans=True)
    device = Device(machine, "phone", 100 * YEAR_US)
    events = [device.online(), Device(machine, "laptop").online()]
    body = json.dumps(events).encode()
    await store.append([event for _, event in decode(body, "json", machine.now_us).events])
    spans = await store.read(span_outbox.claim, 0, 10)
    assert [one.moment_us for one in spans] == [machine.now_us] * 2
    assert [one.occurred_at_us - one.moment_us for one in spans] == [100 * YEAR_US, 0]
    await store.close()


OFF_US = st.sampled_from([0, 0, SECOND_US, -90 * SECOND_US, HOUR_US, -DAY_US]) | st.integers(-60, 8_000).map(
    lambda years: years * YEAR_US
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["phone", "laptop", "tablet"]),
        st.sampled_from(
            [(2, 0), (3, 3), (0, 4), (0, 5), (0, 0), "logout", "login", "sends", "sends clockless", "is set"]
        ),
        st.integers(0, 100_000),
        OFF_US,
    ),
    max_size=30,
)
SET = st.sampled_from([0, 0, 0, -DAY_US, 400 * DAY_US, 90 * SECOND_US])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, sets=st.lists(SET, min_size=30, max_size=30))
def test_no_moment_is_after_its_receipt_whatever_the_clocks_show(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], sets: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("clocks")
    machine = Machine()
    devices = {name: Device(machine, name) for name in ("phone", "laptop", "tablet")}
    queues: dict[str, list[dict[str, Any]]] = {name: [] for name in devices}

    async def scenario() -> None:
        store = Store.open(
            url_of(folder),
            clock=machine.clock,
            steady=machine.steady,
            followers=[AlertReaction(Policy())],
        )
        latest_us = machine.now_us
        for (name, what, passes_s, off_us), set_us in zip([*steps, *SENDS], [*sets, 0, 0, 0], strict=False):
            machine.passes(passes_s)
            machine.is_set_by(set_us / SECOND_US)
            latest_us = max(latest_us, machine.now_us)
            device = devices[name]
            if what == "is set":
                device.off_us = off_us
            elif what in {"login", "logout"}:
                queues[name].append(device.event(0, 0, type=what, offline_login=False))
            elif isinstance(what, tuple):
                queues[name].append(device.event(*what))
            else:
                sent_at_us = machine.now_us + device.off_us if what == "sends" else None
                body = json.dumps(queues[name]).encode()
                decoded = decode(body, "json", machine.now_us, sent_at_us=sent_at_us)
                assert decoded.rejected == []
                await store.append([event for _, event in decoded.events])
                queues[name] = []
                user = await store.read(user_reads.user, APP_ID, "alice", store.now())
                if user is not None:
                    moments = [user.user.since_us, *(one.since_us for one in user.sessions)]
                    assert all(at is None or at <= latest_us for at in moments)
        for one in await store.read(user_reads.timeline, APP_ID, "alice", before=None, limit=100):
            assert EARLIEST_US <= one.event.moment_us <= one.event.received_at_us
        for alert in (await store.read(alert_log.page, AlertFilter(limit=100))).alerts:
            assert alert.started_at_us <= latest_us
        day = await store.read(per_minute.buckets, None, begin_us=latest_us, end_us=latest_us + DAY_US, step_minutes=1)
        assert all(one.kicked_out == one.token_expired == one.logins == 0 for one in day[1:])
        live = projected(folder)
        await store.rebuild()
        again = projected(folder)
        for name in ("users", "clients", "traces"):  # the other tables also depend on leases that ended meanwhile
            assert again[name] == live[name]
        await store.close()

    asyncio.run(scenario())


SENDS = [(name, "sends", 1, 0) for name in ("phone", "laptop", "tablet")]


@settings(deadline=None)
@given(
    true_us=st.integers(BEGIN_US - YEAR_US, BEGIN_US),
    off_us=st.integers(-2_000 * YEAR_US, 7_000 * YEAR_US),
    waits_us=st.integers(0, YEAR_US),
)
@pytest.mark.of_sqlite
def test_a_reported_clock_is_corrected_by_its_offset(true_us: int, off_us: int, waits_us: int) -> None:
    received_us = true_us + waits_us
    found = moment_us(true_us + off_us, received_us, received_us + off_us)
    assert abs(found - true_us) <= 2 * SECOND_US


@pytest.mark.of_sqlite
def test_an_event_is_not_hidden_by_a_late_one_of_another_device_with_a_wrong_clock() -> None:
    """An end reported from a clock years ahead is as old as its receipt, and one from years behind is old."""
    for occurred_us in (BEGIN_US + 50 * YEAR_US, 0, -YEAR_US):
        assert moment_us(occurred_us, BEGIN_US) == BEGIN_US
    assert moment_us(BEGIN_US - YEAR_US, BEGIN_US) == BEGIN_US - YEAR_US


@pytest.mark.of_sqlite
def test_the_offset_of_a_clock_follows_from_the_stored_event() -> None:
    body = json.dumps([wire_event()]).encode()
    ((_, event),) = decode(body, "json", BEGIN_US + DAY_US, sent_at_us=BEGIN_US + DAY_US - 90 * SECOND_US).events
    assert clock_off_us(event) == -90 * SECOND_US
