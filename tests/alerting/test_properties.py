"""What holds for alerts whatever happens, in whatever order, with Zimwatch stopped and started in between."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.alerting.alert_reaction import Policy
from sidecar.alerting.tables import alert_log
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.domain.alerts.rules import KINDS, STORMS
from sidecar.domain.alerts.rules.login_ended import LoginEnded
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.domain.units import SECOND_US
from tests.support.timeline import Timeline, us

pytestmark = pytest.mark.both_engines("soak")

LIMITS = Thresholds(
    resolve_after_us=60 * SECOND_US,
    online_elsewhere_us=20 * SECOND_US,
    offline_too_long_us=4 * SECOND_US,
    ping_pong_window_us=30 * SECOND_US,
    storm_users=2,
    storm_window_us=10 * SECOND_US,
    flap_window_us=40 * SECOND_US,
)
Happening = tuple[int, str, str, str]
"""A second, an act, a user and a device."""
USERS = ("bob", "carol")
ACTS = ("login", "kicked", "token_expired", "loses_network", "logout", "token_will_expire", "renewed")
AT_ANY_TIME = ("restart", "pruned")
CAUSES = {
    "kicked_out": {"kicked"},
    "token_expired": {"token_expired"},
    "token_expiring": {"token_will_expire"},
    "offline_too_long": {"loses_network"},
    "kick_ping_pong": {"kicked"},
    "kick_storm": {"kicked"},
    "reconnect_storm": {"loses_network"},
}


def happening(*acts: str) -> st.SearchStrategy[Happening]:
    devices = st.sampled_from(("phone", "desk"))
    return st.tuples(st.integers(0, 40), st.sampled_from(acts), st.sampled_from(USERS), devices)


happenings = st.lists(happening(*ACTS, *AT_ANY_TIME), min_size=6, max_size=25)
undisturbed = st.lists(happening(*ACTS), min_size=6, max_size=25)
disturbances = st.lists(st.tuples(st.integers(0, 44), st.sampled_from(AT_ANY_TIME)), min_size=1, max_size=6)


def played(folder: str, what: list[Happening]) -> Timeline:
    story = Timeline(Path(folder), Policy(receivers={"ops": 1_000}, most_per_minute=1_000, thresholds=LIMITS))
    for at, act, user_id, device in sorted(what, key=lambda one: one[0]):
        story.at(at)
        if act in AT_ANY_TIME:
            getattr(story, act)()
        elif act in {"token_will_expire", "renewed"}:
            getattr(story, act)(user_id, name=device)
        else:
            getattr(story, act)(user_id, device)
    return story


def every_alert_has_a_cause_and_ends_with_it(what: list[Happening]) -> None:
    """And no two fire with one fingerprint, and who is notified of a beginning is notified of its end."""
    with tempfile.TemporaryDirectory() as folder:
        story = played(folder, what)
        story.live(until=45)
        happened: Counter[tuple[str, str | None]] = Counter()
        for _, act, user_id, _ in what:
            happened[act, user_id] += 1
            happened[act, None] += 1
        alerts = story.alerts()
        for alert in alerts:
            assert any(happened[cause, alert.subject.user_id] for cause in CAUSES[alert.kind])
        with story.database.connect() as connection:
            status = {
                (row[0], row[1]): row[2]
                for row in connection.exec_driver_sql("SELECT app_id, user_id, status FROM user_status")
            }
        firing = [alert for alert in alerts if alert.state == "firing"]
        assert len({alert.fingerprint for alert in firing}) == len(firing)
        for alert in firing:
            assert alert.kind in STORMS or alert.due_us is not None
            if alert.kind == OfflineTooLong.kind:
                assert status[alert.subject.app_id or 0, alert.subject.user_id or ""] == OFFLINE
            if issubclass(KINDS[alert.kind], LoginEnded) and alert.due_us and alert.due_us > us(45 + 20):
                assert status[alert.subject.app_id or 0, alert.subject.user_id or ""] != ONLINE
        _ends_are_told_to_whom_the_beginning_was_told(story)
        story.live_on(until=45 + 120, every=5)
        assert story.alerts(state="firing") == []
        _ends_are_told_to_whom_the_beginning_was_told(story, all_over=True)
        story.close()


def _ends_are_told_to_whom_the_beginning_was_told(story: Timeline, *, all_over: bool = False) -> None:
    with story.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT alert_id, what, state FROM alert_notifications").all()
    begun = {row[0] for row in rows if row[1:] == ("firing", "planned")}
    over = {row[0] for row in rows if row[1:] == ("resolved", "planned")}
    assert over <= begun
    if all_over:
        assert over == begun
        assert not [row for row in rows if row[2] == "waiting"]


def no_restart_and_no_pruning_changes_what_fires(what: list[Happening], between: list[tuple[int, str]]) -> None:
    """Wherever they come in between."""
    found = []
    for more in ([], [(at, act, "", "") for at, act in between]):
        with tempfile.TemporaryDirectory() as folder:
            story = played(folder, what + more)
            story.live(until=45)
            with story.database.connect() as connection:
                firing = alert_log.page(connection, AlertFilter(state="firing", limit=1_000)).alerts
                # When a storm is over depends on since when its server follows events.
                found.append(
                    sorted(
                        (alert.kind, str(alert.subject.user_id), alert.started_at_us, alert.count)
                        for alert in firing
                        if alert.kind not in STORMS
                    )
                )
            story.close()
    assert found[0] == found[1]


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(happenings)
def test_no_alert_without_a_cause_and_every_one_ends_or_still_has_its_cause(what: list[Happening]) -> None:
    every_alert_has_a_cause_and_ends_with_it(what)


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(undisturbed, disturbances)
def test_no_restart_and_no_pruning_changes_what_fires(what: list[Happening], between: list[tuple[int, str]]) -> None:
    no_restart_and_no_pruning_changes_what_fires(what, between)
