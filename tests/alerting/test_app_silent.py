"""``app_silent``: from what is recorded of each minute to the alert, on a real store with clocks of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidecar.alerting.alert_reaction import AlertReaction, Policy
from sidecar.alerting.tables import alert_log
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.alerting.timer import Ticker
from sidecar.domain.activity import HOURS_KEPT
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.rules.app_silent import AppSilent
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.events import API_ERROR, HEARTBEAT, LOGOUT, SERVER_USER_ACTION, Event
from sidecar.domain.texts import verbatim
from sidecar.domain.units import HOUR_US, MINUTE_US
from sidecar.store import Store
from sidecar.store.users import app_hours
from tests.support.clocks import Machine
from tests.support.databases import url_of
from tests.support.events import APP_ID, Phone
from tests.support.rules_in_memory import Rules, lines, us
from tests.support.work import of_reads

DAYS = 8
MINUTE_S = 60
FLEET = 2


class Scene:
    """A server that has known an app for some days, each minute of which it sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = Machine()
        self.phones = [Phone(f"user-{number}") for number in range(FLEET)]
        self.open()

    def open(self) -> None:
        policy = Policy(thresholds=Thresholds(storm_users=1_000, app_silent_us=6 * MINUTE_US))
        self.reaction = AlertReaction(policy)
        url = url_of(self.folder)
        self.store = Store.open(
            url, clock=self.machine.clock, steady=self.machine.steady, followers=[self.reaction], export_spans=True
        )
        self.store.when_clock_is_set(self.reaction.clock_set)
        self.ticker = Ticker(self.store, self.reaction, [], self.machine.clock, exports_spans=False)

    async def restarts(self, *, down_s: float) -> None:
        await self.store.close()
        self.machine.restarts(down_s=down_s)
        self.open()

    async def knows(self, *, users: int = 10) -> None:
        """The app is known for some days, and all of its users are online."""
        await self.sends()
        hour = self.machine.now_us // HOUR_US

        def fill(connection: sa.Connection) -> None:
            rows = [(APP_ID, hour - ago, (1 << 60) - 1, users) for ago in range(1, DAYS * 24)]
            sql = "INSERT INTO app_hours (app_id, hour, minutes, users) VALUES (?, ?, ?, ?)"
            connection.exec_driver_sql(sql, rows)

        await self.store.write(fill)

    def received(self, phone: Phone, kind: str, **fields: object) -> Event:
        now_us = self.machine.now_us
        given = {"occurred_at_us": now_us, "received_at_us": now_us, "moment_us": now_us} | fields
        return phone.event(kind, 0, **given)

    async def sends(self) -> None:
        told = {"connection_state": "CONNECTED", "connection_event": "SUCCESS"}
        events = [self.received(phone, "connection_state_changed", **told) for phone in self.phones]
        await self.store.append(events)
        await self.beats()

    async def beats(self) -> None:
        await self.store.append(
            [self.received(phone, HEARTBEAT, connection_state="CONNECTED") for phone in self.phones]
        )

    async def lives(self, minutes: int, each: Callable[[], object] | None = None, *, every_s: int = 60) -> None:
        """So many minutes, with a tick of the rules each."""
        for _ in range(minutes * MINUTE_S // every_s):
            self.machine.passes(every_s)
            if each is not None:
                await each()  # type: ignore[misc]
            await self.store.tend()
            await self.ticker.tick()

    async def alerts(self) -> list[tuple[str, str]]:
        found = await self.store.read(alert_log.page, AlertFilter(kind="app_silent"))
        return [(one.state, str(one.summary)) for one in found.alerts]

    async def alert(self) -> Alert:
        return (await self.store.read(alert_log.page, AlertFilter(kind="app_silent"))).alerts[0]

    async def minutes(self) -> dict[int, str]:
        def read(connection: sa.Connection) -> dict[int, str]:
            found = connection.exec_driver_sql("SELECT hour, minutes FROM app_hours WHERE app_id = ?", (APP_ID,))
            return {row[0]: f"{row[1]:b}" for row in found}

        return await self.store.read(read)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    await made.store.close()


async def test_an_app_that_stops_is_one_alert_until_it_sends_again(scene: Scene) -> None:
    await scene.knows()
    await scene.lives(2, scene.beats)
    await scene.lives(5)
    assert await scene.alerts() == []
    await scene.lives(2)
    text = "Nothing was received from the app for 6 min, although it sends at this time on other days"
    assert await scene.alerts() == [("firing", text)]
    alert = await scene.alert()
    assert (alert.severity, alert.subject, alert.count) == ("critical", Subject(APP_ID), 1)
    assert alert.opened_at_us - alert.started_at_us == pytest.approx(6 * MINUTE_US, abs=MINUTE_US)
    await scene.lives(4)
    assert len(await scene.alerts()) == 1
    await scene.sends()
    await scene.lives(2, scene.beats)
    assert await scene.alerts() == [("resolved", text)]
    assert str((await scene.alert()).end_reason) == "the app sends again"


async def test_quiet_users_who_only_send_heartbeats_are_no_silence(scene: Scene) -> None:
    await scene.knows()
    await scene.lives(9, scene.beats)
    assert await scene.alerts() == []


async def test_reports_of_zegos_server_are_not_the_apps(scene: Scene) -> None:
    await scene.knows()

    async def reports() -> None:
        details = {"action": "login", "status": "online", "said_at_us": scene.machine.now_us, "zego_session_id": "1"}
        await scene.store.append([scene.received(Phone("zego"), SERVER_USER_ACTION, details=details)])

    await scene.lives(8, reports)
    assert [state for state, _ in await scene.alerts()] == ["firing"]


async def test_an_app_with_fewer_users_than_the_setting_is_not_missed(scene: Scene) -> None:
    await scene.knows(users=9)
    await scene.lives(9)
    assert await scene.alerts() == []


async def test_a_stop_of_zimwatch_is_no_silence_of_the_app(scene: Scene) -> None:
    await scene.knows()
    await scene.lives(1, scene.beats)
    await scene.restarts(down_s=3 * 60 * MINUTE_S)
    await scene.lives(3)
    assert await scene.alerts() == []
    await scene.lives(5)
    assert [state for state, _ in await scene.alerts()] == ["firing"], "it is silent now"


@pytest.mark.parametrize("by_s", [-2 * 3_600, -600, 600, 2 * 3_600])
async def test_a_clock_that_is_set_is_no_silence_of_the_app(scene: Scene, by_s: int) -> None:
    await scene.knows()
    await scene.lives(3, scene.beats)
    scene.machine.is_set_by(by_s)
    await scene.lives(4)
    assert await scene.alerts() == []
    await scene.lives(4, scene.beats)
    assert await scene.alerts() == []
    await scene.lives(8)
    assert [state for state, _ in await scene.alerts()] == ["firing"], "it is missed all the same"


async def test_a_minute_is_recorded_once_with_the_users_of_its_hour(scene: Scene) -> None:
    scene.machine.now_us -= scene.machine.now_us % HOUR_US
    hour = scene.machine.now_us // HOUR_US
    await scene.sends()
    await scene.lives(1, scene.beats, every_s=20)
    scene.machine.passes(2 * MINUTE_S)
    await scene.beats()
    await scene.store.append([scene.received(scene.phones[0], API_ERROR, details={"code": 1})])
    assert await scene.minutes() == {hour: "1011"}

    def users(connection: sa.Connection) -> int | None:
        return connection.exec_driver_sql("SELECT users FROM app_hours").scalar()

    assert await scene.store.read(users) == FLEET
    await scene.store.append([scene.received(scene.phones[0], LOGOUT)])
    await scene.lives(1, scene.beats, every_s=20)
    assert await scene.store.read(users) == FLEET - 1
    await scene.sends()
    await scene.lives(1, scene.beats, every_s=20)
    assert await scene.store.read(users) == FLEET - 1, "the fewest"


async def test_hours_that_nothing_is_compared_with_are_deleted(scene: Scene) -> None:
    await scene.knows()
    scene.machine.passes(3 * 24 * 60 * MINUTE_S)
    await scene.sends()
    await scene.store.prune(despite_jump=True)
    newest = scene.machine.now_us // HOUR_US
    assert min(await scene.minutes()) == newest - HOURS_KEPT


async def test_what_each_app_does_is_read_of_a_day_and_only_of_a_silent_one_of_all_days(scene: Scene) -> None:
    await scene.knows()
    scene.machine.passes(60)
    with of_reads(scene.store) as done:
        found = await scene.store.read(app_hours.activity, scene.store.now(), 15 * MINUTE_US, 10)
    assert (set(found.sending), len(found.missed_since_us), done.having("app_hours")) == ({APP_ID}, 0, 1)
    scene.machine.passes(15 * 60)
    with of_reads(scene.store) as done:
        found = await scene.store.read(app_hours.activity, scene.store.now(), 15 * MINUTE_US, 10)
    assert (len(found.sending), list(found.missed_since_us), done.having("app_hours")) == (0, [APP_ID], 2)


# The rule.


def follows(
    rules: Rules, at: float, since: float | None = None, *, sending: bool = False, firing: bool = False
) -> None:
    missed = {} if since is None else {7: us(since)}
    apps = [7] if firing else []
    rules.set.of(AppSilent).follow(missed, {7} if sending else set(), apps, us(at))


def test_where_a_storm_fires_it_waits_for_the_end_of_that() -> None:
    rules = Rules()
    for kind in ("lost_storm", "reconnect_storm", "offline_storm"):
        rules.firing.cause(kind, "critical", Subject(7), at_us=0, now_us=0, summary=verbatim(""))
    rules.commit()
    follows(rules, 900, 0)
    rules.commit()
    for kind in ("lost_storm", "reconnect_storm", "offline_storm"):
        assert rules.about("app_silent", Subject(7)).suppressed_by == "storm", kind
        follows(rules, 960, 0, firing=True)
        storm = rules.about(kind, Subject(7))
        rules.firing.resolve(storm, at_us=us(960), now_us=us(960), reason=verbatim(""))
        rules.commit()
    follows(rules, 1_020, 0, firing=True)
    assert [(what, kind) for what, kind, _ in lines(rules.commit())] == [("unheld", "app_silent")]


def test_lost_users_of_an_app_that_is_silent_are_covered() -> None:
    rules = Rules()
    follows(rules, 900, 0)
    rules.commit()
    lost = rules.firing.about("app_silent", Subject(7))
    assert lost is not None
    assert rules.set.due("client_lost")._opening.covered_by("client_lost", Subject(7, "alice")) == "storm"


def test_one_that_is_not_sending_and_not_missed_any_more_fires_on() -> None:
    rules = Rules()
    follows(rules, 900, 0)
    rules.commit()
    follows(rules, 960, firing=True)
    assert rules.commit() == []
    follows(rules, 960, sending=True, firing=True)
    assert [what for what, _, _ in lines(rules.commit())] == ["resolved"]


@pytest.mark.parametrize("limits", [{"app_silent_us": 0}, {"off": frozenset({"app_silent"})}])
def test_one_that_is_switched_off_opens_nothing_and_still_resolves(limits: dict[str, Any]) -> None:
    rules = Rules()
    follows(rules, 900, 0)
    rules.commit()
    off = Rules(**limits)
    off.log = rules.log
    off.commit()
    follows(off, 960, 0, sending=True, firing=True)
    assert [what for what, _, _ in lines(off.commit())] == ["resolved"]
    follows(off, 961, 0)
    assert off.commit() == []
