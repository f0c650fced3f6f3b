"""What is about to fire: listed for as long as it has not, with the moment at which it will."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting import pending
from sidecar.alerting.alert_reaction import Policy
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.units import SECOND_US
from sidecar.settings import AlertSettings
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.running import zimwatch
from tests.support.timeline import Timeline, us
from tests.support.tokens import new_token
from tests.support.wire import wire_event


def listed(story: Timeline, now: float, **wanted: Any) -> list[tuple[str | None, float]]:
    """Whom or what it will be about, and in how many seconds it fires."""
    with story.database.connect() as connection:
        found = pending.page(connection, story.reaction, AlertFilter(**wanted), us(now)).pending
    return [(one.subject.user_id or one.subject.other, (one.fires_at_us - us(now)) / SECOND_US) for one in found]


@pytest.mark.parametrize("restarted", [False, True])
def test_who_is_offline_is_pending_until_it_fires_or_is_over(tmp_path: Path, *, restarted: bool) -> None:
    story = Timeline(tmp_path)
    story.at(0).login("alice").login("bob").login("carol")
    story.at(10).loses_network("alice").at(20).loses_network("bob").at(30).loses_network("carol")
    story.at(100).says("bob", "CONNECTED", "SUCCESS")
    if restarted:
        story.at(105).restart()
    story.live(until=40)
    assert listed(story, 40) == [("carol", 290), ("bob", 280), ("alice", 270)]
    story.live_on(until=110)
    assert listed(story, 110) == [("carol", 220), ("alice", 200)]
    story.live_on(until=312)
    assert [alert.subject.user_id for alert in story.alerts()] == ["alice"]
    assert listed(story, 312) == [("carol", 18)]
    story.close()


def test_what_is_pending_has_the_fingerprint_of_the_alert_that_it_becomes(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).login("alice").at(10).loses_network("alice")
    story.live(until=20)
    with story.database.connect() as connection:
        (one,) = pending.page(connection, story.reaction, AlertFilter(), us(20)).pending
    story.live_on(until=400)
    (alert,) = story.alerts()
    assert (one.fingerprint, one.kind, one.severity) == (alert.fingerprint, alert.kind, alert.severity)
    assert one.fires_at_us <= alert.opened_at_us <= one.fires_at_us + SECOND_US
    story.close()


def test_what_does_not_deliver_is_pending_until_it_fires(tmp_path: Path) -> None:
    story = Timeline(tmp_path)
    story.at(100).stalled("spans", 0)
    story.live_on(until=99.5)
    assert listed(story, 99.5) == []
    story.act(lambda _: seen.extend(listed(story, 100)))
    seen: list[tuple[str | None, float]] = []
    story.live_on(until=100)
    assert seen == [("spans", 200)]
    story.close()


def test_pages_and_filters(tmp_path: Path) -> None:
    story = Timeline(tmp_path)
    for number in range(5):
        story.at(0).login(f"user-{number}").at(10 + number // 2).loses_network(f"user-{number}")
    story.live(until=20)
    names: list[str | None] = []
    cursor = None
    while True:
        with story.database.connect() as connection:
            page = pending.page(connection, story.reaction, AlertFilter(limit=2, cursor=cursor), us(20))
        names += [one.subject.user_id for one in page.pending]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == ["user-4", "user-3", "user-2", "user-1", "user-0"]
    assert listed(story, 20, user_id="user-3") == [("user-3", 291)]
    assert listed(story, 20, kind="export_stalled") == listed(story, 20, severity="critical") == []
    assert listed(story, 20, apps=frozenset({APP_ID + 1})) == []
    story.close()


@pytest.mark.parametrize(
    "limits", [{"off": frozenset({"offline_too_long"})}, {"offline_too_long_us": 0}], ids=["off", "no duration"]
)
def test_a_rule_that_never_fires_has_nothing_pending(tmp_path: Path, limits: dict[str, Any]) -> None:
    story = Timeline(tmp_path, Policy(thresholds=Thresholds(**limits)))
    story.at(0).login("alice").at(10).loses_network("alice").live(until=20)
    assert listed(story, 20) == []
    story.close()


async def test_the_api_and_the_page_list_it_only_on_request(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, alerts=AlertSettings(offline_too_long="1h"), machine=machine) as running:
        machine.passes(600)
        at = "2026-11-23T14:03:20.123Z"
        await running.send([wire_event(state=3, event=3, occurred_at=at)])
        assert (await running.get("/v1/alerts"))[1]["alerts"] == []
        _, body = await running.get("/v1/alerts?state=pending")
        (one,) = body["alerts"]
        assert (one["kind"], one["user_id"], one["state"]) == ("offline_too_long", "alice", "pending")
        assert (one["started_at"], one["fires_at"]) == (at, "2026-11-23T15:03:20.123Z")
        assert "id" not in one
        async with running.http.get("/alerts?state=pending") as answer:
            page = html.unescape(await answer.text())
        assert "alice is offline" in page
        assert "2026-11-23T15:03:20.123Z" in page
        async with running.http.get("/alerts?state=pending&group=user&kind=client_lost") as answer:
            assert "No alert is pending." in await answer.text()
        _, other = await new_token(running.store, "read", 7)
        bearer = {"Authorization": f"Bearer {other}"}
        assert (await running.get("/v1/alerts?state=pending", **bearer))[1]["alerts"] == []
