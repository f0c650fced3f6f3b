"""The drawing of the timeline: lanes, bars, marks, tokens and kicks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from dashboard.parts import timeline
from sidecar.domain.events import Event
from sidecar.domain.session import Session
from sidecar.domain.status import Status
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.store.values import StoredEvent
from tests.support.events import BEGIN_US, Phone


def stored(*events: Event) -> list[StoredEvent]:
    """As the store gives them: in the order of their receipt, newest first."""
    ordered = sorted(events, key=lambda event: event.received_at_us)
    return [StoredEvent(position, event) for position, event in enumerate(ordered, start=1)][::-1]


def drawn(*events: Event, at: float, window: str | None = None) -> timeline.Picture:
    return timeline.picture([], stored(*events), now_us=BEGIN_US + int(at * SECOND_US), window=window)


def test_a_state_lasts_until_the_next_and_the_last_one_until_now() -> None:
    phone = Phone("alice")
    events = [phone.says("CONNECTED", "SUCCESS", 0), phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 60)]
    (lane,) = drawn(*events, at=100).lanes
    assert [(bar.kind, (bar.end_us - bar.begin_us) // SECOND_US) for bar in lane.bars] == [
        ("online", 60),
        ("offline", 40),
    ]
    assert lane.bars[0].x + lane.bars[0].width == pytest.approx(lane.bars[1].x, abs=0.2)


def test_a_state_that_is_repeated_is_one_bar() -> None:
    phone = Phone("alice")
    events = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at) for at in (0, 2, 4, 8)]
    (lane,) = drawn(*events, at=20).lanes
    assert [bar.kind for bar in lane.bars] == ["offline"]


def test_an_unknown_state_is_a_mark_and_no_bar() -> None:
    (lane,) = drawn(Phone("alice").says("HIBERNATING", "99", 0), at=20).lanes
    assert lane.bars == []
    assert len(lane.marks) == 1


def kinds(*events: Event, at: float) -> list[str]:
    (lane,) = drawn(*events, at=at).lanes
    return [bar.kind for bar in lane.bars]


def test_a_logout_that_had_no_callback_ends_the_bar_of_its_login() -> None:
    phone = Phone("alice")
    events = [
        phone.login(0),
        phone.says("CONNECTING", "SUCCESS", 1),
        phone.says("CONNECTED", "SUCCESS", 2),
        phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 40),
        phone.event("logout", 50),
        phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 52),
    ]
    assert kinds(*events, at=100) == ["connecting", "online", "offline", "not_logged_in"]


def test_connected_after_an_expired_token_is_not_drawn_as_online() -> None:
    phone = Phone("dave")
    events = [
        phone.login(0),
        phone.says("CONNECTING", "SUCCESS", 1),
        phone.says("DISCONNECTED", "TOKEN_EXPIRED", 2),
        phone.says("CONNECTED", "SUCCESS", 3),
    ]
    assert kinds(*events, at=100) == ["connecting", "not_logged_in"]


def test_the_last_bar_is_what_was_reported_last_though_the_clock_was_set_back() -> None:
    phone = Phone("alice")
    events = [
        phone.says("CONNECTED", "SUCCESS", 60),
        phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 20, received_at_us=BEGIN_US + 61 * SECOND_US),
    ]
    assert kinds(*events, at=100) == ["online", "offline"]


def test_a_kick_out_is_joined_to_the_login_on_the_other_device() -> None:
    phone, desk = Phone("carol", "phone"), Phone("carol", "desk")
    events = [
        phone.login(0),
        phone.says("CONNECTED", "SUCCESS", 1),
        desk.login(30),
        phone.says("DISCONNECTED", "KICKED_OUT", 31),
        desk.says("CONNECTED", "SUCCESS", 31.5),
    ]
    picture = drawn(*events, at=60)
    (joined,) = picture.joined
    by_letter = {lane.letter: lane for lane in picture.lanes}
    kicked = next(lane for lane in picture.lanes if lane.client_id == phone.client_id)
    assert by_letter[joined.by].client_id == desk.client_id
    assert kicked.y < joined.to_y < kicked.y + timeline.LANE


def test_a_login_long_before_kicked_nobody() -> None:
    phone, desk = Phone("carol", "phone"), Phone("carol", "desk")
    events = [desk.login(0), phone.says("DISCONNECTED", "KICKED_OUT", 4_000)]
    assert timeline.kicked_by(stored(*events)) == {}


def test_a_token_is_a_bar_from_the_login_to_its_end_and_a_renewal_begins_another() -> None:
    phone = Phone("dave")
    first, second = BEGIN_US + 60 * SECOND_US, BEGIN_US + DAY_US
    renewed = (
        phone.login(0, token_expires_at_us=first),
        phone.event("token_renewed", 30, details={"code": 0, "token_expires_at_us": second}),
    )
    (lane,) = drawn(*renewed, at=100).lanes
    assert [token.end_us for token in lane.tokens] == [first, second]
    assert [token.ends_inside for token in lane.tokens] == [False, False]
    (lane,) = drawn(renewed[0], at=100).lanes
    assert [(token.ends_inside, token.is_over) for token in lane.tokens] == [(True, True)]


def test_marks_that_lie_on_each_other_are_one_and_the_gravest_is_drawn() -> None:
    phone = Phone("carol")
    events = [
        phone.says("CONNECTED", "SUCCESS", 0),
        phone.says("DISCONNECTED", "KICKED_OUT", 0.1),
        phone.event("logout", 0.2),
    ]
    (lane,) = drawn(*events, at=250).lanes
    assert [(mark.count, mark.sentence.kind) for mark in lane.marks] == [(3, "bad")]


def test_the_window_is_the_shortest_with_enough_in_it() -> None:
    phone = Phone("alice")
    events = [phone.says("CONNECTED", "SUCCESS", minute * 60) for minute in range(20)]
    assert drawn(*events, at=20 * 60).window == "15m"
    assert drawn(*events, at=20 * 60, window="24h").window == "24h"
    assert drawn(*events, at=20 * 60, window="a year").window == "15m"


def test_after_a_long_quiet_the_picture_ends_where_the_events_do() -> None:
    picture = drawn(Phone("alice").says("CONNECTED", "SUCCESS", 0), at=40 * 86_400)
    assert picture.end_us == BEGIN_US + MINUTE_US
    assert picture.lanes


@pytest.mark.parametrize("occurred_at_us", [0, BEGIN_US + 400 * DAY_US])
def test_a_clock_years_off_does_not_stretch_the_picture(occurred_at_us: int) -> None:
    event = Phone("mallory").event("logout", 0, occurred_at_us=occurred_at_us, received_at_us=BEGIN_US)
    picture = drawn(event, at=10)
    assert picture.window == "5m"
    assert picture.lanes[0].marks[0].at_us == BEGIN_US


def test_forty_devices_have_names_and_a_bounded_number_of_lanes() -> None:
    events = [Phone("mallory", f"device {number}").says("CONNECTED", "SUCCESS", number) for number in range(40)]
    picture = drawn(*events, at=60)
    assert {"A", "Z", "AA", "AN"} <= set(timeline.letters([], stored(*events)).values())
    assert (len(picture.lanes), picture.more_lanes) == (timeline.MOST_LANES, 40 - timeline.MOST_LANES)
    assert picture.lanes[0].letter == "A"
    assert drawn(*events[:3], at=60).more_lanes == 0


def test_a_device_that_was_quiet_is_counted_and_left_out() -> None:
    old, new = Phone("bob", "old"), Phone("bob", "new")
    events = [old.says("DISCONNECTED", "SUCCESS", 0), new.says("CONNECTED", "SUCCESS", 7_200)]
    picture = drawn(*events, at=7_210, window="15m")
    assert [lane.client_id for lane in picture.lanes] == [new.client_id]
    assert picture.quiet_lanes == 1


# Where things are. In 5 minutes a second is 816 / 321 wide: 7 % of the window is kept for clocks that are ahead.


def row(client: Phone, status: Status = "online", **more: Any) -> Session:
    given: dict[str, Any] = dict.fromkeys(Session.__struct_fields__) | {"client_id": client.client_id}
    return Session(**given | {"status": status} | more)


def test_five_minutes_are_drawn_from_the_left_and_the_future_to_the_right() -> None:
    alice = Phone("alice")
    events = [alice.says("CONNECTED", "SUCCESS", 0), alice.says("RECONNECTING", "LOGIN_INTERRUPTED", 100)]
    picture = drawn(*events, at=300, window="5m")
    (lane,) = picture.lanes
    assert [(bar.kind, bar.x, bar.width) for bar in lane.bars] == [("online", 168.0, 254.2), ("offline", 422.2, 508.4)]
    assert [(mark.x, mark.position, mark.count) for mark in lane.marks] == [(168.0, 1, 1), (422.2, 2, 1)]
    assert (picture.begin_us, picture.end_us, picture.now_x) == (BEGIN_US, BEGIN_US + 300 * SECOND_US, 930.6)
    assert (lane.y, picture.height, lane.letter, lane.session, lane.is_server) == (26.0, 78.0, "A", None, False)


def test_each_device_is_a_lane_lower() -> None:
    picture = drawn(*(Phone("bob", name).says("CONNECTED", "SUCCESS", 0) for name in ("phone", "desk")), at=60)
    assert [lane.y for lane in picture.lanes] == [26.0, 72.0]
    assert picture.height == 124.0
    assert drawn(at=0).height == 32.0


@pytest.mark.parametrize(
    ("window", "seconds", "tick_s"),
    [
        ("5m", 300, 60),
        ("15m", 900, 300),
        ("1h", 3_600, 600),
        ("6h", 21_600, 3_600),
        ("24h", 86_400, 14_400),
        ("7d", 604_800, 86_400),
    ],
)
def test_a_window_has_its_length_and_its_ticks(window: str, seconds: int, tick_s: int) -> None:
    picture = drawn(at=10 * 3_600 + 7, window=window)
    assert picture.end_us - picture.begin_us == seconds * SECOND_US
    moments = [tick.at_us for tick in picture.ticks]
    assert {after - before for before, after in pairwise(moments)} == {tick_s * SECOND_US}
    assert 0 <= moments[0] - picture.begin_us < tick_s * SECOND_US
    assert 0 <= picture.end_us - moments[-1] < tick_s * SECOND_US
    assert moments[0] % (tick_s * SECOND_US) == 0
    assert {tick.form for tick in picture.ticks} == {"day" if window == "7d" else "minute"}


def test_the_ends_of_a_window_have_ticks_where_they_are_whole() -> None:
    ticks = drawn(at=300, window="5m").ticks
    assert [(tick.at_us - BEGIN_US) // SECOND_US for tick in ticks] == [0, 60, 120, 180, 240, 300]
    assert [tick.x for tick in ticks] == [168.0, 320.5, 473.0, 625.6, 778.1, 930.6]


@pytest.mark.parametrize(("at", "marks"), [(-0.000001, 0), (0, 1), (321, 1), (321.000001, 0)])
def test_a_mark_is_within_the_window_and_a_little_after_it(at: float, marks: int) -> None:
    event = Phone("alice").event("logout", at)
    (lane,) = timeline.picture(
        [row(Phone("alice"))], stored(event), now_us=BEGIN_US + 300 * SECOND_US, window="5m"
    ).lanes
    assert len(lane.marks) == marks


def test_a_device_without_a_mark_is_quiet_unless_it_is_logged_in() -> None:
    def lanes(status: Status) -> tuple[int, int]:
        found = timeline.picture([row(Phone("bob"), status)], [], now_us=BEGIN_US, window="5m")
        assert not any(lane.is_server for lane in found.lanes)
        return len(found.lanes), found.quiet_lanes

    assert [lanes("online"), lanes("offline"), lanes("not_logged_in")] == [(1, 0), (1, 0), (0, 1)]
    two = [row(Phone("bob", name), "not_logged_in") for name in ("desk", "tv")]
    assert timeline.picture(two, [], now_us=BEGIN_US, window="5m").quiet_lanes == 2
    late = Phone("bob").event("logout", 0)
    kept = timeline.picture([row(Phone("bob"), "not_logged_in")], stored(late), now_us=BEGIN_US, window="5m")
    assert [lane.session is not None for lane in kept.lanes] == [True]


def test_the_shortest_state_can_be_seen() -> None:
    alice = Phone("alice")
    events = [alice.says("CONNECTED", "SUCCESS", 0), alice.says("RECONNECTING", "X", 0.1)]
    (lane,) = drawn(*events, at=300, window="5m").lanes
    assert lane.bars[0].width == 1.5


def test_marks_are_apart_from_seven_units_on() -> None:
    alice = Phone("alice")
    for second, counts in ((2.7, [2]), (2.75, [1, 1])):
        events = [alice.event("logout", at) for at in (-100, 0, second)]
        (lane,) = drawn(*events, at=200, window="5m").lanes
        assert [mark.count for mark in lane.marks] == [1, *counts]


@pytest.mark.parametrize(
    ("first", "second", "drawn_at"),
    [("logout", "login", 1), ("login", "logout", 0), ("login", "token_renewed", 0), ("logout", "token_renewed", 1),
     ("logout", "logout", 0), ("login", "api_error", 1), ("api_error", "login", 0), ("token_renewed", "login", 1)],
)  # fmt: skip
def test_of_marks_that_overlap_the_first_of_the_gravest_is_drawn_where_the_first_is(
    first: str, second: str, drawn_at: int
) -> None:
    alice = Phone("alice")
    events = [alice.event(first, 0), alice.event(second, 1)]
    (lane,) = drawn(*events, at=300, window="5m").lanes
    (mark,) = lane.marks
    assert (mark.at_us, mark.x, mark.count) == (BEGIN_US + drawn_at * SECOND_US, 168.0, 2)


def test_a_token_is_drawn_up_to_the_edge_and_says_whether_it_is_over() -> None:
    def token(ends_s: float) -> tuple[float, float, bool, bool]:
        login = Phone("dave").login(0, token_expires_at_us=BEGIN_US + round(ends_s * SECOND_US))
        (lane,) = drawn(login, at=300, window="5m").lanes
        (found,) = lane.tokens
        return found.x, found.width, found.ends_inside, found.is_over

    assert token(100) == (168.0, 254.2, True, True)
    assert token(300) == (168.0, 762.6, True, True)
    assert token(300.000001) == (168.0, 762.6, True, False)
    assert token(321) == (168.0, 816.0, True, False)
    assert token(321.000001) == (168.0, 816.0, False, False)


def test_events_of_one_moment_are_drawn_in_the_order_of_their_sender() -> None:
    alice = Phone("alice")
    events = [alice.event("logout", 1), alice.login(1), alice.event("token_renewed", 0)]
    (lane,) = drawn(*events, at=300, window="5m").lanes
    assert [mark.sentence.kind for mark in lane.marks] == ["login"]


def test_a_report_of_the_server_has_a_lane_of_its_own() -> None:
    action = Phone("alice", "server").event("server_user_action", 0, details={"action": 0})
    picture = drawn(action, Phone("alice").event("logout", 0), at=60)
    assert sorted(lane.is_server for lane in picture.lanes) == [False, True]


def kicked(*, at: float, login_at: float) -> tuple[Phone, Phone, list[Event]]:
    phone, desk = Phone("carol", "phone"), Phone("carol", "desk")
    return phone, desk, [phone.login(-250), desk.login(login_at), phone.says("DISCONNECTED", "KICKED_OUT", at)]


def test_a_kick_is_joined_from_the_middle_of_one_lane_to_that_of_the_other() -> None:
    phone, _, events = kicked(at=100, login_at=98)
    picture = drawn(*events, at=300, window="5m")
    (joined,) = picture.joined
    tops = {lane.client_id == phone.client_id: lane.y for lane in picture.lanes}
    assert (joined.from_x, joined.to_x) == (417.1, 422.2)
    assert (joined.from_y, joined.to_y) == (tops[False] + 14, tops[True] + 14)


@pytest.mark.parametrize(("at", "count"), [(-0.000001, 0), (0, 1), (321, 1), (321.000001, 0)])
def test_only_a_kick_within_the_drawing_is_joined(at: float, count: int) -> None:
    phone, desk, events = kicked(at=at, login_at=at - 2)
    sessions = [row(phone), row(desk)]
    picture = timeline.picture(sessions, stored(*events), now_us=BEGIN_US + 300 * SECOND_US, window="5m")
    assert len(picture.joined) == count


def test_a_kick_by_a_quiet_device_is_not_joined() -> None:
    _, _, events = kicked(at=10, login_at=-20)
    assert drawn(*events, at=300, window="5m").joined == []


@pytest.mark.parametrize(
    ("seconds", "window"),
    [
        ([], "5m"),
        ([0], "5m"),
        ([300.000001], "15m"),
        ([900], "15m"),
        ([604_800], "7d"),
        ([0] * 12 + [400], "5m"),
        ([0] * 11 + [400], "15m"),
        ([0] * 11 + [400, 4_000], "15m"),
        ([0, 700_000], "7d"),
    ],
)
def test_the_window_has_the_twelve_newest_events(seconds: list[float], window: str) -> None:
    alice = Phone("alice")
    assert drawn(*(alice.event("logout", -one) for one in seconds), at=0).window == window


@pytest.mark.parametrize(("ago_s", "quiet"), [(604_800, False), (604_800.000001, True)])
def test_after_a_week_without_events_the_drawing_ends_a_minute_after_the_last(ago_s: float, *, quiet: bool) -> None:
    event = Phone("alice").event("logout", -ago_s)
    end_us = event.moment_us + MINUTE_US if quiet else BEGIN_US
    for window in (None, "1h"):
        assert drawn(event, Phone("bob").event("logout", -ago_s - 9), at=0, window=window).end_us == end_us
