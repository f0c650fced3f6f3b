"""The timeline as a picture: lanes, bars, marks, tokens, and who kicked whom."""

from __future__ import annotations

import pytest

from dashboard import timeline
from dashboard.times import DAY_US, MINUTE_US, SECOND_US
from sidecar.domain.events import Event
from sidecar.store.records import StoredEvent
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
    assert [(mark.count, mark.told.kind) for mark in lane.marks] == [(3, "bad")]


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


@pytest.mark.parametrize("off_us", [-400 * DAY_US, 400 * DAY_US])
def test_a_clock_a_year_off_does_not_stretch_the_picture(off_us: int) -> None:
    event = Phone("mallory").event("logout", 0, occurred_at_us=BEGIN_US + off_us, received_at_us=BEGIN_US)
    picture = drawn(event, at=10)
    assert picture.window == "5m"
    assert picture.lanes[0].marks[0].at_us == BEGIN_US


def test_forty_devices_have_forty_lanes_and_forty_names() -> None:
    events = [Phone("mallory", f"device {number}").says("CONNECTED", "SUCCESS", number) for number in range(40)]
    picture = drawn(*events, at=60)
    assert len({lane.letter for lane in picture.lanes}) == 40
    assert {"A", "Z", "AA", "AN"} <= {lane.letter for lane in picture.lanes}
    assert picture.height > 40 * timeline.LANE


def test_a_device_that_was_quiet_is_counted_and_left_out() -> None:
    old, new = Phone("bob", "old"), Phone("bob", "new")
    events = [old.says("DISCONNECTED", "SUCCESS", 0), new.says("CONNECTED", "SUCCESS", 7_200)]
    picture = drawn(*events, at=7_210, window="15m")
    assert [lane.client_id for lane in picture.lanes] == [new.client_id]
    assert picture.quiet_lanes == 1
