"""Findings of a past moment: from its events, and with the storms that fired then and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.alerting import user_life
from sidecar.alerting.alert_reaction import Policy
from sidecar.domain import findings
from sidecar.domain.findings import Finding
from sidecar.domain.lease import Leases, LeaseTime, Now
from sidecar.store.users import as_of, user_reads
from tests.support.events import APP_ID
from tests.support.timeline import Timeline, us

USERS = [f"user-{number}" for number in range(30)]
NOW = 400
CLOCK = Now(LeaseTime.without_skips(us(NOW)), Leases())


@pytest.fixture
def kicked(tmp_path: Path) -> Iterator[Timeline]:
    """All users are kicked out 100 s after the beginning; the storm of it is over about 160 s after it."""
    story = Timeline(tmp_path, Policy())
    for user in USERS:
        story.at(0).login(user).at(100).kicked(user)
    story.run(until=NOW)
    yield story
    story.close()


def then(story: Timeline, seconds: float, user: str = USERS[3]) -> list[Finding]:
    """The findings at a past moment."""
    with story.database.connect() as connection:
        past = as_of.user_as_of(connection, APP_ID, user, us(seconds), CLOCK, limit=user_life.EVENTS)
        if past.detail is None:
            return []
        return findings.find(user_life.life(connection, past.detail, past.events, us(seconds)))


def now(story: Timeline, user: str = USERS[3]) -> list[Finding]:
    """The findings now."""
    with story.database.connect() as connection:
        detail = user_reads.user(connection, APP_ID, user, CLOCK)
        assert detail is not None
        return user_life.user_findings(connection, detail, us(NOW))


def test_a_past_moment_has_the_storm_that_fired_then(kicked: Timeline) -> None:
    (storm,) = kicked.alerts(kind="kick_storm")
    assert storm.ended_at_us is not None
    assert (us(100) <= storm.opened_at_us, storm.ended_at_us < us(NOW)) == (True, True)
    assert then(kicked, 50) == []
    assert [one.kind for one in then(kicked, 110)] == ["part_of_storm", "kicked_by_other_device"]
    assert [one.kind for one in then(kicked, 300)] == ["kicked_by_other_device"]


def test_now_is_as_a_past_moment_that_is_now(kicked: Timeline) -> None:
    assert now(kicked) == then(kicked, NOW)


def test_the_evidence_of_each_finding_is_in_the_log(kicked: Timeline) -> None:
    with kicked.database.connect() as connection:
        logged = {one.event.id for one in user_reads.timeline(connection, APP_ID, USERS[3], before=None, limit=99)}
    for finding in then(kicked, 110):
        assert finding.events
        assert set(finding.events) <= logged
