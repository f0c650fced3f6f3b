"""Rules, alert log and events in one transaction: what fails in one does not harm the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.tables import alert_log, notifications, silence_rows
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.alerting.timer import Ticker
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.rule_set import RuleSet
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.texts import verbatim
from sidecar.domain.units import SECOND_US
from sidecar.store import Store, log_positions
from tests.support.cursors import caught_up
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.timeline import Timeline, us


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = url_of(tmp_path)
    store = Store.open(url, clock=lambda: BEGIN_US, followers=[AlertReaction(Policy(receivers={"ops": 10}))])
    yield store
    await store.close()


def kick(user_id: str) -> Any:
    return Phone(user_id).says("DISCONNECTED", "KICKED_OUT", 0)


def fail(*_args: object) -> None:
    raise ZeroDivisionError


async def kicked_out(store: Store) -> list[str | None]:
    return [alert.subject.user_id for alert in (await store.read(alert_log.page, AlertFilter())).alerts]


async def test_an_error_in_the_rules_keeps_no_event_from_being_accepted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RuleSet, "apply", fail)
        assert (await store.append([kick("carol")])).accepted == 1
        await caught_up(store, "rules")
    assert await kicked_out(store) == []
    assert (await store.append([kick("dave")])).accepted == 1
    assert await kicked_out(store) == ["dave"]


async def test_what_the_rules_had_written_before_they_failed_is_undone_and_the_event_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        # What is owed to receivers is written by then, and belongs to an alert that never comes to be.
        patched.setattr(alert_log, "write", fail)
        assert (await store.append([kick("carol")])).accepted == 1
        await caught_up(store, "rules")
    assert await store.read(notifications.of_alert, 1) == []
    assert await store.read(log_positions.newest_position) == 1
    assert (await store.append([kick("dave")])).accepted == 1
    assert await kicked_out(store) == ["dave"]


async def test_what_fails_beside_an_event_takes_no_alert_away_and_makes_none_twice(store: Store) -> None:
    works = [store.append([kick(name)]) for name in ("alice", "carol")]
    appended, error, again = await asyncio.gather(works[0], store.write(fail), works[1], return_exceptions=True)
    assert isinstance(error, ZeroDivisionError)
    assert not isinstance(appended, BaseException)
    assert not isinstance(again, BaseException)
    assert sorted(str(name) for name in await kicked_out(store)) == ["alice", "carol"]


async def test_an_alert_and_what_it_owes_are_there_when_the_event_is_acknowledged(store: Store) -> None:
    await store.append([kick("carol")])
    assert await kicked_out(store) == ["carol"]
    (owed,) = await store.read(notifications.of_alert, 1)
    assert (owed.receiver, owed.what, owed.state) == ("ops", "firing", "waiting")


async def test_one_tick_does_all_that_is_due_however_many_transactions_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.alerting.alert_reaction.AT_ONCE", 2)
    now_us = BEGIN_US
    reaction = AlertReaction(Policy(thresholds=Thresholds(off=frozenset({"offline_storm"}))))
    store = Store.open(url_of(tmp_path), clock=lambda: now_us, followers=[reaction])
    commits: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()
    store.subscribe(lambda commit: commits.put_nowait(commit.alerts) if commit.alerts else None)
    await store.append([Phone(f"user-{number}").says("RECONNECTING", "LOGIN_INTERRUPTED", 0) for number in range(5)])
    now_us = us(400)
    await Ticker(store, reaction, [], lambda: now_us, exports_spans=False).tick()
    assert (await store.read(alert_log.counts)) == {"offline_too_long": 5}
    async with asyncio.timeout(30):  # what is published comes to this loop after the writer has answered
        assert [await commits.get() for _ in range(3)] == [(1, 2), (3, 4), (5,)]
    assert commits.empty()
    await store.close()


def test_a_transaction_that_was_not_kept_is_forgotten(tmp_path: Path) -> None:
    story = Timeline(tmp_path)
    for kept in (False, True):
        connection = story.database.connect()
        transaction = connection.begin()
        story.reaction.tick(connection, us(0), Gathered(stalled={"spans": (us(-900), verbatim("away"))}))
        if kept:
            transaction.commit()
        else:
            transaction.rollback()
        connection.close()
    assert [(alert.id, alert.kind) for alert in story.alerts()] == [(1, "export_stalled")]
    story.close()


def test_the_database_itself_refuses_a_second_firing_alert_of_one_fingerprint(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).kicked("carol")
    story.live(until=1)
    (alert,) = story.alerts()
    alert.id = 2
    with pytest.raises(sa.exc.IntegrityError), story.database.begin() as connection:
        alert_log.write(connection, [alert], ())
    story.close()


@pytest.mark.parametrize(
    "matchers",
    [
        {},
        {"user_id": ("carol",)},
        {"user_id": ("ca*", "bob")},
        {"kind": ("kicked_out",), "severity": ("warning", "critical")},
        {"app_id": (str(APP_ID), "7", "9" * 30)},
        {"app_id": ("7",)},
        {"platform": ("Web",), "user_id": ("*o*",)},
        {"kind": ("client_*",)},
    ],
)
def test_a_silence_tells_beforehand_what_it_would_hide(tmp_path: Path, matchers: dict[str, tuple[str, ...]]) -> None:
    story = Timeline(tmp_path).at(0).kicked("carol").kicked("bob").token_expired("dave").at(1).login("dave")
    story.live(until=2)
    silence = Silence(id=0, matchers=matchers, starts_at_us=us(0), ends_at_us=us(9), author="dana", reason="tests")
    with story.database.connect() as connection:
        hidden = silence_rows.alerts_hidden_by(connection, silence)
    firing = story.alerts(state="firing")[::-1]
    assert len(firing) == 2
    assert hidden == [alert for alert in firing if silence.fits(alert)]
    story.close()


def test_a_receiver_no_longer_in_the_settings_gets_nothing_and_its_messages_are_dead(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).kicked("carol")
    story.live(until=0)
    with story.database.begin() as connection:
        story.reaction.plan(connection, "ops", us(5))
        assert notifications.backlog(connection) == (1, 0)
        assert notifications.abandon(connection, ["desk"], us(6)) == 1
        assert notifications.backlog(connection) == (0, 1)
        assert not notifications.send_again(connection, 1, ["desk"], us(7))
        assert notifications.send_again(connection, 1, ["desk", "ops"], us(7) + SECOND_US)
        assert notifications.backlog(connection) == (1, 0)
    story.close()
