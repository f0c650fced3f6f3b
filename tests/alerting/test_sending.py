"""When a receiver is sent what: limits across restarts, beginnings before ends, and the pauses that it requests."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sidecar.alerting.alert_reaction import Policy
from sidecar.alerting.tables import message_rows
from sidecar.settings import AlertSettings
from tests.alerting.test_receivers import back, delivered, kicked
from tests.support.called import SECRET, Called, listening
from tests.support.clocks import Machine
from tests.support.running import Zimwatch, zimwatch
from tests.support.timeline import OPS, Timeline, us

BROWSER = {"Accept": "text/html"}


def single_kicks(timeline: Timeline, count: int, *, restart: bool) -> None:
    for number in range(count):
        timeline.at(2 * number).kicked(f"user {number}")
        if restart:
            timeline.at(2 * number + 1.5).restart()


@pytest.mark.parametrize("restart", [False, True])
def test_a_restart_does_not_reset_the_limit_of_a_minute(tmp_path: Path, *, restart: bool) -> None:
    timeline = Timeline(tmp_path, Policy(receivers={OPS: 4}, most_per_minute=100, group_alone=100))
    single_kicks(timeline, 12, restart=restart)
    timeline.live(until=50)
    assert len(timeline.sent) == 4
    timeline.close()


@pytest.mark.parametrize("restart", [False, True])
def test_a_restart_does_not_reset_the_limit_of_a_group(tmp_path: Path, *, restart: bool) -> None:
    policy = Policy(receivers={OPS: 100}, most_per_minute=100, group_alone=3, group_interval_us=30_000_000)
    timeline = Timeline(tmp_path, policy)
    single_kicks(timeline, 8, restart=restart)
    timeline.live(until=28)
    assert [wanted.is_digest for _, wanted, _ in timeline.sent] == [False] * 3
    timeline.close()


@pytest.mark.parametrize("by_us", [3_600_000_000, -3_600_000_000])
def test_a_clock_that_is_set_does_not_reset_the_limit_of_a_minute(tmp_path: Path, by_us: int) -> None:
    timeline = Timeline(tmp_path, Policy(receivers={OPS: 4}, most_per_minute=100, group_alone=100))
    single_kicks(timeline, 6, restart=False)
    timeline.live(until=14)
    assert len(timeline.sent) == 4
    with timeline.database.connect() as connection, connection.begin():
        timeline.reaction.clock_set(connection, us(14) + by_us, by_us)
        assert timeline.reaction.plan(connection, OPS, us(14) + by_us).result == []
    timeline.close()


def test_a_transaction_that_was_rolled_back_has_sent_nothing(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path, Policy(receivers={OPS: 1}, most_per_minute=1, group_alone=1)).at(0).kicked("carol")
    timeline.live(until=0)
    for kept in (False, True):
        with timeline.database.connect() as connection, connection.begin() as transaction:
            assert len(timeline.reaction.plan(connection, OPS, us(5)).result) == 1
            if not kept:
                transaction.rollback()
    timeline.close()


def test_of_messages_that_are_retried_firing_ones_go_first(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path).at(0).kicked("carol").at(10).login("carol").at(20).kicked("dave")
    timeline.live(until=5)
    timeline.live_on(until=30)
    with timeline.database.begin() as connection:
        connection.exec_driver_sql("UPDATE alert_messages SET state = 'pending' WHERE id > 1")
        due = message_rows.due(connection, OPS, us(60), 10)
    assert [(one.what, one.body["alert"]["user_id"]) for one in due] == [("firing", "dave"), ("resolved", "carol")]
    timeline.close()


def webhook(called: Called) -> AlertSettings:
    from sidecar.alerting.receivers.webhook import WebhookSettings  # noqa: PLC0415

    return AlertSettings(receivers=(WebhookSettings(name="ops", url=f"{called.url}/hook", secret=SECRET),))


async def suppressed(running: Zimwatch) -> list[dict[str, Any]]:
    _, alert = await running.get("/v1/alerts/1")
    return [one for one in alert["notifications"] if one["state"] == "held"]


@pytest.mark.parametrize("status", [302, 410])
async def test_an_end_is_not_sent_to_a_receiver_that_refused_its_beginning(tmp_path: Path, status: int) -> None:
    async with listening(Called()) as hook:
        hook.refusing(status, 1)
        async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
            await kicked(running)
            (dead,) = await delivered(running, "dead")
            await back(running)
            await kicked(running, "dave")
            assert [(one["type"], one["alert"]["user_id"]) for one in await hook.wait(1)] == [("alert.firing", "dave")]
            assert [(one["what"], one["held"]) for one in await suppressed(running)] == [
                ("resolved", "the firing was not delivered")
            ]
            # When the beginning is sent again after all, the end follows.
            async with running.http.post(f"/v1/alerts/undelivered/{dead['message']['id']}/send") as answer:
                assert answer.status == 202
            taken = await hook.wait(3)
            assert [one["type"] for one in taken if one["alert"]["user_id"] == "carol"] == [
                "alert.firing",
                "alert.resolved",
            ]


async def test_an_end_waits_while_its_beginning_is_retried(tmp_path: Path) -> None:
    async with listening(Called()) as hook:
        answers = [503, 503, 410]
        hook.refuse = lambda: web.Response(status=answers.pop(0)) if answers else None
        async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
            await kicked(running)
            await delivered(running, "pending", attempts=1)
            await back(running)
            await delivered(running, "dead")
            await kicked(running, "dave")
            assert [one["alert"]["user_id"] for one in await hook.wait(1)] == ["dave"]
            assert hook.taken[0]["type"] == "alert.firing"


async def test_the_page_shows_that_an_end_waits_for_its_beginning(tmp_path: Path) -> None:
    async with listening(Called()) as hook:
        hook.refusing(503, 1, **{"Retry-After": "600"})
        async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
            await kicked(running)
            await delivered(running, "pending", attempts=1)
            await back(running)
            await delivered(running, "pending", attempts=1)
            async with running.http.get("/alerts/1") as answer:
                page = await answer.text()
            assert "waits for the firing notification" in page
            assert "waits for its group" not in page


async def test_a_pause_of_up_to_a_day_is_kept_and_shown(tmp_path: Path) -> None:
    async with listening(Called()) as hook:
        hook.refusing(503, 1, **{"Retry-After": "72000"})
        async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
            await kicked(running)
            (notification,) = await delivered(running, "pending", attempts=1)
            message = notification["message"]
            hours = (moment(message["next_attempt_at"]) - moment(message["tried_at"])) / 3_600
            assert 20 <= hours <= 22.01
            for path in ("/settings", "/alerts/1"):
                async with running.http.get(path, headers=BROWSER) as answer:
                    page = html.unescape(await answer.text())
                assert "HTTP 503" in page
                assert "next attempt" in page


async def test_a_requested_pause_is_cut_to_a_day(tmp_path: Path) -> None:
    async with listening(Called()) as hook:
        hook.refusing(503, 1, **{"Retry-After": "259200"})
        async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
            await kicked(running)
            (notification,) = await delivered(running, "pending", attempts=1)
            assert "it requests a pause of 3 d, the next attempt comes after 1 d" in notification["message"]["error"]


async def test_a_message_that_grew_old_while_zimwatch_was_down_is_still_retried_for_a_while(tmp_path: Path) -> None:
    machine = Machine()
    async with listening(Called()) as hook:
        hook.refusing(503, 3)
        async with zimwatch(tmp_path, alerts=webhook(hook), machine=machine) as running:
            await kicked(running)
            machine.passes(1)
            await delivered(running, "pending", attempts=1)
        machine.restarts(down_s=25 * 3_600)
        async with zimwatch(tmp_path, alerts=webhook(hook), machine=machine) as running:
            await delivered(running, "pending", attempts=2)
            machine.passes(16 * 60)
            await delivered(running, "dead", attempts=3)


def moment(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415

    return datetime.fromisoformat(text).timestamp()


def test_a_receiver_that_was_away_gets_no_more_than_its_limit_when_it_is_back(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path, Policy(receivers={OPS: 3}, group_alone=100))
    for minute in range(5):
        for number in range(3):
            timeline.at(60 * minute + number).kicked(f"user {minute} {number}")
    timeline.live(until=0)
    for second in range(5, 300, 5):
        timeline.live_on(until=second)
        with timeline.database.begin() as connection:  # it accepts nothing
            away = "UPDATE alert_messages SET state = 'pending', sent_at_us = NULL, due_at_us = created_at_us"
            connection.exec_driver_sql(away)
    assert len(timeline.sent) == 3
    with timeline.database.begin() as connection:  # it is back, and accepts them
        connection.exec_driver_sql("UPDATE alert_messages SET state = 'sent', sent_at_us = ?", (us(295),))
    timeline.live_on(until=354)
    assert len(timeline.sent) == 3
    timeline.live_on(until=360)
    assert [wanted.is_digest for _, wanted, _ in timeline.sent[3:]] == [True]
    timeline.close()
