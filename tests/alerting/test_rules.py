"""Each kind of alert: when it fires, when it resolves, and which receivers are notified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.alerting.alert_reaction import Policy
from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.domain.alerts.alert import SEVERITIES
from sidecar.domain.alerts.opening import FLAPPING
from sidecar.domain.alerts.rules import RULES, advice
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.alerts.rules.edge_behind import KnownEdges
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.edges import Edge
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.texts import verbatim
from sidecar.domain.units import SECOND_US
from tests.support.events import made_id
from tests.support.timeline import Timeline, digest, firing, repeated, resolved, us

MINUTE = 60
HOUR = 3_600
Make = Callable[..., Timeline]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Make]:
    """Makes a timeline; its arguments are those of the policy, and thresholds by their names."""
    made: list[Timeline] = []

    def make(leases: Leases | None = None, thresholds: dict[str, Any] | None = None, **policy: Any) -> Timeline:
        given: dict[str, Any] = {"receivers": {"ops": 1_000}, "most_per_minute": 1_000} | policy
        made.append(Timeline(tmp_path, Policy(thresholds=Thresholds(**thresholds or {}), **given), leases))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_kick_fires_within_two_seconds_and_resolves_with_the_next_login(story: Make) -> None:
    carol = story().at(0).kicked("carol").at(30).login("carol")
    carol.want(firing("kicked_out", "carol")).between(0, 2)
    carol.want(resolved("kicked_out", "carol")).between(30, 32)
    carol.run(until=60)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("KICKED_OUT", "kicked_out"),
        ("TOKEN_EXPIRED", "token_expired"),
        ("LOGIN_TIMEOUT", "login_timeout"),
        ("UNREGISTERED", "unregistered"),
    ],
)
def test_what_logs_a_user_out_is_over_after_a_day_at_the_latest(story: Make, event: str, kind: str) -> None:
    dave = story(thresholds={"resolve_after_us": 20 * SECOND_US}).at(0).says("dave", "DISCONNECTED", event)
    dave.want(firing(kind, "dave")).between(0, 2)
    dave.want(resolved(kind, "dave")).between(20, 21)
    dave.run(until=30)
    assert str(dave.alerts()[0].end_reason) == "no further report of it for too long"


def test_a_second_cause_while_it_fires_counts_and_opens_no_other(story: Make) -> None:
    carol = story().at(0).kicked("carol").at(5).kicked("carol")
    carol.want(firing("kicked_out", "carol")).between(0, 2)
    carol.run(until=20)
    assert [(alert.kind, alert.count) for alert in carol.alerts()] == [("kicked_out", 2)]


@pytest.mark.parametrize("second", [2**63 - 1, -(2**63)])
def test_a_warning_with_any_number_of_seconds_is_an_alert_that_can_be_stored(story: Make, second: int) -> None:
    dave = story().at(0).token_will_expire("dave", second)
    dave.live(until=5)
    assert [alert.kind for alert in dave.alerts()] == ["token_expiring"]


def test_a_kick_names_the_other_device(story: Make) -> None:
    bob = story().at(0).login("bob", "phone", platform="Android", device_id="pixel-7")
    bob.at(10).login("bob", "desk", platform="Win", device_id="desk-1")
    bob.at(11).kicked("bob", "phone", platform="Android", device_id="pixel-7")
    bob.live(until=15)
    (alert,) = bob.alerts()
    assert str(alert.summary) == "bob was kicked out on Android (pixel-7); the other device is Win (desk-1)"
    assert "If the other device is not theirs" in advice(alert.kind, alert.summary)


def test_a_kick_after_a_reconnect_names_no_device_that_had_logged_out(story: Make) -> None:
    bob = story().at(0).login("bob", "laptop", platform="Web").at(5).logout("bob", "laptop")
    bob.at(10).login("bob", "phone", platform="IPhoneOS")
    bob.at(300).loses_network("bob", "phone").at(310).says("bob", "CONNECTED", "SUCCESS", "phone")
    bob.at(330).kicked("bob", "phone", platform="IPhoneOS")
    bob.leap(335)
    (alert,) = bob.alerts()
    flapping = FLAPPING(told=alert.summary, count=3, span="1 h")
    for summary in (alert.summary, flapping):
        found = advice(alert.kind, summary)
        assert ("password" in found, "2.12.0" in found) == (False, True)
    assert str(alert.summary) == (
        "bob was kicked out on IPhoneOS; this may be its own old connection (weak network; fixed in SDK 2.12.0)"
    )


def test_two_kicks_that_arrive_together_each_name_the_other_device(story: Make) -> None:
    bob = story().at(0).login("bob", "phone", platform="Android", device_id="pixel-7")
    bob.at(5).login("bob", "desk", platform="Win", device_id="desk-1")
    bob.at(6).kicked("bob", "phone", device_id="pixel-7").kicked("bob", "desk", device_id="desk-1")
    bob.live(until=10)
    (alert,) = bob.alerts()
    assert alert.count == 2
    assert str(alert.summary).count("pixel-7") == str(alert.summary).count("desk-1") == 1


def test_a_user_that_is_online_elsewhere_all_along_does_not_stay_on_the_list_for_a_day(story: Make) -> None:
    bob = story().at(0).login("bob", "phone").login("bob", "desk").at(1).kicked("bob", "phone")
    bob.want(firing("kicked_out", "bob")).between(1, 3)
    bob.want(resolved("kicked_out", "bob")).between(5 * MINUTE, 5 * MINUTE + 2)
    bob.run(until=6 * MINUTE)
    assert str(bob.alerts()[0].end_reason) == "the user was online on another device"


def test_a_token_renewed_in_time_fires_and_resolves(story: Make) -> None:
    dave = story().at(0).login("dave").at(10).token_will_expire("dave").at(20).renewed("dave")
    dave.want(firing("token_expiring", "dave")).between(10, 12)
    dave.want(resolved("token_expiring", "dave")).between(20, 21)
    dave.run(until=60)
    assert str(dave.alerts()[0].end_reason) == "the token was renewed"


def test_a_token_that_is_not_renewed_resolves_at_its_expiry_with_that_reason(story: Make) -> None:
    dave = story().at(0).login("dave").at(10).token_will_expire("dave").at(38).token_expired("dave")
    dave.want(firing("token_expiring", "dave")).between(10, 12)
    dave.want(resolved("token_expiring", "dave")).between(38, 39)
    dave.want(firing("token_expired", "dave")).between(38, 40)
    dave.run(until=60)
    assert "warned 30 s before, no renewToken call followed" in str(dave.alerts(kind="token_expired")[0].summary)


def test_a_renewal_that_fails_is_named_when_the_token_has_expired(story: Make) -> None:
    dave = story().at(10).token_will_expire("dave").at(12).renewed("dave", code=6000103).at(38).token_expired("dave")
    dave.live(until=40)
    alert = dave.alerts(kind="token_expired")[0]
    assert "renewToken failed with 6000103" in str(alert.summary)
    assert "Look up the code of renewToken" in advice(alert.kind, alert.summary)
    assert "Let the app call renewToken" not in advice(alert.kind, alert.summary)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_warning_without_further_reports_resolves_at_the_expiry(story: Make, *, restarted: bool) -> None:
    dave = story().at(0).token_will_expire("dave", 30)
    dave.want(firing("token_expiring", "dave")).between(0, 2)
    dave.want(resolved("token_expiring", "dave")).between(30, 31)
    if restarted:
        dave.at(15).restart()
    dave.run(until=60)


def test_a_warning_ends_with_a_new_login_and_not_with_another_devices_renewal(story: Make) -> None:
    bob = story().at(0).token_will_expire("bob", 100, "phone").at(5).renewed("bob", "desk").at(20).login("bob", "tab")
    bob.want(firing("token_expiring", "bob")).between(0, 2)
    bob.want(resolved("token_expiring", "bob")).between(20, 21)
    bob.run(until=120)


def test_a_warning_that_comes_after_the_expiry_calls_nobody(story: Make) -> None:
    dave = story().at(0).token_will_expire("dave", -5)
    dave.run(until=10)
    assert [(alert.kind, alert.state) for alert in dave.alerts()] == [("token_expiring", "resolved")]


@pytest.mark.parametrize("restarted", [False, True])
def test_tokens_that_end_together_are_forecast_as_one(story: Make, *, restarted: bool) -> None:
    crowd = story(thresholds={"token_forecast_users": 3}).at(0)
    for number in range(4):
        crowd.login(f"user-{number}", expires_at=8 * HOUR)
    crowd.at(6.9 * HOUR).forecast()
    if restarted:
        crowd.at(7 * HOUR).restart()
    crowd.at(7.1 * HOUR).forecast().at(8 * HOUR + 1).forecast()
    crowd.want(firing("token_expiring")).between(7.1 * HOUR, 7.1 * HOUR + 2)
    crowd.want(resolved("token_expiring")).between(8 * HOUR, 8 * HOUR + 2)
    crowd.leap(to=6.9 * HOUR).leap(to=7.1 * HOUR).leap(to=8 * HOUR).run_on(until=8 * HOUR + 5)
    assert str(crowd.alerts()[0].summary) == "The tokens of 4 users end within 1 h, 100% of those in use"
    assert crowd.alerts()[0].severity == "info"


@pytest.mark.parametrize("life", [HOUR / 4, HOUR / 2, HOUR, 1.9 * HOUR])
@pytest.mark.parametrize("restarted", [False, True])
def test_tokens_that_live_short_lives_are_not_forecast(story: Make, life: float, *, restarted: bool) -> None:
    """They end soon at any time, and are renewed as they should be."""
    crowd = story(thresholds={"token_forecast_users": 3}).at(0)
    for number in range(10):
        crowd.login(f"user-{number}", expires_at=life)
    for turn in range(1, 5):
        at = turn * (life - 30)
        for number in range(10):
            crowd.at(at).renewed(f"user-{number}", expires_at=at + life)
        if restarted:
            crowd.at(at + 5).restart()
        crowd.at(at + 10).forecast().at(at + life / 2).forecast()
    for turn in range(1, 5):
        crowd.leap(to=turn * (life - 30)).leap(to=turn * (life - 30) + life / 2)
    crowd.run_on(until=4 * life + 60)
    assert crowd.forecasts == 8


def test_tokens_that_end_one_after_another_are_not_forecast(story: Make) -> None:
    crowd = story(thresholds={"token_forecast_users": 3}).at(0)
    for number in range(48):
        crowd.at(number * HOUR / 2).login(f"user-{number:02}", expires_at=number * HOUR / 2 + 24 * HOUR)
    crowd.at(23.6 * HOUR).forecast()
    crowd.leap(to=23.6 * HOUR).run_on(until=23.6 * HOUR + 5)
    assert crowd.forecasts == 1


def test_a_short_token_of_one_user_does_not_hide_the_long_ones_of_others(story: Make) -> None:
    crowd = story(thresholds={"token_forecast_users": 3}).at(0)
    for number in range(4):
        crowd.login(f"user-{number}", expires_at=8 * HOUR)
    for number in range(4, 40):
        crowd.at(7.2 * HOUR).login(f"user-{number}", expires_at=7.7 * HOUR)
    crowd.at(7.3 * HOUR).forecast()
    crowd.want(firing("token_expiring")).between(7.3 * HOUR, 7.3 * HOUR + 2)
    crowd.leap(to=7.2 * HOUR).leap(to=7.3 * HOUR).run_on(until=7.3 * HOUR + 5)
    assert str(crowd.alerts()[0].summary).startswith("The tokens of 4 users end within 1 h")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_user_that_stays_offline_fires_after_the_wait(story: Make, *, restarted: bool) -> None:
    alice = story().at(0).login("alice").at(10).loses_network("alice").at(40).loses_network("alice")
    if restarted:
        alice.at(200).restart()
    alice.at(400).says("alice", "CONNECTED", "SUCCESS")
    alice.want(firing("offline_too_long", "alice")).between(310, 312)
    alice.want(resolved("offline_too_long", "alice")).between(400, 401)
    alice.run(until=450)


def test_after_a_restart_another_device_does_not_fire_again_for_the_same_outage(story: Make) -> None:
    bob = story().at(0).login("bob", "phone").at(10).loses_network("bob", "phone")
    bob.at(320).restart().at(330).says("bob", "RECONNECTING", "LOGIN_INTERRUPTED", "desk")
    bob.want(firing("offline_too_long", "bob")).between(310, 312)
    bob.run(until=700)
    assert [(alert.kind, alert.count) for alert in bob.alerts()] == [("offline_too_long", 1)]


def test_an_outage_that_continues_on_another_device_fires_once_whatever_restarts(story: Make) -> None:
    bob = story().at(0).login("bob", "phone").at(10).loses_network("bob", "phone")
    bob.at(320).says("bob", "RECONNECTING", "LOGIN_INTERRUPTED", "desk").logout("bob", "phone").at(330).restart()
    bob.want(firing("offline_too_long", "bob")).between(310, 312)
    bob.run(until=700)
    assert [(alert.kind, alert.count) for alert in bob.alerts()] == [("offline_too_long", 1)]


def test_an_offline_alert_that_resolved_by_time_does_not_fire_again_after_a_restart(story: Make) -> None:
    alice = story(thresholds={"resolve_after_us": 20 * SECOND_US, "offline_too_long_us": 10 * SECOND_US})
    alice.at(0).login("alice").at(1).loses_network("alice").at(40).restart()
    alice.want(firing("offline_too_long", "alice")).between(11, 13)
    alice.want(resolved("offline_too_long", "alice")).between(31, 33)
    alice.run(until=80)


def test_a_user_whose_token_expires_while_offline_is_offline_no_more(story: Make) -> None:
    dave = story().at(0).login("dave").at(1).loses_network("dave").at(320).token_expired("dave")
    dave.want(firing("offline_too_long", "dave")).between(301, 303)
    dave.want(resolved("offline_too_long", "dave")).between(320, 321)
    dave.want(firing("token_expired", "dave")).between(320, 322)
    dave.run(until=330)


def test_a_short_outage_calls_nobody(story: Make) -> None:
    alice = story().at(0).login("alice").at(10).loses_network("alice").at(100).says("alice", "CONNECTED", "SUCCESS")
    alice.run(until=400)


def test_two_devices_that_kick_each_other_are_one_alert(story: Make) -> None:
    bob = story().at(0).login("bob", "phone").login("bob", "desk")
    for turn in range(4):
        bob.at(10 + 20 * turn).kicked("bob", ("phone", "desk")[turn % 2])
        bob.at(15 + 20 * turn).login("bob", ("phone", "desk")[turn % 2])
    bob.live(until=11 * MINUTE + 80)
    assert [wanted.kind for _, wanted, _ in bob.sent if wanted.what == "firing"].count("kick_ping_pong") == 1
    (alert,) = bob.alerts(kind="kick_ping_pong")
    assert str(alert.summary) == "bob: two devices kick each other out, 4 times within 1 min"
    assert (alert.state, str(alert.end_reason)) == ("resolved", "no device was kicked out for a while")
    # From the third kick on, it speaks for the single ones.
    assert [one.suppressed_by for one in bob.alerts(kind="kicked_out")] == ["ping_pong", "ping_pong", None, None]


def test_a_device_that_is_kicked_out_again_and_again_is_no_ping_pong(story: Make) -> None:
    bob = story().at(0).kicked("bob").at(5).kicked("bob").at(10).kicked("bob")
    bob.live(until=20)
    assert bob.alerts(kind="kick_ping_pong") == []


def test_a_ping_pong_is_seen_across_a_restart(story: Make) -> None:
    bob = (
        story().at(0).kicked("bob", "phone").at(10).kicked("bob", "desk").at(15).restart().at(20).kicked("bob", "phone")
    )
    bob.live(until=30)
    assert len(bob.alerts(kind="kick_ping_pong")) == 1


def crowd(story: Timeline, count: int, **fields: Any) -> Timeline:
    for number in range(count):
        story.login(f"user-{number}", **fields)
    return story


def goes(story: Timeline, begin: int, end: int) -> Timeline:
    for number in range(begin, end):
        story.loses_network(f"user-{number}")
    return story


def comes_back(story: Timeline, count: int, *, begin: int = 0) -> Timeline:
    for number in range(begin, begin + count):
        story.says(f"user-{number}", "CONNECTED", "SUCCESS")
    return story


@pytest.mark.parametrize("kind", ["kick_storm", "reconnect_storm"])
def test_a_storm_is_one_alert_with_what_its_users_share(story: Make, kind: str) -> None:
    fleet = crowd(story().at(0), 50)
    fleet.at(10)
    for number in range(40):
        device = {"sdk_version": "2.28.0" if number < 38 else "2.29.0", "platform": "Android"}
        (fleet.kicked if kind == "kick_storm" else fleet.loses_network)(f"user-{number}", **device)
    fleet.at(20).login("user-0")
    if kind == "reconnect_storm":
        comes_back(fleet.at(60), 21)
    fleet.want(firing(kind)).between(10, 13)
    fleet.want(resolved(kind)).between(70, 75)
    fleet.run(until=100)
    (alert,) = fleet.alerts(kind=kind)
    what = "were kicked out" if kind == "kick_storm" else "lost their connection"
    assert f"40 users {what} within 1 min" in str(alert.summary)
    assert "95% on SDK 2.28.0" in str(alert.summary)
    assert len(fleet.alerts(kind="kicked_out")) == (40 if kind == "kick_storm" else 0)


def test_a_reconnect_storm_lasts_as_long_as_the_outage(story: Make) -> None:
    fleet = crowd(story().at(0), 60)
    goes(fleet.at(5), 45, 60)  # too few
    goes(fleet.at(70), 0, 40)
    comes_back(fleet.at(500), 20)
    fleet.at(600).login("user-20")
    fleet.want(firing("reconnect_storm")).between(70, 73)
    fleet.want(resolved("reconnect_storm")).between(600, 602)
    fleet.run(until=700)
    silent = fleet.alerts(kind="offline_too_long")
    assert {alert.suppressed_by for alert in silent} == {"storm"}
    assert len(silent) == 55


def test_who_was_offline_before_a_storm_does_not_keep_it(story: Make) -> None:
    fleet = crowd(story(thresholds={"offline_too_long_us": 0}).at(0), 300)
    for start in range(0, 200, 4):  # too few at a time
        goes(fleet.at(100 + 20 * start), start, start + 4)
    goes(fleet.at(5_000), 250, 290)
    comes_back(fleet.at(5_100), 25, begin=250)
    fleet.want(firing("reconnect_storm")).between(5_000, 5_003)
    fleet.want(resolved("reconnect_storm")).between(5_100, 5_102)
    fleet.leap(5_000).leap(5_060).live_on(5_300)
    fleet.run_on(5_300)


def test_a_reconnect_storm_lasts_over_a_restart(story: Make) -> None:
    fleet = goes(crowd(story().at(0), 30).at(10), 0, 25)
    fleet.at(100).restart()
    comes_back(fleet.at(200), 13)
    fleet.want(firing("reconnect_storm")).between(10, 13)
    fleet.want(resolved("reconnect_storm")).between(200, 202)
    fleet.run(until=290)


def test_users_without_further_reports_do_not_keep_a_storm(story: Make) -> None:
    fleet = crowd(story(leases=Leases(heartbeat_us=100 * SECOND_US)).at(0), 30).at(1)
    for number in range(30):
        fleet.heartbeat(f"user-{number}")
    goes(fleet.at(10), 0, 25)
    fleet.want(firing("reconnect_storm")).between(10, 13)
    fleet.want(resolved("reconnect_storm")).between(110, 113)
    fleet.live(until=120)
    assert [at for at, wanted, _ in fleet.sent if wanted == resolved("reconnect_storm") and 110 <= at <= 113]


def test_an_outage_that_never_ends_keeps_no_storm_for_ever(story: Make) -> None:
    fleet = goes(crowd(story(thresholds={"resolve_after_us": 200 * SECOND_US}).at(0), 30).at(10), 0, 25)
    fleet.want(firing("reconnect_storm")).between(10, 13)
    fleet.want(resolved("reconnect_storm")).between(210, 212)
    fleet.run(until=250)


def test_a_few_of_many_are_no_storm(story: Make) -> None:
    fleet = crowd(story(thresholds={"storm_users": 3}).at(0), 90)
    fleet.at(10)
    for number in range(4):
        fleet.kicked(f"user-{number}")
    fleet.live(until=20)
    assert fleet.alerts(kind="kick_storm") == []


def test_a_storm_outlives_a_restart(story: Make) -> None:
    fleet = crowd(story().at(0), 30).at(10)
    for number in range(25):
        fleet.kicked(f"user-{number}")
    fleet.at(30).restart()
    fleet.want(firing("kick_storm")).between(10, 13)
    fleet.want(resolved("kick_storm")).between(70, 92)
    fleet.run(until=120)


def test_a_storm_of_which_nothing_is_left_after_a_restart_is_over_too(story: Make) -> None:
    fleet = crowd(story().at(0), 30).at(10)
    goes(fleet, 0, 25)
    comes_back(fleet.at(20), 25)
    fleet.at(30).restart()
    fleet.want(firing("reconnect_storm")).between(10, 13)
    fleet.want(resolved("reconnect_storm")).between(70, 92)
    fleet.run(until=120)


def test_a_client_that_gives_no_sign_of_life_is_lost_and_found(story: Make) -> None:
    alice = story(leases=Leases(heartbeat_us=10 * SECOND_US)).at(0).login("alice").at(50).heartbeat("alice")
    alice.at(80).heartbeat("alice")
    alice.want(firing("client_lost", "alice")).between(60, 63)
    alice.want(resolved("client_lost", "alice")).between(80, 82)
    alice.run(until=85)


def test_a_device_that_fell_silent_beside_another_is_lost_once_that_logs_out(story: Make) -> None:
    bob = story(leases=Leases(heartbeat_us=10 * SECOND_US)).at(60).login("bob").heartbeat("bob").login("bob", "desk")
    for now in range(60, 100, 8):
        bob.at(now).heartbeat("bob", "desk")
    bob.at(75).login("carol").heartbeat("carol")
    bob.at(100).logout("bob", "desk")
    bob.want(firing("client_lost", "carol")).between(85, 88)
    bob.want(firing("client_lost", "bob")).between(100, 103)
    bob.run(until=105)


def test_after_a_stop_clients_get_a_lease_to_speak_up(story: Make) -> None:
    alice = story(leases=Leases(heartbeat_us=10 * SECOND_US)).at(0).login("alice").at(1).heartbeat("alice")
    alice.at(9).restart().at(50).heartbeat("alice")
    alice.run(until=55)


def test_an_export_that_stalls_fires_and_resolves_when_it_delivers(story: Make) -> None:
    spans = story().at(10).stalled("spans", 0).at(400).stalled("spans", 0).at(410).stalled("spans", None)
    spans.want(firing("export_stalled")).between(400, 402)
    spans.want(resolved("export_stalled")).between(410, 412)
    spans.run(until=420)


def test_a_backup_that_is_too_old_fires_and_the_next_good_one_resolves(story: Make) -> None:
    overdue = story(thresholds={"backup_overdue_us": 400 * SECOND_US})
    overdue.at(399).backup(LastBackup(made_us=us(0))).at(401).backup(LastBackup(made_us=us(0)))
    overdue.at(410).backup(LastBackup(made_us=us(409)))
    overdue.want(firing("backup_overdue")).between(401, 403)
    overdue.want(resolved("backup_overdue")).between(410, 412)
    overdue.run(until=420)


def test_where_there_is_no_backup_at_all_the_first_failure_fires_until_backups_are_switched_off(story: Make) -> None:
    none = story().at(10).backup(LastBackup()).at(20).backup(LastBackup(failing_since_us=us(20), why=verbatim("full")))
    none.at(30).backup(LastBackup(is_on=False))
    none.want(firing("backup_overdue")).between(20, 22)
    none.want(resolved("backup_overdue")).between(30, 32)
    none.run(until=40)


def test_a_receiver_is_not_notified_of_its_own_failure(story: Make) -> None:
    two = story(receivers={"ops": 100, "mail": 100}).at(400).stalled("receiver ops", 0)
    two.live(until=405)
    assert [message.receiver for _, _, message in two.sent] == ["mail"]


def test_a_late_cause_is_recorded_and_notifies_nobody(story: Make) -> None:
    carol = story()
    late = carol.phone("carol").says("DISCONNECTED", "KICKED_OUT", -16 * MINUTE)
    carol.at(0).event(late).at(30).login("carol")
    carol.run(until=60)
    (alert,) = carol.alerts()
    assert (alert.suppressed_by, alert.state, alert.started_at_us) == ("late", "resolved", us(-16 * MINUTE))


def test_a_fresh_cause_of_a_late_alert_calls_somebody(story: Make) -> None:
    carol = story()
    late = carol.phone("carol").says("DISCONNECTED", "KICKED_OUT", -16 * MINUTE)
    carol.at(0).event(late).at(30).kicked("carol")
    carol.want(firing("kicked_out", "carol")).between(30, 32)
    carol.run(until=60)


def test_a_kind_that_is_switched_off_does_not_fire(story: Make) -> None:
    carol = story(thresholds={"off": frozenset({"kicked_out"})}).at(0).kicked("carol")
    carol.run(until=10)
    assert carol.alerts() == []


def test_a_flapping_alert_notifies_once_more_and_then_not_until_it_is_stable(story: Make) -> None:
    carol = story(group_alone=100).at(0)
    for turn in range(8):
        carol.at(turn * 30).kicked("carol").at(turn * 30 + 10).login("carol")
    carol.at(30 * MINUTE).kicked("carol")
    carol.live(until=30 * MINUTE + 5)
    messages = [message for _, wanted, message in carol.sent if wanted == firing("kicked_out", "carol")]
    assert len(messages) == 4 + 1
    assert "flapping: 4 times within 15 min" in messages[3].body["alert"]["summary"]
    assert messages[4].created_at_us >= us(30 * MINUTE)
    assert len(carol.alerts()) == 9


def test_an_alert_is_repeated_until_it_is_acknowledged(story: Make) -> None:
    carol = story(repeat_us=60 * SECOND_US).at(0).kicked("carol").at(150).acknowledged(1).at(300).login("carol")
    carol.want(firing("kicked_out", "carol")).between(0, 2)
    carol.want(repeated("kicked_out", "carol")).between(61, 63)
    carol.want(repeated("kicked_out", "carol")).between(121, 123)
    carol.want(resolved("kicked_out", "carol")).between(300, 302)
    carol.run(until=310)
    assert carol.alerts()[0].acknowledged_by == "dana"
    again = next(message for _, wanted, message in carol.sent if wanted.what == "repeat")
    assert MessageTemplate().title(again) == "STILL FIRING, 61 s: carol was kicked out on Web"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_silenced_alert_notifies_when_the_silence_ends_and_it_still_fires(story: Make, *, restarted: bool) -> None:
    two = story().at(0).silenced(100, user_id="car*").at(5).kicked("carol").kicked("dave").at(20).login("dave")
    if restarted:
        two.at(50).restart()
    two.want(firing("kicked_out", "dave")).between(5, 7)
    two.want(resolved("kicked_out", "dave")).between(20, 22)
    two.want(firing("kicked_out", "carol")).between(100, 103)
    two.run(until=120)


def test_an_alert_that_resolves_within_group_wait_notifies_nobody(story: Make) -> None:
    carol = story(group_wait_us=10 * SECOND_US).at(0).kicked("carol").at(5).login("carol").at(20).kicked("carol")
    carol.want(firing("kicked_out", "carol")).between(30, 32)
    carol.run(until=40)


def test_many_of_a_group_come_as_one_digest_and_so_does_their_end(story: Make) -> None:
    fleet = crowd(story(thresholds={"storm_users": 1_000}).at(0), 8).at(10)
    for number in range(8):
        fleet.kicked(f"user-{number}", sdk_version="2.28.0")
    fleet.at(60)
    for number in range(7):
        fleet.login(f"user-{number}")
    fleet.at(90).login("user-7")
    fleet.want(digest("firing", "kicked_out")).between(11, 12)
    fleet.want(digest("resolved", "kicked_out")).between(90, 92)
    fleet.run(until=100)
    summary = fleet.sent[0][2].body["alert"]["summary"]
    assert summary.startswith("8 alerts: 8 kicked_out (user-0, user-1, user-2 and 5 more)")
    assert "100% on SDK 2.28.0" in summary


def test_a_few_of_a_group_are_sent_one_by_one(story: Make) -> None:
    fleet = crowd(story().at(0), 5).at(10)
    for number in range(5):
        fleet.kicked(f"user-{number}")
        fleet.want(firing("kicked_out", f"user-{number}")).between(10, 12)
    fleet.run(until=60)


def test_past_the_cap_of_a_receiver_the_rest_comes_as_one(story: Make) -> None:
    fleet = story(receivers={"ops": 3}, group_alone=100, thresholds={"storm_users": 1_000}).at(0)
    for number in range(3):
        fleet.at(number * 2).kicked(f"user-{number}")
    fleet.at(10)
    for number in range(3, 20):
        fleet.kicked(f"user-{number}")
    fleet.live(until=2 * MINUTE)
    assert [wanted.is_digest for _, wanted, _ in fleet.sent] == [False, False, False, True]
    assert fleet.sent[3][2].alerts == 17


def test_events_without_a_user_are_distinguished_by_their_client(story: Make) -> None:
    nobody = story()
    for name in ("a", "b"):
        event = nobody.phone("alice", name).says("DISCONNECTED", "LOGIN_TIMEOUT", 0)
        nobody.at(0).event(msgspec.structs.replace(event, user_id=None, client_id=made_id(name)))
    nobody.live(until=5)
    assert len({alert.fingerprint for alert in nobody.alerts()}) == 2


def test_every_rule_has_a_kind_of_its_own_a_severity_and_advice() -> None:
    assert len({rule.kind for rule in RULES}) == len(RULES)
    assert all(rule.severity in SEVERITIES and rule.title.template and rule.advice for rule in RULES)


def edge(behind_s: float = 0, *, seen: float = 0, name: str = "edge-1") -> Edge:
    waiting = 7 if behind_s else 0
    return Edge(name=name, token_id=1, seen_at_us=us(seen), waiting=waiting, behind_us=int(behind_s * SECOND_US))


def known(story: Timeline, at: float, *edges: Edge) -> Timeline:
    return story.at(at).edges(KnownEdges(edges, LeaseTime.without_skips(us(at))))


def test_an_edge_that_is_behind_fires_until_it_has_caught_up(story: Make) -> None:
    one = story()
    known(one, 10, edge(299, seen=10))
    known(one, 20, edge(300, seen=20))
    known(one, 30, edge(150, seen=30))
    known(one, 40, edge(149, seen=40))
    one.want(firing("edge_behind")).between(20, 22)
    one.want(resolved("edge_behind")).between(40, 42)
    one.run(until=50)


def test_an_edge_that_is_silent_fires_until_it_is_forgotten(story: Make) -> None:
    one = story()
    known(one, 299, edge(seen=0))
    known(one, 301, edge(seen=0), edge(seen=300, name="edge-2"))
    known(one, 310, edge(seen=300, name="edge-2"))
    one.want(firing("edge_behind")).between(301, 303)
    one.want(resolved("edge_behind")).between(310, 312)
    one.run(until=320)


@pytest.mark.parametrize("limits", [{"edge_behind_us": 0}, {"off": frozenset({"edge_behind"})}])
def test_it_can_be_switched_off(story: Make, limits: dict[str, Any]) -> None:
    one = known(story(thresholds=limits), 10, edge(5_000, seen=10))
    one.run(until=20)
