"""Storms: when they begin, what they say and cover, and when it is calm again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.kick_storm import KickStorm
from sidecar.domain.alerts.rules.lost_storm import LostStorm
from sidecar.domain.alerts.rules.offline_storm import OfflineStorm
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.reconnect_storm import ReconnectStorm
from sidecar.domain.alerts.rules.storm_rule import StormRule, common
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.watchlist import Crowd, Due, Member
from sidecar.domain.texts import verbatim
from tests.support.events import Phone
from tests.support.rules_in_memory import Rules, lines, us

APP = Subject(7)
HOUR_S = 3_600


class Storms(Rules):
    """Storms of app 7, whose windows are set by hand."""

    def __init__(self, rule: type[StormRule[Any]] = KickStorm, **limits: Any) -> None:
        super().__init__(**{"storm_users": 4, "flap_count": 0} | limits)
        self.rule = rule

    def has(self, *at: float, online: int = 0, offline: int = 0) -> None:
        self.windows.moments = [us(one) for one in at]
        self.windows.of_app = Crowd(online, offline)

    def considers(self, at: float, at_most: int | None = None) -> list[tuple[str, str, str]]:
        most = len(self.windows.moments) if at_most is None else at_most
        self.set.of(self.rule).consider(7, most, us(at))
        return lines(self.commit())

    def follows(self, at: float) -> list[tuple[str, str, str]]:
        self.set.of(self.rule).follow(self.storm, us(at))
        return lines(self.commit())

    @property
    def storm(self) -> Alert:
        return self.about(self.rule.kind, APP)

    def begun(self, *, others: int = 0) -> Storms:
        """Four users were hit at 0, and one is online still."""
        self.has(0, 0, 0, 0, online=1, offline=others)
        assert self.considers(0)
        return self


def test_a_storm_is_enough_users_and_a_share_of_those_that_were_online() -> None:
    limits = Thresholds(storm_users=20)
    for users, online, is_storm in ((19, 0, False), (20, 0, True), (20, 380, True), (20, 381, False)):
        assert KickStorm.size(limits).begins(users, KickStorm.share(users, Crowd(online))) is is_storm


def test_it_is_calm_below_half_the_users_or_the_lower_share() -> None:
    limits = Thresholds(storm_users=20)
    for users, online, calm in ((9, 0, True), (10, 0, False), (10, 490, False), (10, 491, True)):
        assert KickStorm.size(limits).is_calm(users, KickStorm.share(users, Crowd(online))) is calm
    assert KickStorm.size(Thresholds(storm_users=1, storm_share_down=0)).is_calm(0, 0)
    for users in (0, 1, 2, 3):
        assert KickStorm.size(Thresholds(storm_users=users)).is_calm(0, 0)
        assert not KickStorm.size(Thresholds(storm_users=users)).is_calm(1, 1)


def test_a_share_of_nobody_is_nothing() -> None:
    share = KickStorm.share
    assert (share(0, Crowd()), share(1, Crowd()), share(1, Crowd(online=3))) == (0, 1, 0.25)
    assert (LostStorm.share(1, Crowd(online=9, heard=3)), OfflineStorm.share(1, Crowd(online=3))) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, ""),
        ({(None, None, None): 9}, ""),
        ({("Web", "", None): 2}, "100% on Web"),
        ({("Web", "2.28.0", "1.2"): 3, ("iOS", "2.28.0", None): 1}, "100% on SDK 2.28.0, 75% on app 1.2, 75% on Web"),
        ({("Web", None, None): 1, ("iOS", None, None): 1}, ""),
        ({("Web", None, None): 2, ("iOS", None, None): 1}, "67% on Web"),
        ({("Web", None, "1"): 2, ("iOS", "2", "1"): 2}, "100% on app 1"),
    ],
)
def test_what_most_users_have_in_common_is_named(counts: dict[Any, int], text: str) -> None:
    assert ", ".join(str(one) for one in common(counts)) == text


def test_a_storm_begins_when_enough_users_are_in_the_window() -> None:
    storms = Storms()
    storms.windows.known = {("Web", None, None): 4}
    storms.has(0, 1, 2, 3, online=4, offline=7)
    text = "4 users were kicked out within 1 min, 50% of those online; 100% on Web"
    assert storms.considers(3) == [("opened", "kick_storm", text)]
    assert storms.windows.at_most == 4
    since_us = us(3 - 60)
    assert storms.windows.reads == [(name, "kick_storm", 7, since_us) for name in ("count", "traits", "singles")]
    storm = storms.storm
    assert (storm.severity, storm.started_at_us, storm.opened_at_us, storm.due_us) == ("critical", us(3), us(3), None)
    assert storm.facts == {"users": 4, "share": 0.5, "since_us": since_us, "last_us": us(3)}
    assert storms.windows.begun == [("kick_storm", since_us)]
    assert storms.considers(4) == []


def test_a_storm_notes_who_was_offline_before_it() -> None:
    storms = Storms(ReconnectStorm)
    storms.windows.hit = 2
    storms.has(0, 1, 2, 3, online=4, offline=7)
    storms.considers(3)
    assert storms.storm.facts["others"] == 5
    assert ("offline", "reconnect_storm", 7, us(3 - 60)) in storms.windows.reads


def test_users_are_counted_only_where_their_number_may_be_enough() -> None:
    storms = Storms()
    storms.has(0, 0, 0, online=0)
    assert storms.considers(0) == []
    assert storms.windows.reads == []
    storms.has(0, 0, 0, 0, online=1_000)
    assert storms.considers(0) == []
    assert storms.windows.reads == []
    storms.has(0, 0, 0, -60)
    assert storms.considers(0) == []
    assert storms.windows.at_most == 3
    assert storms.considers(0, at_most=9) == []


def test_a_kind_of_storm_that_is_switched_off_suppresses_nothing() -> None:
    storms = Storms(off=frozenset({"kick_storm"}))
    storms.takes(Phone("carol", app_id=7).says("DISCONNECTED", "KICKED_OUT", 0), "online", "not_logged_in")
    storms.has(0, 0, 0, 0)
    storms.windows.stored = [storms.about("kicked_out", Subject(7, "carol"))]
    assert storms.considers(0) == []
    assert storms.about("kicked_out", Subject(7, "carol")).suppressed_by is None


def single(number: int, kind: str = "kicked_out", app_id: int = 7, **more: Any) -> Alert:
    return Alert(
        id=number,
        kind=kind,
        fingerprint=f"{number}",
        severity="critical",
        subject=Subject(app_id, f"user-{number}"),
        started_at_us=0,
        opened_at_us=0,
        summary=verbatim(""),
        **more,
    )


def test_a_storm_suppresses_single_alerts_of_which_nobody_was_notified() -> None:
    storms = Storms()
    here = storms.firing.cause("kicked_out", "critical", Subject(7, "carol"), at_us=0, now_us=0, summary=verbatim(""))
    other = storms.firing.cause("kicked_out", "critical", Subject(8, "bob"), at_us=0, now_us=0, summary=verbatim(""))
    storms.windows.stored = [
        single(11),
        single(12, "kick_ping_pong"),
        single(13, "unregistered"),
        single(14, notified=True),
        single(15, suppressed_by="silenced"),
        single(16, state="resolved"),
        single(17, app_id=8),
    ]
    storms.has(0, 0, 0, 0)
    storms.set.of(KickStorm).consider(7, 4, us(0))
    found = {one.id: one.suppressed_by for one in (here, other, *storms.windows.stored)}
    assert found == {
        1: "storm", 2: None, 11: "storm", 12: "storm", 13: None, 14: None, 15: "silenced", 16: None, 17: None
    }  # fmt: skip
    assert here.changed_at_us == us(0)
    assert {one.id for one in storms.firing.changed} == {1, 2, 3, 11, 12}


def test_while_a_storm_fires_single_alerts_of_its_app_are_suppressed() -> None:
    storms = Storms().begun()
    for app_id, by in ((7, "storm"), (8, None)):
        storms.takes(Phone("carol", app_id=app_id).says("DISCONNECTED", "KICKED_OUT", 1), "online", "not_logged_in")
        assert storms.about("kicked_out", Subject(app_id, "carol")).suppressed_by == by


def test_a_storm_grows_with_its_users_and_keeps_its_peak() -> None:
    storms = Storms().begun()
    assert storms.storm.facts["share"] == 0.8
    storms.has(0, 0, 0, 0, 10, 11, online=9)
    assert storms.follows(0.999999) == []
    assert (storms.storm.count, storms.storm.facts["users"]) == (4, 4)
    storms.windows.known = {("iOS", None, None): 1}
    assert storms.follows(12) == []
    storm = storms.storm
    text = "6 users were kicked out within 1 min, 80% of those online; 100% on iOS"
    assert (str(storm.summary), storm.count, storm.changed_at_us) == (text, 6, us(12))
    moments = {"since_us": us(-60), "last_us": us(12), "counted_us": us(12)}
    assert storm.facts == {"users": 6, "share": 0.8} | moments
    storms.has(*range(90), online=9)
    storms.follows(89)
    assert str(storms.storm.summary).startswith("90 users were kicked out within 89 s, 91% of those online")
    assert storms.storm.facts["share"] == 90 / 99
    assert storms.windows.reads[-1] == ("traits", "kick_storm", 7, us(-60))


def test_a_storm_is_updated_once_a_second_and_only_when_it_grew() -> None:
    storms = Storms().begun()
    storms.has(0, 0, 0, 0, 0.5)
    storms.follows(0.999999)
    assert storms.storm.count == 4
    storms.follows(1)
    assert (storms.storm.count, storms.storm.changed_at_us) == (5, us(1))
    storms.follows(2)
    assert storms.storm.changed_at_us == us(1)


def test_a_kick_storm_is_over_a_window_after_it_last_grew() -> None:
    storms = Storms().begun()
    assert storms.follows(59.999999) == []
    (over,) = storms.follows(60)
    assert over == (
        "resolved",
        "kick_storm",
        "it is calm again; 4 users were kicked out within 1 min, 80% of those online",
    )
    (alert,) = storms.log.alerts.values()
    assert (alert.state, alert.count, alert.ended_at_us) == ("resolved", 4, us(60))


def test_a_storm_lasts_while_users_join_its_window() -> None:
    storms = Storms().begun()
    storms.has(0, 0, 0, 0, 50, 51)
    storms.follows(55)
    assert storms.follows(109.999999) == []
    assert storms.follows(114.999999) == []
    assert [what for what, _, _ in storms.follows(115)] == ["resolved"]
    assert storms.log.alerts[1].count == 6


def test_a_storm_that_grows_out_of_sight_of_the_window_is_counted_when_it_ends() -> None:
    storms = Storms().begun()
    storms.has(0, 0, 0, 0, 0.1)
    assert [what for what, _, _ in storms.follows(70)] == ["resolved"]
    assert storms.log.alerts[1].count == 5
    storms = Storms().begun()
    storms.has(0)
    storms.follows(70)
    assert storms.log.alerts[1].count == 4


def test_a_server_that_just_started_gives_a_storm_a_window_to_show() -> None:
    storms = Storms().begun()
    late = Storms(began_us=us(100))
    late.log.write([storms.storm])
    assert late.follows(159.999999) == []
    assert [what for what, _, _ in late.follows(160)] == ["resolved"]


def test_a_storm_of_an_earlier_version_counts_from_a_window_before_it_opened() -> None:
    storms = Storms().begun()
    rule = storms.set.of(KickStorm)
    old = msgspec.structs.replace(storms.storm, facts={"users": 4})
    assert (rule.since_us(storms.storm), rule.since_us(old)) == (us(-60), us(-60))
    assert rule.since_us(msgspec.structs.replace(old, opened_at_us=us(9))) == us(-51)


def test_the_times_of_a_storm_move_with_a_clock_that_is_set() -> None:
    storms = Storms().begun()
    storms.set.storm("kick_storm").clock_set(storms.storm, us(100), 90_000_000)
    storms.commit()
    facts = storms.storm.facts
    assert (facts["last_us"], facts["since_us"], facts["users"]) == (us(90), us(30), 4)
    assert storms.storm.changed_at_us == us(100)


def test_a_storm_is_counted_again_only_after_somebody_joined() -> None:
    storms = Storms().begun()
    storms.follows(1)
    storms.windows.reads.clear()
    storms.has(0, 0, 0, 0)
    assert storms.follows(2) == []
    assert storms.windows.reads == []
    storms.has(0, 0, 0, 0, 2.5)
    storms.follows(3)
    assert (storms.storm.count, [read for read, *_ in storms.windows.reads]) == (5, ["count", "count", "traits"])


def test_users_that_join_a_storm_are_on_its_record() -> None:
    storms = Storms().begun()
    storms.takes(Phone("carol", app_id=7).says("DISCONNECTED", "KICKED_OUT", 1), "online", "not_logged_in")
    storms.considers(1)
    assert storms.windows.recorded == [("kick_storm", "carol")]


def test_a_storm_of_an_earlier_version_knows_who_was_offline_before() -> None:
    storms = outage(others=2)
    facts = {"others_offline" if name == "others" else name: value for name, value in storms.storm.facts.items()}
    storms.log.write([msgspec.structs.replace(storms.storm, facts=facts)])
    storms.commit()
    storms.has(0, 0, 0, 0, offline=3)
    assert [what for what, _, _ in storms.follows(100)] == ["resolved"]


def outage(*, others: int = 0, **limits: Any) -> Storms:
    return Storms(ReconnectStorm, **limits).begun(others=others)


@pytest.mark.parametrize(("offline", "over"), [(2, False), (1, True), (0, True)])
def test_a_reconnect_storm_lasts_while_half_of_its_users_are_offline(offline: int, *, over: bool) -> None:
    storms = outage()
    storms.has(0, 0, 0, 0, offline=offline, online=9)
    assert bool(storms.follows(100)) is over


def test_who_was_offline_before_does_not_keep_a_reconnect_storm() -> None:
    storms = outage(others=2)
    storms.has(0, 0, 0, 0, offline=3)
    assert [what for what, _, _ in storms.follows(100)] == ["resolved"]
    storms = outage(others=2)
    storms.has(0, 0, 0, 0, offline=4)
    assert storms.follows(100) == []


def test_few_of_many_do_not_keep_a_reconnect_storm() -> None:
    storms = outage()
    storms.has(0, 0, 0, 0, offline=4, online=1_000)
    assert [what for what, _, _ in storms.follows(100)] == ["resolved"]


@pytest.mark.parametrize(("at", "over"), [(HOUR_S - 0.000001, False), (HOUR_S, True)])
def test_an_outage_that_never_ends_keeps_no_storm_for_ever(at: float, *, over: bool) -> None:
    storms = outage(resolve_after_us=HOUR_S * 1_000_000)
    storms.has(0, 0, 0, 0, offline=4)
    assert bool(storms.follows(at)) is over


def test_a_reconnect_storm_of_an_earlier_version_knows_of_no_others() -> None:
    storms = outage()
    facts = {name: value for name, value in storms.storm.facts.items() if name != "others"}
    storms.log.write([msgspec.structs.replace(storms.storm, facts=facts)])
    storms.firing.drain()
    storms.commit()
    storms.has(0, 0, 0, 0, offline=2)
    assert storms.follows(100) == []
    storms.has(0, 0, 0, 0, offline=1)
    assert [what for what, _, _ in storms.follows(101)] == ["resolved"]


def test_half_of_an_odd_number_of_users_is_more_than_its_smaller_half() -> None:
    storms = outage()
    storms.has(0, 0, 0, 0, 1, offline=2)
    assert [what for what, _, _ in storms.follows(100)] == ["resolved"]


def test_a_reconnect_storm_suppresses_single_alerts_of_its_app() -> None:
    storms = outage()
    storms.set.of(ClientLost).open([Due((7, "carol"), us(1)), Due((8, "bob"), us(1))], us(2))
    storms.set.of(OfflineTooLong).open([Due((7, "carol"), us(1))], us(302))
    found = [(one.alert.kind, one.alert.subject.user_id, one.alert.suppressed_by) for one in storms.commit()]
    assert found == [
        ("client_lost", "carol", "storm"), ("client_lost", "bob", None), ("offline_too_long", "carol", "storm")
    ]  # fmt: skip


def test_the_reason_of_a_storm_comes_before_that_of_a_ping_pong() -> None:
    storms = Storms().begun()
    carol = Subject(7, "carol")
    storms.firing.cause("kick_ping_pong", "critical", carol, at_us=0, now_us=0, summary=verbatim(""))
    storms.commit()
    storms.takes(Phone("carol", app_id=7).says("DISCONNECTED", "KICKED_OUT", 1), "online", "not_logged_in")
    assert storms.about("kicked_out", carol).suppressed_by == "storm"


def test_storms_are_on_while_there_is_a_window() -> None:
    assert (Thresholds().storm_window_us, Thresholds().storm_users) == (60_000_000, 20)
    assert [KickStorm.is_on(Thresholds(storm_window_us=window_us)) for window_us in (0, 1)] == [False, True]
    assert not KickStorm.is_on(Thresholds(off=frozenset({"kick_storm"})))


def test_a_kick_and_a_lost_connection_join_their_windows() -> None:
    storms = Storms()
    carol = Phone("carol", app_id=7)
    more = {"sdk_version": "2.28.0", "app_version": "1"}
    storms.takes(carol.says("DISCONNECTED", "KICKED_OUT", 1, **more), "online", "not_logged_in")
    storms.takes(carol.says("RECONNECTING", "LOGIN_INTERRUPTED", 2, **more), "online", "offline")
    traits = ("Web", "2.28.0", "1")
    assert storms.watch.members == {
        ("kick_storm", 7): {"carol": Member(us(1), traits)},
        ("reconnect_storm", 7): {"carol": Member(us(2), traits)},
    }
    late = carol.says("RECONNECTING", "LOGIN_INTERRUPTED", 3, received_at_us=us(2_000), moment_us=us(3))
    storms.takes(late, "online", "offline")
    assert storms.watch.members["reconnect_storm", 7]["carol"].at_us == us(2)
