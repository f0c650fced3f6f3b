"""The rules about single users and parts: what opens an alert, what it says, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.naming import Device, user_name
from sidecar.domain.alerts.rule_set import switches_of, touches_alerts
from sidecar.domain.alerts.rules import KINDS, RULES, STORMS, advice, advice_sentences
from sidecar.domain.alerts.rules.base_rule import Change
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.export_stalled import ExportStalled
from sidecar.domain.alerts.rules.kick_ping_pong import KickPingPong
from sidecar.domain.alerts.rules.kick_storm import KickStorm
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.alerts.rules.login_ended import LoginEnded
from sidecar.domain.alerts.rules.login_timeout import LoginTimeout
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.token_expired import TokenExpired
from sidecar.domain.alerts.rules.token_expiring import FORECAST, Ending, TokenExpiring
from sidecar.domain.alerts.rules.unregistered import Unregistered
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.watchlist import Due, Kick, Member, Switches, Watch, WentOffline
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.status import Status
from sidecar.domain.texts import Text, verbatim
from tests.support.events import Phone
from tests.support.rules_in_memory import Rules, lines, us

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


def phone(user_id: str | None = "carol", name: str = "phone") -> Phone:
    return Phone(user_id, name, app_id=7)


def kick(at: float, name: str = "phone", user_id: str | None = "carol", **more: Any) -> Event:
    made = phone(user_id, name)
    made.seq = int(at) - 1
    return made.says("DISCONNECTED", "KICKED_OUT", at, device_id=name, **more)


def about(rules: Rules, kind: str, user_id: str = "carol") -> Alert:
    return rules.about(kind, Subject(7, user_id))


def in_order(events: list[Any]) -> list[str]:
    return [one.what for one in events]


# What rules are called, and whether they are on.


def test_each_kind_has_one_rule_with_a_title_and_advice() -> None:
    assert [rule.kind for rule in RULES] == list(KINDS)
    assert list(STORMS) == ["reconnect_storm", "kick_storm", "lost_storm", "offline_storm", "calls_failing"]
    assert all(rule.title.template and rule.advice for rule in RULES)
    ended = {rule.kind: rule.connection_events for rule in RULES if issubclass(rule, LoginEnded)}
    assert ended == {
        "kicked_out": {"KICKED_OUT"},
        "token_expired": {"TOKEN_EXPIRED"},
        "login_timeout": {"LOGIN_TIMEOUT"},
        "unregistered": {"UNREGISTERED"},
    }


def test_the_thresholds_that_hold_unless_others_are_set() -> None:
    limits = Thresholds()
    assert (limits.offline_too_long_us, limits.online_elsewhere_us) == (5 * MINUTE_US, 5 * MINUTE_US)
    assert (limits.ping_pong_kicks, limits.ping_pong_window_us) == (3, 10 * MINUTE_US)
    assert (limits.storm_window_us, limits.storm_users) == (MINUTE_US, 20)
    assert (limits.storm_share, limits.storm_share_down) == (0.05, 0.02)
    assert (limits.token_forecast_us, limits.token_forecast_users) == (HOUR_US, 100)
    assert limits.stalled_after_us == 5 * MINUTE_US
    assert (limits.calls_failing_users, limits.calls_failing_share) == (20, 0.01)
    assert limits.plan_limit_window_us == HOUR_US
    assert (limits.app_silent_us, limits.app_silent_users) == (15 * MINUTE_US, 10)


def test_the_rules_look_back_as_far_as_the_longest_of_their_times() -> None:
    assert Thresholds().looks_back_us == 24 * HOUR_US + 5 * MINUTE_US
    short: dict[str, Any] = {"offline_too_long_us": 1, "resolve_after_us": 1, "max_age_us": 1, "ping_pong_window_us": 1}
    short |= {"storm_window_us": 1, "flap_window_us": 1}
    for name in ("max_age_us", "ping_pong_window_us", "storm_window_us", "flap_window_us"):
        assert Thresholds(**short | {name: 9}).looks_back_us == 9


def test_only_what_a_rule_that_is_on_needs_is_watched() -> None:
    assert switches_of(Thresholds()) == Switches(True, True, frozenset(STORMS))
    zero = Thresholds(offline_too_long_us=0, ping_pong_window_us=0, storm_window_us=0)
    assert switches_of(zero) == Switches(False, False, frozenset())
    one = Thresholds(offline_too_long_us=1, ping_pong_window_us=1, storm_window_us=1)
    assert switches_of(one) == switches_of(Thresholds())
    off = Thresholds(off=frozenset({"offline_too_long", "kick_ping_pong", "kick_storm"}))
    assert switches_of(off) == Switches(False, False, frozenset(STORMS) - {"kick_storm"})
    assert not ExportStalled.is_on(Thresholds(stalled_after_us=0))
    assert not ExportStalled.is_on(Thresholds(off=frozenset({"export_stalled"})))
    assert ExportStalled.is_on(Thresholds(stalled_after_us=1))


@pytest.mark.parametrize(
    ("event", "before", "status", "touches"),
    [
        (kick(1), "online", "online", True),
        (kick(1, user_id=None), None, None, True),
        (phone().says("CONNECTED", "SUCCESS", 1), "online", "online", True),
        (phone().says("CONNECTED", "SUCCESS", 1), "online", "not_logged_in", False),
        (phone().says("DISCONNECTED", "SUCCESS", 1), "online", "online", False),
        (phone().says("DISCONNECTED", "SUCCESS", 1), "online", "not_logged_in", False),
        (phone().says("DISCONNECTED", "SUCCESS", 1), "offline", "not_logged_in", True),
        (phone().says("RECONNECTING", "X", 1), "offline", "offline", False),
        (phone(None).says("CONNECTED", "SUCCESS", 1), "offline", "online", False),
        (phone().event("logout", 1), "offline", "not_logged_in", True),
        (phone().event("logout", 1), "online", "not_logged_in", False),
        (phone().event("login", 1), "online", "online", True),
        (phone().event("token_will_expire", 1), None, None, True),
        (phone().event("token_renewed", 1), None, None, True),
        (phone(None).event("login", 1), None, None, False),
        (phone().event("heartbeat", 1), "offline", "online", False),
    ],
)
def test_only_some_events_may_open_or_end_an_alert(
    event: Event, before: Status | None, status: Status | None, *, touches: bool
) -> None:
    assert touches_alerts(event, before, status) is touches


# A login that ended.


@pytest.mark.parametrize(
    ("event", "kind", "severity", "text"),
    [
        ("KICKED_OUT", "kicked_out", "critical", "carol was kicked out on Web (pixel-7)"),
        ("TOKEN_EXPIRED", "token_expired", "critical", "carol: the token expired (no warning of it was reported)"),
        ("LOGIN_TIMEOUT", "login_timeout", "warning", "carol: the login timed out on Web (pixel-7)"),
        ("UNREGISTERED", "unregistered", "critical", "carol was unregistered from ZIM"),
    ],
)
def test_a_login_that_ended_is_an_alert_until_the_user_is_online_again(
    event: str, kind: str, severity: str, text: str
) -> None:
    rules = Rules()
    carol = phone()
    ended = carol.says("DISCONNECTED", event, 1, device_id="pixel-7", sdk_version="2.28.0")
    assert lines(rules.takes(ended, "online", "not_logged_in")) == [("opened", kind, text)]
    alert = about(rules, kind)
    assert (alert.severity, alert.started_at_us, alert.position, alert.suppressed_by) == (severity, us(1), 1, None)
    assert alert.labels == {"platform": "Web", "device_id": "pixel-7", "sdk_version": "2.28.0"}
    assert (alert.due_us, alert.facts["elsewhere"]) == (us(1) + 24 * HOUR_US, False)
    assert rules.takes(carol.says("CONNECTING", "ACTIVE_LOGIN", 2), "not_logged_in", "not_logged_in") == []
    assert rules.takes(phone(name="desk").says("DISCONNECTED", "SUCCESS", 3), "online", "online") == []
    (over,) = rules.takes(carol.says("CONNECTED", "SUCCESS", 4), "not_logged_in", "online")
    assert lines([over]) == [("resolved", kind, "the user is online again")]
    assert (over.at_us, over.position) == (us(4), 3)


def test_a_connection_that_leaves_the_user_logged_out_ends_no_alert() -> None:
    rules = Rules()
    rules.takes(kick(1), "online", "not_logged_in")
    assert rules.takes(phone().says("CONNECTED", "SUCCESS", 2), "offline", "not_logged_in") == []


def test_a_kick_with_the_state_connected_opens_and_does_not_end() -> None:
    rules = Rules()
    odd = phone().says("CONNECTED", "KICKED_OUT", 1)
    assert in_order(rules.takes(odd, "online", "online")) == ["opened"]


def test_a_user_that_was_online_elsewhere_all_along_stays_on_the_list_for_minutes() -> None:
    rules = Rules()
    rules.takes(kick(1), "online", "online")
    alert = about(rules, "kicked_out")
    assert alert.due_us == us(1) + 5 * MINUTE_US
    rules.set.resolve_due([alert], us(400))
    (over,) = rules.commit()
    assert (str(over.text), over.at_us) == ("the user was online on another device", us(301))


def test_an_alert_that_time_resolves_ends_when_it_was_due() -> None:
    rules = Rules()
    rules.takes(kick(1), "online", "not_logged_in")
    alert = about(rules, "kicked_out")
    rules.set.resolve_due([alert], us(1) + 25 * HOUR_US)
    (over,) = rules.commit()
    assert (str(over.text), over.at_us) == ("no further report of it for too long", us(1) + 24 * HOUR_US)
    assert alert.changed_at_us == us(1) + 25 * HOUR_US


def test_an_alert_of_a_kind_that_is_known_no_longer_is_resolved_too() -> None:
    rules = Rules()
    alert = rules.firing.cause("retired", "info", Subject(7, "carol"), at_us=0, now_us=0, summary=verbatim(""))
    assert rules.takes(phone().says("CONNECTED", "SUCCESS", 1), "offline", "online")[1:] == []
    rules.set.resolve_due([rules.about("retired", alert.subject)], us(9))
    (over,) = rules.commit()
    assert (str(over.text), over.at_us) == ("no further report of it for too long", us(9))


@pytest.mark.parametrize(("delay", "late"), [(900, False), (900.000001, True)])
def test_what_is_received_more_than_fifteen_minutes_late_notifies_nobody(delay: float, *, late: bool) -> None:
    rules = Rules()
    rules.takes(kick(1, received_at_us=us(1 + delay), moment_us=us(1)), "online", "not_logged_in")
    alert = about(rules, "kicked_out")
    assert alert.suppressed_by == ("late" if late else None)
    assert (alert.started_at_us, alert.opened_at_us) == (us(1), us(1 + delay))
    assert (bool(rules.watch.members), bool(rules.watch.kicked)) == (not late, not late)


def test_a_client_without_a_user_has_an_alert_of_its_own() -> None:
    rules = Rules()
    event = kick(1, user_id=None)
    (opened,) = rules.takes(event, None, None)
    assert opened.alert.subject == Subject(7, None, event.client_id.hex())
    assert str(opened.text) == "a client without a user was kicked out on Web (phone)"
    assert rules.watch.kicked == []
    assert rules.watch.members == {}


@pytest.mark.parametrize(
    ("cause", "text", "advised"),
    [
        (
            Cause(kick(0, "desk")),
            "carol was kicked out on Web (phone); the other device is Web (desk)",
            "is not theirs",
        ),
        (
            Cause(may_be_itself=True),
            "carol was kicked out on Web (phone); this may be its own old connection",
            "2.12.0",
        ),
        (Cause(), "carol was kicked out on Web (phone)", "on another device"),
        (None, "carol was kicked out on Web (phone)", "on another device"),
    ],
)
def test_a_kick_names_its_cause_and_advises_by_it(cause: Cause | None, text: str, advised: str) -> None:
    rules = Rules()
    rules.takes(kick(1), "online", "not_logged_in", cause)
    summary = about(rules, "kicked_out").summary
    assert str(summary).startswith(text)
    assert advice("kicked_out", summary).startswith("Ask the user to log in again; do not retry in code. ")
    assert advised in advice("kicked_out", summary)
    wrapped = Text("flapping", {"told": Text("flapping", {"told": summary})})
    assert advice_sentences("kicked_out", wrapped) == advice_sentences("kicked_out", summary)


def test_without_a_summary_the_advice_is_that_of_the_kind() -> None:
    assert advice_sentences("kicked_out") == KickedOut.advice
    assert advice_sentences("client_lost", verbatim("x")) == ClientLost.advice
    for rule in (TokenExpired, LoginTimeout, Unregistered, KickStorm):
        assert advice(rule.kind) == " ".join(one.template for one in rule.advice)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (Device("Web", "pixel-7"), "Web (pixel-7)"),
        (Device("Web"), "Web"),
        (Device(device_id="pixel-7"), "pixel-7"),
        (Device(app_version="1"), "an unnamed device"),
    ],
)
def test_a_device_is_named_by_what_is_known_of_it(device: Device, text: str) -> None:
    assert str(device.text) == text


def test_a_user_id_is_cut_to_what_fits_a_sentence() -> None:
    assert user_name("a" * 60) == "a" * 60
    assert user_name("a" * 61) == "a" * 59 + "…"
    assert user_name("a\nb") == "a\ufffdb"
    assert str(user_name(None)) == "a client without a user"


def test_a_change_knows_what_it_did_to_its_user() -> None:
    def change(before: Status | None, status: Status | None) -> Change:
        return Change(event=kick(1), position=1, now_us=0, before=before, status=status, late=False, ends_login=True)

    moves: list[tuple[Status | None, Status | None]] = [
        ("online", "offline"), (None, "offline"), ("offline", "offline"), ("offline", "online"), ("offline", None),
        ("online", "not_logged_in"),
    ]  # fmt: skip
    assert [change(*move).went_offline for move in moves] == [True, True, False, False, False, False]
    assert [change(*move).left_offline for move in moves] == [False, False, False, True, True, False]
    assert (change(None, None).who, change(None, None).at_us, change(None, None).cause) == ((7, "carol"), us(1), None)


# Ping-pong.


def test_kicks_of_two_devices_in_turn_are_one_alert_and_suppress_the_single_one() -> None:
    rules = Rules()
    assert in_order(rules.takes(kick(10), "online", "online")) == ["opened"]
    assert in_order(rules.takes(kick(20, "desk"), "online", "online")) == ["cause"]
    entries = rules.takes(kick(30), "online", "online")
    assert lines(entries)[-1] == (
        "opened", "kick_ping_pong", "carol: two devices kick each other out, 3 times within 20 s"
    )  # fmt: skip
    alert = about(rules, "kick_ping_pong")
    assert (alert.due_us, alert.started_at_us, alert.position) == (us(30) + 10 * MINUTE_US, us(30), 30)
    assert alert.labels == {"platform": "Web", "device_id": "phone"}
    single = about(rules, "kicked_out")
    assert (single.suppressed_by, single.changed_at_us) == ("ping_pong", us(30))
    assert lines(rules.takes(kick(35), "online", "online"))[-1][2].endswith("4 times within 25 s")
    rules.set.resolve_due([about(rules, "kick_ping_pong")], us(1_000))
    assert lines(rules.commit()) == [("resolved", "kick_ping_pong", "no device was kicked out for a while")]


def test_kicks_of_one_device_or_of_the_same_twice_are_no_ping_pong() -> None:
    rules = Rules()
    for at, name in ((1, "phone"), (2, "phone"), (3, "phone"), (4, "desk"), (5, "desk"), (6, "phone")):
        rules.takes(kick(at, name), "online", "online")
    assert rules.firing.about("kick_ping_pong", Subject(7, "carol")) is None
    rules.takes(kick(7, "desk"), "online", "online")
    assert about(rules, "kick_ping_pong").count == 1


def test_kicks_before_the_window_do_not_count() -> None:
    for last, opens in ((601, True), (601.000001, True), (602, False)):
        rules = Rules()
        for at, name in ((1.5, "phone"), (2, "desk"), (last, "phone")):
            rules.takes(kick(at, name), "online", "online")
        assert (rules.firing.about("kick_ping_pong", Subject(7, "carol")) is not None) is opens


def test_a_device_without_a_name_is_told_apart_by_its_client() -> None:
    rules = Rules()
    for at, name in ((1, "a"), (2, "b"), (3, "a")):
        rules.takes(phone(name=name).says("DISCONNECTED", "KICKED_OUT", at), "online", "online")
    assert about(rules, "kick_ping_pong").count == 1
    assert {one.device for _, one in rules.watch.kicked} == {phone(name=name).client_id.hex() for name in "ab"}


@pytest.mark.parametrize("already", ["notified", "suppressed"])
def test_a_single_kick_that_is_suppressed_or_notified_stays_as_it_is(already: str) -> None:
    rules = Rules()
    rules.takes(kick(1), "online", "online")
    single = about(rules, "kicked_out")
    if already == "notified":
        rules.firing.notified(single, None, us(1))
    else:
        rules.firing.suppress(single, "silenced", us(1))
    rules.commit()
    for at, name in ((2, "desk"), (3, "phone")):
        rules.takes(kick(at, name), "online", "online")
    assert about(rules, "kicked_out").suppressed_by == (None if already == "notified" else "silenced")


def test_without_the_rule_of_ping_pong_the_single_kick_notifies() -> None:
    rules = Rules(off=frozenset({"kick_ping_pong"}))
    for at, name in ((1, "phone"), (2, "desk"), (3, "phone")):
        rules.takes(kick(at, name), "online", "online")
    assert about(rules, "kicked_out").suppressed_by is None
    assert rules.firing.about("kick_ping_pong", Subject(7, "carol")) is None
    assert rules.watch.kicked == []


# Offline and lost.


def test_a_user_that_goes_offline_is_watched_until_it_is_offline_no_longer() -> None:
    rules = Rules()
    rules.takes(phone().says("RECONNECTING", "LOGIN_INTERRUPTED", 1), "online", "offline")
    assert rules.watch.offline == {(7, "carol"): WentOffline(us(1), late=False)}
    late = phone().says("RECONNECTING", "LOGIN_INTERRUPTED", 1, received_at_us=us(2_000), moment_us=us(1))
    rules.takes(late, "online", "offline")
    assert rules.watch.offline == {(7, "carol"): WentOffline(us(1), late=True)}
    rules.takes(phone().says("RECONNECTING", "LOGIN_INTERRUPTED", 5), "offline", "offline")
    assert rules.watch.offline == {(7, "carol"): WentOffline(us(1), late=True)}
    rules.takes(phone().says("CONNECTED", "SUCCESS", 9), "offline", "online")
    assert rules.watch.offline == {(7, "carol"): None}
    assert rules.takes(phone(None).says("RECONNECTING", "X", 1), "online", "offline") == []


def test_being_offline_for_too_long_is_an_alert_until_it_is_over() -> None:
    for state, status, text in (
        ("CONNECTED", "online", "the user is online again"),
        ("DISCONNECTED", "not_logged_in", "the user is logged out"),
    ):
        rules = Rules()
        rules.set.of(OfflineTooLong).open([Due((7, "carol"), us(0))], us(300))
        entries = rules.commit()
        assert lines(entries) == [("opened", "offline_too_long", "carol has been offline for 5 min")]
        alert = about(rules, "offline_too_long")
        assert (alert.severity, alert.started_at_us, alert.opened_at_us) == ("warning", us(0), us(300))
        assert (alert.due_us, alert.suppressed_by) == (us(300) + 24 * HOUR_US, None)
        assert rules.takes(kick(301), "offline", "offline")[1:] == []
        over = rules.takes(phone().says(state, "SUCCESS", 310), "offline", status)  # type: ignore[arg-type]
        assert ("resolved", "offline_too_long", text) in lines(over)


def test_a_late_report_opens_a_suppressed_alert_and_one_that_would_be_over_opens_none() -> None:
    rules = Rules()
    longest_us = 24 * HOUR_US + 5 * MINUTE_US
    users = [
        Due((7, "carol"), us(0), late=True),
        Due((7, "alice"), us(0)),
        Due((7, "bob"), us(0) + 1),
    ]
    rules.log.reads.clear()
    rule = rules.set.of(OfflineTooLong)
    rule.open(rule.due(users, us(0) + longest_us), us(0) + longest_us)
    found = [(one.alert.subject.user_id, one.alert.suppressed_by) for one in rules.commit()]
    assert found == [("carol", "late"), ("bob", None)]
    assert rules.watch.alerted == [one.who for one in users]
    assert rules.log.reads[:2] == [("about_users", 2), ("times_opened", 2)]


def test_a_lost_client_is_an_alert_until_there_is_a_sign_of_life() -> None:
    rules = Rules()
    lost = [Due((7, "carol"), us(45)), Due((7, "bob"), us(46))]
    rules.set.of(ClientLost).open(lost, us(50))
    assert rules.log.reads[:2] == [("about_users", 2), ("times_opened", 2)]
    entries = rules.commit()
    assert lines(entries)[0] == (
        "opened", "client_lost", "carol gave no sign of life: the app or its device may be gone"
    )  # fmt: skip
    alert = about(rules, "client_lost")
    assert (alert.severity, alert.started_at_us, alert.due_us) == ("info", us(45), us(50) + 24 * HOUR_US)
    rules.set.of(ClientLost).open(lost, us(60))
    assert rules.commit() == []
    rules.log.reads.clear()
    rules.set.of(ClientLost).found([(7, "carol"), (7, "dave")], us(70))
    (over,) = rules.commit()
    assert (lines([over]), over.at_us) == ([("resolved", "client_lost", "there is a sign of life again")], us(70))
    assert rules.log.reads == [("about_users", 2)]


# Tokens.


def warning(at: float, second: Any = 30, name: str = "phone", **more: Any) -> Event:
    made = phone("dave", name)
    made.session_id = more.pop("session_id", None)
    return made.event("token_will_expire", at, details={"second": second}, **more)


def renewal(at: float, code: int = 0, name: str = "phone", **more: Any) -> Event:
    return phone("dave", name).event("token_renewed", at, details={"code": code}, **more)


def expiry(at: float, name: str = "phone") -> Event:
    return phone("dave", name).says("DISCONNECTED", "TOKEN_EXPIRED", at)


def test_a_warning_is_an_alert_until_the_token_is_renewed() -> None:
    rules = Rules()
    (opened,) = rules.takes(warning(1, session_id=b"1" * 16))
    assert str(opened.text) == "dave: the token ends in 30 s and is not renewed yet"
    alert = about(rules, "token_expiring", "dave")
    assert (alert.severity, alert.due_us, alert.suppressed_by) == ("warning", us(31), None)
    assert (alert.position, alert.labels) == (1, {"platform": "Web"})
    client = {"expires_us": us(31), "left_us": 30_000_000, "session": (b"1" * 16).hex()}
    assert alert.facts == {"clients": {phone("dave").client_id.hex(): client}}
    (over,) = rules.takes(renewal(2))
    assert lines([over]) == [("resolved", "token_expiring", "the token was renewed")]
    assert (over.at_us, over.position) == (us(2), 1)
    assert over.alert.facts == {"clients": {}}
    assert rules.takes(renewal(3)) == []


def test_a_new_login_ends_the_warning_and_without_one_does_nothing() -> None:
    rules = Rules()
    assert rules.takes(phone("dave").login(0)) == []
    rules.takes(warning(1))
    (over,) = rules.takes(phone("dave").login(2))
    assert (lines([over]), over.at_us) == ([("resolved", "token_expiring", "a new login")], us(2))


@pytest.mark.parametrize("name", ["login", "token_renewed", "token_will_expire"])
def test_a_connection_event_called_like_a_type_is_none_of_that_type(name: str) -> None:
    rules = Rules()
    rules.takes(warning(1))
    assert rules.takes(phone("dave").says("CONNECTED", name, 2), "online", "online") == []
    assert not touches_alerts(phone("dave").says("RECONNECTING", name, 3), "online", "offline")


def test_a_renewal_without_a_code_was_accepted() -> None:
    rules = Rules()
    rules.takes(warning(1))
    assert in_order(rules.takes(phone("dave").event("token_renewed", 2))) == ["resolved"]


def test_each_client_has_a_warning_of_its_own_and_the_last_decides() -> None:
    rules = Rules()
    rules.takes(warning(1, 60))
    rules.takes(warning(2, 30, "desk"))
    alert = about(rules, "token_expiring", "dave")
    assert (alert.count, alert.due_us, len(alert.facts["clients"])) == (2, us(61), 2)
    assert str(alert.summary) == "dave: the token ends in 30 s and is not renewed yet"
    assert rules.takes(renewal(3)) == []
    alert = about(rules, "token_expiring", "dave")
    assert list(alert.facts["clients"]) == [phone("dave", "desk").client_id.hex()]
    assert alert.changed_at_us == us(3)
    assert in_order(rules.takes(renewal(4, name="desk"))) == ["resolved"]


def test_a_renewal_is_that_of_its_client_or_its_session() -> None:
    session = b"1" * 16
    rules = Rules()
    rules.takes(warning(1, session_id=session))
    rules.takes(renewal(2, name="desk", session_id=None))
    rules.takes(renewal(3, name="desk", session_id=b"2" * 16))
    assert len(about(rules, "token_expiring", "dave").facts["clients"]) == 1
    assert in_order(rules.takes(renewal(4, name="desk", session_id=session))) == ["resolved"]
    without = Rules()
    without.takes(warning(1))
    assert without.takes(renewal(2, name="desk")) == []


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([warning(1)], "dave: the token expired (warned 30 s before, no renewToken call followed)"),
        (
            [warning(1), renewal(2, 6_000_103)],
            "dave: the token expired (warned 30 s before, renewToken failed with 6000103: the token is not valid)",
        ),
        ([warning(1, -5)], "dave: the token expired (no warning of it was reported)"),
        ([warning(1, name="desk")], "dave: the token expired (no warning of it was reported)"),
        ([], "dave: the token expired (no warning of it was reported)"),
    ],
)
def test_an_expiry_says_what_came_of_its_warning(events: list[Event], text: str) -> None:
    rules = Rules()
    for event in events:
        rules.takes(event)
    entries = rules.takes(expiry(31), "online", "not_logged_in")
    assert lines(entries)[-1] == ("opened", "token_expired", text)


def test_an_expiry_ends_the_warning_of_its_client_alone() -> None:
    rules = Rules()
    rules.takes(warning(1))
    rules.takes(warning(2, 30, "desk"))
    assert in_order(rules.takes(expiry(31), "online", "online")) == ["opened"]
    alert = about(rules, "token_expiring", "dave")
    assert (list(alert.facts["clients"]), alert.changed_at_us) == ([phone("dave", "desk").client_id.hex()], us(31))
    (over, _) = rules.takes(expiry(32, "desk"), "online", "not_logged_in")
    assert (lines([over]), over.at_us) == ([("resolved", "token_expiring", "the token has expired")], us(32))


def test_a_client_without_a_user_has_no_warning() -> None:
    rules = Rules()
    nobody = phone(None)
    assert rules.takes(nobody.event("token_will_expire", 1, details={"second": 30})) == []
    (opened,) = rules.takes(nobody.says("DISCONNECTED", "TOKEN_EXPIRED", 2), None, None)
    assert str(opened.text) == "a client without a user: the token expired (no warning of it was reported)"


def test_time_ends_a_warning_when_the_token_expires() -> None:
    rules = Rules()
    rules.takes(warning(1))
    rules.set.resolve_due([about(rules, "token_expiring", "dave")], us(40))
    (over,) = rules.commit()
    assert (lines([over]), over.at_us) == ([("resolved", "token_expiring", "the token has expired")], us(31))


@pytest.mark.parametrize(("received", "what"), [(30.999999, ["opened"]), (31, ["opened", "resolved"])])
def test_a_warning_that_arrives_after_the_expiry_is_over_at_once(received: float, what: list[str]) -> None:
    rules = Rules()
    entries = rules.takes(warning(1, received_at_us=us(received), moment_us=us(1)))
    assert in_order(entries) == what
    assert entries[0].alert.suppressed_by == ("late" if len(what) > 1 else None)
    assert entries[-1].at_us == (us(31) if len(what) > 1 else us(1))


def test_a_late_warning_of_a_long_life_is_suppressed() -> None:
    rules = Rules()
    (opened,) = rules.takes(warning(1, 3_600, received_at_us=us(1_000), moment_us=us(1)))
    assert opened.alert.suppressed_by == "late"


@pytest.mark.parametrize(
    ("second", "due_s"), [(10**12, 366 * 86_400), (-(10**12), None), (None, None), (0, None), ("7", 7)]
)
def test_a_token_lives_for_a_year_at_most(second: Any, due_s: int | None) -> None:
    rules = Rules()
    entries = rules.takes(warning(1, second))
    (client,) = entries[0].alert.facts["clients"].values()
    if due_s is None:
        assert in_order(entries) == ["opened", "resolved"]
        assert client["left_us"] == 0
        assert client["expires_us"] == us(1) - (366 * 86_400_000_000 if second else 0)
    else:
        assert (client["left_us"], entries[0].alert.due_us) == (due_s * 1_000_000, us(1 + due_s))


def forecast(rules: Rules, ending: int, of: int, firing: tuple[int, ...] = ()) -> list[tuple[str, str, str]]:
    rules.set.of(TokenExpiring).forecast({7: Ending(ending, of)} if of else {}, firing, us(9))
    return lines(rules.commit())


@pytest.mark.parametrize(
    ("ending", "of", "fires"), [(100, 200, True), (99, 99, False), (100, 201, False), (1_000, 1_999, True)]
)
def test_the_tokens_of_an_app_are_an_alert_when_half_of_them_and_enough_end_soon(
    ending: int, of: int, *, fires: bool
) -> None:
    rules = Rules()
    share = {200: "50%", 1_999: "50%"}.get(of)
    text = f"The tokens of {ending:,} users end within 1 h, {share} of those in use"
    assert forecast(rules, ending, of) == ([("opened", "token_expiring", text)] if fires else [])
    if fires:
        alert = rules.about("token_expiring", Subject(7, None, FORECAST))
        assert (alert.severity, alert.started_at_us, alert.opened_at_us) == ("info", us(9), us(9))
        assert forecast(rules, ending, of) == []


@pytest.mark.parametrize(
    ("ending", "of", "over"), [(50, 100, False), (49, 100, True), (74, 300, True), (75, 300, False)]
)
def test_the_forecast_is_over_when_fewer_than_half_of_that_are_left(ending: int, of: int, *, over: bool) -> None:
    rules = Rules()
    forecast(rules, 100, 200)
    text = f"the tokens of no more than {ending} users end within 1 h"
    assert forecast(rules, ending, of, (7,)) == ([("resolved", "token_expiring", text)] if over else [])


def test_an_app_without_tokens_has_its_forecast_resolved() -> None:
    rules = Rules()
    forecast(rules, 2_000, 2_000)
    assert forecast(rules, 0, 0, (7,))[0][2] == "the tokens of no more than 0 users end within 1 h"
    assert forecast(rules, 0, 0, (7,)) == []


# Deliveries.


def test_a_part_that_delivers_nothing_for_too_long_is_an_alert_until_it_delivers() -> None:
    rules = Rules()

    def check(since: float | None, now: float) -> list[tuple[str, str, str]]:
        rules.set.of(ExportStalled).check("spans", None if since is None else us(since), verbatim("HTTP 503"), us(now))
        return lines(rules.commit())

    assert check(None, 0) == []
    assert check(0, 299.999999) == []
    text = "spans: nothing was delivered for 5 min (HTTP 503)"
    assert check(0, 300) == [("opened", "export_stalled", text)]
    alert = rules.about("export_stalled", Subject(other="spans"))
    assert (alert.severity, alert.started_at_us, alert.opened_at_us) == ("critical", us(0), us(300))
    assert alert.labels == {"part": "spans"}
    assert check(0, 301) == []
    assert check(None, 302) == [("resolved", "export_stalled", "it delivers again")]


def test_without_a_time_that_is_too_long_nothing_is_stalled() -> None:
    rules = Rules(stalled_after_us=0)
    rules.set.of(ExportStalled).check("spans", us(0), verbatim(""), us(10**6))
    assert rules.commit() == []


# What is watched.


def test_what_is_switched_off_is_not_watched() -> None:
    watch = Watch(Switches(False, False, frozenset({"kick_storm"})))
    watch.went_offline((7, "carol"), 1, late=False)
    watch.not_offline((7, "carol"))
    assert watch.kick((7, "carol"), Kick(1, "phone", 5), 0) == [Kick(1, "phone", 5)]
    watch.member("reconnect_storm", (7, "carol"), Member(1, (None, None, None)))
    assert (watch.offline, watch.kicked, watch.members) == ({}, [], {})


def test_the_kicks_of_a_user_are_those_since_a_moment() -> None:
    watch = Watch(switches_of(Thresholds()))
    kicks = [Kick(at, "phone", at) for at in (1, 2, 3)]
    watch.kicks[7, "carol"] = kicks[:2]
    assert watch.kick((7, "carol"), kicks[2], 1) == watch.kicks[7, "carol"] == kicks[1:]
    assert watch.kicked == [((7, "carol"), kicks[2])]
    watch.had_alert((7, "carol"))
    watch.clear()
    assert (watch.kicks, watch.kicked, watch.alerted, watch.offline) == ({}, [], [], {})


def test_a_user_joins_a_window_once() -> None:
    watch = Watch(switches_of(Thresholds()))
    for at, who in ((1, (7, "carol")), (2, (7, "carol")), (3, (7, "bob")), (4, (8, "bob"))):
        watch.member("kick_storm", who, Member(at, ("Web", None, None)))
    joined = {app: {user: one.at_us for user, one in users.items()} for (_, app), users in watch.members.items()}
    assert joined == {7: {"carol": 2, "bob": 3}, 8: {"bob": 4}}


def test_alerts_that_end_with_one_event_end_in_the_order_in_which_they_opened() -> None:
    rules = Rules()
    for event in ("TOKEN_EXPIRED", "KICKED_OUT", "LOGIN_TIMEOUT"):
        rules.takes(phone().says("DISCONNECTED", event, 1), "online", "not_logged_in")
    about(rules, "login_timeout")
    over = rules.takes(phone().says("CONNECTED", "SUCCESS", 9), "not_logged_in", "online")
    assert [one.alert.kind for one in over] == ["token_expired", "kicked_out", "login_timeout"]


def test_what_events_that_end_logins_open_is_counted_in_one_read() -> None:
    rules = Rules()
    rules.set.expect([kick(1), kick(1, user_id="bob")], us(1))
    assert rules.log.reads == [("times_opened", 2)]
    assert KickPingPong.covers is not None
