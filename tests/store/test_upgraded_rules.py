"""The state of the alert rules survives an upgrade from an earlier version."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.tables import alert_log, storm_rows
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from tests.store.test_upgrade import migrate
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.process import DATABASE

FIXTURE = Path(__file__).with_name("database_0019.sql")
# The last event of the fixture.
STOPPED = 666


class Later:
    """The fixture's server, started again ``STOPPED`` seconds after its beginning."""

    def __init__(self, path: Path) -> None:
        self.now_us = BEGIN_US + STOPPED * SECOND_US
        self.reaction = AlertReaction(
            Policy(thresholds=Thresholds(storm_users=3), receivers={"ops": 10}, repeat_us=3600 * SECOND_US)
        )
        url = f"sqlite:///{path}"
        self.store = Store.open(url, clock=lambda: self.now_us, followers=[self.reaction], export_spans=True)
        # As many events as the fixture has of them.
        with closing(sqlite3.connect(path)) as connection:
            self.sent = dict(connection.execute("SELECT client_id, MAX(seq) FROM events GROUP BY client_id").fetchall())

    def phone(self, user_id: str, name: str = "phone") -> Phone:
        phone = Phone(user_id, name)
        phone.seq = self.sent[phone.client_id]
        return phone

    async def at(self, second: float, *events: Any) -> None:
        self.now_us = BEGIN_US + int(second * SECOND_US)
        if events:
            await self.store.append(list(events))
        while await self.store.write(self.reaction.tick, self.now_us, Gathered()):
            pass

    async def alerts(self, **wanted: Any) -> list[Alert]:
        """Oldest first."""
        return (await self.store.read(alert_log.page, AlertFilter(limit=100, **wanted))).alerts[::-1]

    async def firing(self) -> list[tuple[str, str | None, str | None]]:
        return [(one.kind, one.subject.user_id, one.suppressed_by) for one in await self.alerts(state="firing")]


@pytest.fixture
async def later(tmp_path: Path) -> AsyncIterator[Later]:
    path = tmp_path / DATABASE
    migrate(path, "0019_readable_clients")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIXTURE.read_text())
    later = Later(path)
    await later.store.write(later.reaction.begin, later.now_us)
    yield later
    await later.store.close()


FIRING = [
    ("offline_too_long", "bob", None),
    ("offline_too_long", "grace", None),
    ("kicked_out", "carol", None),
    ("kicked_out", "erin", None),
    ("token_expired", "dave", "silenced"),
    ("token_expiring", "heidi", None),
    ("reconnect_storm", None, None),
    ("offline_too_long", "leo", "storm"),
]


async def test_what_fired_fires_still_and_nothing_begins_that_had_its_alert(later: Later) -> None:
    assert await later.firing() == FIRING
    assert await later.store.read(alert_log.counts) == Counter(kind for kind, _, _ in FIRING)
    assert sum((await later.store.read(alert_log.counts, frozenset({APP_ID}))).values()) == len(FIRING)
    await later.at(STOPPED + 1)
    assert await later.firing() == FIRING
    bob = (await later.alerts(user_id="bob"))[0]
    assert (bob.started_at_us, bob.opened_at_us) == (BEGIN_US + 10 * SECOND_US, BEGIN_US + 310 * SECOND_US)


async def test_who_was_offline_for_a_while_is_offline_for_too_long_at_the_same_moment(later: Later) -> None:
    await later.at(959)
    assert not await later.alerts(user_id="frank")
    await later.at(961)
    (frank,) = await later.alerts(user_id="frank")
    assert (frank.kind, frank.started_at_us) == ("offline_too_long", BEGIN_US + 660 * SECOND_US)


async def test_who_is_back_has_an_end_and_who_was_back_has_no_beginning(later: Later) -> None:
    await later.at(700, later.phone("bob").says("CONNECTED", "SUCCESS", 700))
    (bob,) = await later.alerts(user_id="bob")
    assert (bob.state, bob.ended_at_us) == ("resolved", BEGIN_US + 700 * SECOND_US)
    await later.at(1200)
    assert not await later.alerts(user_id="judy")


async def test_one_more_kick_in_turn_is_a_ping_pong(later: Later) -> None:
    phone = later.phone("erin")
    await later.at(700, phone.says("DISCONNECTED", "KICKED_OUT", 700))
    assert ("kick_ping_pong", "erin", None) in await later.firing()


async def test_one_more_alert_of_a_user_flaps(later: Later) -> None:
    await later.at(700, later.phone("ivan").says("DISCONNECTED", "LOGIN_TIMEOUT", 700))
    (now,) = await later.alerts(user_id="ivan", state="firing")
    assert now.labels["flapping"] == "true"


async def test_a_silence_ends_and_a_warning_runs_out(later: Later) -> None:
    await later.at(869)
    assert ("token_expiring", "heidi", None) in await later.firing()
    await later.at(871)
    assert ("token_expiring", "heidi", None) not in await later.firing()
    assert ("token_expired", "dave", "silenced") in await later.firing()
    await later.at(901)
    assert ("token_expired", "dave", None) in await later.firing()


async def test_a_storm_goes_on_until_most_are_back(later: Later) -> None:
    await later.at(900)
    assert ("reconnect_storm", None, None) in await later.firing()
    for user_id in ("frank", "leo"):
        await later.at(910, later.phone(user_id).says("CONNECTED", "SUCCESS", 910))
    await later.at(980)
    assert ("reconnect_storm", None, None) not in await later.firing()


async def test_a_storm_that_fires_during_the_upgrade_has_the_users_of_its_window(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    migrate(path, "0019_readable_clients")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIXTURE.read_text())
    migrate(path, "0023_heartbeats")
    with closing(sqlite3.connect(path)) as connection, connection:
        member = ("reconnect_storm", APP_ID, "leo", BEGIN_US)
        connection.execute("INSERT INTO storm_members (kind, app_id, user_id, at_us) VALUES (?, ?, ?, ?)", member)
    later = Later(path)
    (storm,) = await later.alerts(kind="reconnect_storm")
    users = [one.user_id for one in await later.store.read(storm_rows.members, storm, 100)]
    assert "leo" in users
    assert [one.id for one in await later.store.read(storm_rows.of_user, APP_ID, "leo", 10)] == [storm.id]
    await later.store.close()


async def test_what_was_acknowledged_is_not_repeated_and_the_rest_is(later: Later) -> None:
    await later.at(310 + 3602)
    repeated = "SELECT alert_id FROM alert_notifications WHERE what = 'repeat'"
    found = await later.store.read(lambda connection: connection.exec_driver_sql(repeated).all())
    assert found == [(1,)]


async def test_the_states_of_notifications_have_their_present_names(later: Later) -> None:
    states = "SELECT DISTINCT state FROM alert_notifications"
    found = await later.store.read(lambda connection: connection.exec_driver_sql(states).all())
    assert sorted(found) == [("planned",), ("waiting",)]
