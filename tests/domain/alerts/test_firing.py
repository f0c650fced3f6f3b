"""The unit of work of firing alerts, and what opening one adds: late, covered and flapping ones are suppressed."""

from __future__ import annotations

from typing import Any

from sidecar.domain.alerts.alert import Alert, Subject, fingerprint
from sidecar.domain.alerts.firing import Firing
from sidecar.domain.alerts.opening import CommonThresholds, Covers, Opening
from sidecar.domain.texts import verbatim
from tests.support.rules_in_memory import Log, lines, us

ALICE, BOB = Subject(7, "alice"), Subject(7, "bob")
APP = Subject(7)
NO = verbatim("no")


def cause(firing: Firing, subject: Subject = ALICE, at: float = 0, **more: Any) -> Alert:
    return firing.cause("kicked_out", "critical", subject, at_us=us(at), now_us=us(at), summary=NO, **more)


def committed(firing: Firing, log: Log) -> Firing:
    log.write(firing.drain()[0])
    return Firing(log)


def test_an_alert_opens_once_and_counts_its_causes() -> None:
    firing = Firing(Log())
    opened = cause(firing, position=5, labels={"platform": "Web"}, due_us=9, facts={"a": 1, "b": 1})
    assert (opened.id, opened.count, opened.position, opened.due_us, opened.changed_at_us) == (1, 1, 5, 9, us(0))
    assert (opened.fingerprint, opened.severity) == (fingerprint("kicked_out", ALICE), "critical")
    assert (opened.started_at_us, opened.opened_at_us) == (us(0), us(0))
    again = cause(firing, at=3, position=6, labels={"platform": "iOS"}, due_us=12, facts={"b": 2})
    assert again is opened
    assert (opened.count, opened.position, opened.due_us, opened.changed_at_us) == (2, 5, 12, us(3))
    assert (opened.facts, opened.labels) == ({"a": 1, "b": 2}, {"platform": "Web"})
    changed, entries = firing.drain()
    assert changed == [opened]
    assert [(one.what, one.at_us, one.position) for one in entries] == [("opened", us(0), 5), ("cause", us(3), 6)]
    assert firing.drain() == ([], [])


def test_an_alert_of_another_transaction_counts_too() -> None:
    log = Log()
    first = Firing(log)
    cause(first)
    firing = committed(first, log)
    assert cause(firing).count == 2
    assert cause(firing, BOB).id == 2
    assert cause(firing, APP).id == 3
    assert cause(committed(firing, log), APP).count == 2


def test_the_history_has_twenty_causes_and_the_count_has_all() -> None:
    firing = Firing(Log())
    for _ in range(30):
        alert = cause(firing)
    assert alert.count == 30
    assert len(firing.drain()[1]) == 20


def test_a_fresh_cause_of_a_late_alert_notifies_after_all() -> None:
    firing = Firing(Log())
    alert = cause(firing, suppressed_by="late")
    cause(firing, suppressed_by="late", at=1)
    assert [alert.suppressed_by] == ["late"]
    cause(firing, at=2)
    assert [alert.suppressed_by] == [None]
    assert lines(firing.drain()[1])[-1] == ("unheld", "kicked_out", "no longer suppressed (late)")


def test_a_fresh_cause_leaves_an_alert_that_is_suppressed_for_another_reason() -> None:
    firing = Firing(Log())
    alert = cause(firing, suppressed_by="storm")
    cause(firing)
    assert alert.suppressed_by == "storm"


def test_a_resolved_alert_fires_no_longer() -> None:
    for subject in (ALICE, APP):
        log = Log()
        firing = Firing(log)
        alert = cause(firing, subject, due_us=9)
        firing.notified(alert, 7, us(1))
        firing.resolve(alert, at_us=us(5), now_us=us(6), reason=NO, position=3)
        assert (alert.state, alert.ended_at_us, alert.changed_at_us, alert.end_reason) == ("resolved", us(5), us(6), NO)
        assert (alert.due_us, alert.repeat_us) == (None, None)
        assert firing.about("kicked_out", subject) is None
        entry = firing.drain()[1][-1]
        assert (entry.what, entry.at_us, entry.text, entry.position) == ("resolved", us(5), NO, 3)
        log.write([alert])
        assert cause(Firing(log), subject).id == 2


def test_an_alert_does_not_end_before_it_began() -> None:
    firing = Firing(Log())
    alert = cause(firing, at=9)
    firing.resolve(alert, at_us=us(3), now_us=us(10), reason=NO)
    assert alert.ended_at_us == us(9)


def test_an_alert_is_acknowledged_once() -> None:
    firing = Firing(Log())
    alert = cause(firing)
    firing.notified(alert, 7, us(0))
    firing.acknowledge(alert, "dana", us(1))
    firing.acknowledge(alert, "mallory", us(2))
    assert (alert.acknowledged_by, alert.acknowledged_at_us, alert.repeat_us) == ("dana", us(1), None)
    assert alert.changed_at_us == us(1)
    _, entry = firing.drain()[1]
    assert (entry.what, entry.at_us, str(entry.text), entry.who) == ("acknowledged", us(1), "acknowledged", "dana")


def test_notified_and_repeated_alerts_are_written() -> None:
    firing = Firing(Log())
    alert = cause(firing)
    firing.drain()
    firing.notified(alert, us(9), us(1))
    assert (alert.notified, alert.repeat_us, alert.changed_at_us) == (True, us(9), us(1))
    firing.notified(alert, None, us(2))
    assert (alert.repeat_us, alert.changed_at_us) == (us(9), us(2))
    assert firing.drain() == ([alert], [])
    firing.repeat(alert, us(20), us(10))
    assert (alert.repeat_us, alert.changed_at_us) == (us(20), us(10))
    assert lines(firing.drain()[1]) == [("repeat", "kicked_out", "still firing")]


def test_suppressing_is_written_without_a_line() -> None:
    firing = Firing(Log())
    alert = cause(firing)
    firing.drain()
    firing.suppress(alert, "storm", us(4))
    assert (alert.suppressed_by, alert.changed_at_us, list(firing.changed)) == ("storm", us(4), [alert])
    assert firing.drain() == ([alert], [])


def test_an_alert_that_is_suppressed_no_longer_is_written_with_a_line() -> None:
    firing = Firing(Log())
    alert = cause(firing, suppressed_by="silenced")
    firing.drain()
    firing.unsuppress(alert, us(7))
    assert (alert.suppressed_by, alert.changed_at_us) == (None, us(7))
    changed, entries = firing.drain()
    assert changed == [alert]
    assert [(one.at_us, str(one.text)) for one in entries] == [(us(7), "no longer suppressed (silenced)")]


def test_alerts_of_many_users_are_read_at_once_and_of_each_once() -> None:
    log = Log()
    firing = Firing(log)
    alert = cause(firing)
    firing = committed(firing, log)
    log.reads.clear()
    users = [(7, name) for name in ("alice", "bob", "bob", "carol")]
    firing.fetch(users)
    firing.fetch(users)
    assert log.reads == [("about_users", 3)]
    found = firing.of_user((7, "alice"), "kicked_out")
    assert found == alert
    assert firing.own(alert) is found
    assert firing.about_user((7, "alice")) == {"kicked_out": alert}
    assert firing.of_user((7, "alice"), "unregistered") is None
    assert firing.of_user((7, "bob"), "kicked_out") is None
    assert log.reads == [("about_users", 3)]
    assert firing.of_user((7, "dave"), "kicked_out") is None
    assert log.reads == [("about_users", 3), ("about_users", 1)]


def test_an_alert_about_an_app_is_read_once() -> None:
    log = Log()
    firing = Firing(log)
    assert firing.about("kick_storm", APP) is firing.about("kick_storm", APP) is None
    assert log.reads == [("by_fingerprints", 1)]


def test_an_alert_that_this_transaction_resolved_is_not_read_as_firing() -> None:
    for subject in (ALICE, APP):
        log = Log()
        firing = Firing(log)
        cause(firing, subject)
        firing = committed(firing, log)
        (read,) = log.by_fingerprints([fingerprint("kicked_out", subject)])
        firing.resolve(firing.own(read), at_us=us(1), now_us=us(1), reason=NO)
        assert firing.about("kicked_out", subject) is None


def test_openings_are_counted_over_the_window_in_the_database_and_here() -> None:
    log = Log()
    firing = Firing(log)
    for at in (0, 10, 20):
        alert = cause(firing, at=at)
        firing.resolve(alert, at_us=us(at), now_us=us(at), reason=NO)
        if at < 20:
            firing = committed(firing, log)
    alert = cause(firing, at=30)
    cause(firing, BOB, at=30)
    assert firing.times_opened(alert, us(10)) == 3
    assert Firing(log).times_opened(alert, us(0)) == 2
    assert committed(firing, log).times_opened(alert, us(30)) == 1


def test_what_opens_soon_is_counted_in_one_read() -> None:
    log = Log()
    firing = Firing(log)
    prints = [fingerprint("kicked_out", one) for one in (ALICE, BOB, ALICE)]
    firing.fetch_openings(prints, us(-9), us(0))
    firing.fetch_openings(prints, us(-9), us(0))
    assert log.reads == [("times_opened", 2)]
    assert firing.times_opened(cause(firing), us(-9)) == 1
    assert log.reads == [("times_opened", 2), ("about_users", 1)]


# Opening.


class Openings:
    def __init__(self, covers: dict[Any, Covers] | None = None, **limits: Any) -> None:
        self.log = Log()
        self.firing = Firing(self.log)
        self.opening = Opening(self.firing, CommonThresholds(**limits), covers or {})

    def cause(self, kind: Any = "kicked_out", subject: Subject = ALICE, at: float = 0, **more: Any) -> Alert | None:
        return self.opening.cause(kind, "critical", subject, at_us=us(at), now_us=us(at), summary=NO, **more)

    def flap(self, *at: float) -> list[Alert]:
        found = []
        for one in at:
            alert = self.cause(at=one)
            assert alert is not None
            self.firing.resolve(alert, at_us=us(one), now_us=us(one), reason=NO)
            found.append(alert)
        return found


def test_a_kind_that_is_switched_off_opens_nothing() -> None:
    openings = Openings(off=frozenset({"kicked_out"}))
    assert openings.cause() is None
    assert openings.cause("unregistered") is not None


def test_the_thresholds_that_hold_unless_others_are_set() -> None:
    limits = CommonThresholds()
    assert (limits.resolve_after_us, limits.max_age_us) == (24 * 3_600_000_000, 15 * 60_000_000)
    assert (limits.flap_count, limits.flap_window_us) == (4, 15 * 60_000_000)


def test_a_late_alert_is_suppressed() -> None:
    alert = Openings().cause(late=True)
    assert alert is not None
    assert alert.suppressed_by == "late"


def test_an_alert_is_suppressed_while_another_covers_its_user_or_app() -> None:
    covers = {
        "kick_storm": Covers(frozenset({"kicked_out"}), "storm", whole_app=True),
        "kick_ping_pong": Covers(frozenset({"kicked_out"}), "ping_pong"),
    }
    openings = Openings(covers)
    openings.cause("kick_ping_pong", BOB)
    for subject, kind, by in (
        (ALICE, "kicked_out", None),
        (BOB, "unregistered", None),
        (BOB, "kicked_out", "ping_pong"),
    ):
        alert = openings.cause(kind, subject)
        assert alert is not None
        assert alert.suppressed_by == by
    openings = Openings(covers)
    openings.cause("kick_storm", APP)
    openings.cause("kick_ping_pong", BOB)
    for subject, by in ((ALICE, "storm"), (BOB, "storm"), (Subject(8, "alice"), None)):
        alert = openings.cause(subject=subject)
        assert alert is not None
        assert alert.suppressed_by == by
    assert not covers["kick_ping_pong"].whole_app


def test_the_opening_that_makes_it_flap_says_so_and_further_ones_are_suppressed() -> None:
    alerts = Openings(flap_count=3, flap_window_us=60_000_000).flap(0, 10, 20, 30, 65)
    assert [one.suppressed_by for one in alerts] == [None, None, None, "flapping", "flapping"]
    assert [one.labels.get("flapping") for one in alerts] == [None, None, "true", None, None]
    expected = "no (flapping: 3 times within 1 min; further ones are suppressed until it is stable)"
    assert [str(one.summary) for one in alerts[:3]] == ["no", "no", expected]


def test_openings_before_the_window_do_not_count() -> None:
    alerts = Openings(flap_count=2, flap_window_us=60_000_000).flap(0, 60, 120.000001)
    assert [one.labels.get("flapping") for one in alerts] == [None, "true", None]


def test_without_a_count_nothing_flaps_and_nothing_is_read_for_it() -> None:
    openings = Openings(flap_count=0)
    openings.opening.expect([("kicked_out", ALICE)], us(0))
    assert {one.suppressed_by for one in openings.flap(0, 1, 2, 3, 4, 5)} == {None}
    assert "times_opened" not in {name for name, _ in openings.log.reads}


def test_what_may_open_is_counted_in_one_read() -> None:
    openings = Openings(flap_window_us=60_000_000)
    openings.opening.expect([("kicked_out", ALICE), ("kicked_out", BOB)], us(0))
    openings.cause()
    openings.cause(subject=BOB)
    assert [one for one in openings.log.reads if one[0] == "times_opened"] == [("times_opened", 2)]


def test_what_was_counted_at_once_is_counted_over_the_window() -> None:
    openings = Openings(flap_count=2, flap_window_us=60_000_000)
    openings.flap(0)
    openings.log.write(openings.firing.drain()[0])
    openings.opening.expect([("kicked_out", ALICE)], us(60))
    alert = openings.cause(at=60)
    assert alert is not None
    assert alert.labels == {"flapping": "true"}


def test_a_second_cause_and_a_suppressed_opening_do_not_flap() -> None:
    openings = Openings(flap_count=1)
    late = openings.cause(late=True)
    assert late is not None
    assert "flapping" not in late.labels
    openings.cause()
    assert "flapping" not in late.labels
    assert [late.suppressed_by] == [None]
