"""Events folded into the lines of a list: logins, kicks to and fro, equal failures. Nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.parts import fold, timeline
from dashboard.parts.fold import Group
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.store.values import StoredEvent
from tests.support.events import Phone


def stored(events: Sequence[Event]) -> list[StoredEvent]:
    """Received in this order; as the store gives them, newest first."""
    return [StoredEvent(position, event) for position, event in enumerate(events, start=1)][::-1]


def folded(events: Sequence[Event]) -> list[Group]:
    received = stored(events)
    return fold.fold(received, timeline.causes_of_kicks(received))


def shapes(events: Sequence[Event]) -> list[tuple[str, int]]:
    """The kind and the number of events of each group, newest first."""
    return [(group.kind, len(group.stored)) for group in folded(events)]


def logs_in(phone: Phone, at: float) -> list[Event]:
    return [
        phone.login(at),
        phone.says("CONNECTING", "ACTIVE_LOGIN", at + 0.1),
        phone.says("CONNECTED", "SUCCESS", at + 0.3),
        phone.event("login_result", at + 0.31, details={"code": 0}),
    ]


def fails(phone: Phone, at: float, method: str = "sendMessage", code: int = 6000105) -> Event:
    return phone.event("api_error", at, details={"method": method, "code": code})


def kicked(phone: Phone, at: float) -> Event:
    return phone.says("DISCONNECTED", "KICKED_OUT", at)


def test_a_login_and_its_steps_are_one() -> None:
    assert shapes(logs_in(Phone("alice"), 0)) == [("login", 4)]


def test_a_login_that_is_pending_is_its_call_and_what_followed() -> None:
    phone = Phone("alice")
    assert shapes([phone.login(0), phone.says("CONNECTING", "ACTIVE_LOGIN", 1)]) == [("login", 2)]
    assert shapes([Phone("alice").login(0)]) == [("single", 1)]


def test_what_a_login_does_not_lead_to_is_a_line_of_its_own() -> None:
    phone = Phone("alice")
    events = [
        *logs_in(phone, 0),
        phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 9),
        phone.says("CONNECTED", "SUCCESS", 12),
    ]
    assert shapes(events) == [("single", 1), ("single", 1), ("login", 4)]


@pytest.mark.parametrize(
    "steps",
    [
        [("login_result", {"code": 6000103})],
        [("DISCONNECTED", "LOGIN_INTERRUPTED")],
        [("CONNECTING", "ACTIVE_LOGIN"), ("DISCONNECTED", "LOGIN_TIMEOUT"), ("login_result", {"code": 6000104})],
        [("CONNECTING", "ACTIVE_LOGIN"), ("login_result", {"code": 6000104}), ("DISCONNECTED", "LOGIN_INTERRUPTED")],
    ],
)
def test_a_login_that_failed_is_one(steps: list[tuple[str, Any]]) -> None:
    phone = Phone("dave")
    events = [phone.login(0)]
    for at, (what, more) in enumerate(steps, start=1):
        events.append(phone.says(what, more, at) if isinstance(more, str) else phone.event(what, at, details=more))
    assert shapes(events) == [("failed_login", len(events))]


def test_logins_of_two_devices_that_overlap_are_two() -> None:
    one, two = logs_in(Phone("bob", "phone"), 0), logs_in(Phone("bob", "desk"), 0.05)
    between = [event for pair in zip(one, two, strict=True) for event in pair]
    assert shapes(between) == [("login", 4), ("login", 4)]


def test_equal_failures_are_one_whatever_other_calls_fail_between_them() -> None:
    phone = Phone("erin")
    events = [fails(phone, at, method) for at, method in enumerate(["sendMessage", "queryHistory"] * 3)]
    assert shapes(events) == [("run", 3), ("run", 3)]
    assert shapes([fails(phone, 100), fails(phone, 101, code=6000121)]) == [("single", 1), ("single", 1)]


def test_failures_with_anything_else_between_them_are_apart() -> None:
    phone = Phone("erin")
    assert shapes([fails(phone, 0), phone.event("logout", 1), fails(phone, 2)]) == [("single", 1)] * 3


def test_failures_half_an_hour_apart_are_apart() -> None:
    phone = Phone("erin")
    gap_s = fold.GAP_US / 1_000_000
    assert shapes([fails(phone, 0), fails(phone, gap_s)]) == [("run", 2)]
    assert shapes([fails(phone, 10_000), fails(phone, 10_000 + gap_s + 1)]) == [("single", 1)] * 2


def test_logins_refused_with_the_same_code_are_one() -> None:
    phone = Phone("dave")
    events = []
    for at in (0, 10, 20):
        events += [phone.login(at), phone.event("login_result", at + 1, details={"code": 6000103})]
    assert shapes(events) == [("run", 6)]


def test_attempts_to_reconnect_are_one_though_another_device_reports_between_them() -> None:
    phone, desk = Phone("bob", "phone"), Phone("bob", "desk")
    events: list[Event] = []
    for at in range(0, 40, 4):
        events += [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at), desk.event("token_renewed", at, details={})]
    assert shapes(events)[0] == ("single", 1)
    assert ("run", 10) in shapes(events)


def to_and_fro(times: int, *, every: float = 180, names: tuple[str, str] = ("phone", "desk")) -> list[Event]:
    devices = [Phone("bob", name) for name in names]
    events = logs_in(devices[0], -every)
    for number in range(times):
        new, old = devices[(number + 1) % 2], devices[number % 2]
        login = logs_in(new, number * every)
        events += [*login[:2], kicked(old, number * every + 0.2), *login[2:]]
    return events


def test_kicks_to_and_fro_are_one_with_the_logins_that_caused_them() -> None:
    assert shapes(to_and_fro(9)) == [("ping_pong", 9 * 5), ("login", 4)]


def test_one_kick_is_no_ping_pong_and_nor_are_kicks_hours_apart() -> None:
    assert shapes(to_and_fro(1)) == [("login", 4), ("single", 1), ("login", 4)]
    assert "ping_pong" not in [kind for kind, _ in shapes(to_and_fro(3, every=3_600))]


def test_two_that_kick_out_the_same_third_device_play_no_ping_pong() -> None:
    third, events = Phone("carol", "tv"), []
    for number, name in enumerate(("phone", "desk")):
        at = number * 60
        events += [*logs_in(third, at), *logs_in(Phone("carol", name), at + 10), kicked(third, at + 10.5)]
    assert "ping_pong" not in [kind for kind, _ in shapes(events)]


def test_what_fails_in_a_ping_pong_stays_a_line_of_its_own() -> None:
    events = to_and_fro(4)
    events.insert(12, fails(Phone("bob", "tablet"), 200))
    assert sorted(kind for kind, _ in shapes(events)) == ["login", "ping_pong", "single"]


STEPS: list[Callable[[Phone, float], Event]] = [
    lambda phone, at: phone.login(at),
    lambda phone, at: phone.says("CONNECTING", "ACTIVE_LOGIN", at),
    lambda phone, at: phone.says("CONNECTED", "SUCCESS", at),
    lambda phone, at: phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at),
    lambda phone, at: phone.says("DISCONNECTED", "LOGIN_INTERRUPTED", at),
    kicked,
    lambda phone, at: phone.event("login_result", at, details={"code": 0}),
    lambda phone, at: phone.event("login_result", at, details={"code": 6000103}),
    fails,
    lambda phone, at: phone.event("logout", at),
    lambda phone, at: phone.event("token_will_expire", at, details={"second": 30}),
]
LIVES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, len(STEPS) - 1), st.integers(0, 2_400)), max_size=40)


def lived(life: Sequence[tuple[int, int, int]]) -> list[Event]:
    """Events of up to three devices, each moment of its own."""
    phones, at, events = [Phone("bob", name) for name in ("phone", "desk", "tv")], 0.0, []
    for number, (device, step, pause) in enumerate(life):
        at += pause + 0.001 * number
        events.append(STEPS[step](phones[device], at))
    return events


def parts_of(groups: Sequence[Group]) -> set[frozenset[bytes]]:
    return {frozenset(one.event.id for one in group.stored) for group in groups}


@settings(max_examples=40)
@given(LIVES, st.randoms())
def test_every_event_is_in_exactly_one_group_whatever_the_order_of_arrival(
    life: list[tuple[int, int, int]], chance: random.Random
) -> None:
    events = lived(life)
    groups = folded(events)
    found = sorted(one.position for group in groups for one in group.stored)
    assert found == list(range(1, len(events) + 1))
    assert [group.newest for group in groups] == sorted((group.newest for group in groups), reverse=True)
    assert all(group.newest == max(one.position for one in group.stored) for group in groups)
    chance.shuffle(events)
    assert parts_of(folded(events)) == parts_of(groups)


def pages(received: list[StoredEvent], rows: int, read: int) -> list[list[Group]]:
    """All pages, each from at most ``read`` events before the position at which it begins."""
    found, before = [], None
    while True:
        left = [one for one in received if before is None or one.position < before]
        some = left[:read]
        part = fold.part(some, timeline.causes_of_kicks(some), rows=rows, is_all=len(some) < read)
        found.append(part.groups)
        if part.before is None or not some:
            return found
        assert before is None or part.before < before
        before = part.before


@settings(max_examples=40)
@given(LIVES, st.integers(1, 8), st.integers(8, 40))
def test_the_pages_have_each_event_once_and_a_bounded_number_of_lines(
    life: list[tuple[int, int, int]], rows: int, read: int
) -> None:
    received = stored(lived(life))
    found = pages(received, rows, read)
    positions = sorted(one.position for page in found for group in page for one in group.stored)
    assert positions == list(range(1, len(received) + 1))
    assert all(len(page) <= rows for page in found)


def has_what_its_line_says(group: Group) -> bool:
    events = [one.event for one in group.stored]
    if group.kind == "ping_pong":
        return sum(1 for event in events if event.connection_event == "KICKED_OUT") >= 2
    if group.kind in {"login", "failed_login"}:
        return len(events) > 1 and any(event.type == "login" for event in events)
    return (len(events) > 1) == (group.kind == "run")


@settings(max_examples=100)
@given(LIVES, st.integers(0, 6), st.integers(1, 8), st.randoms(use_true_random=True))
def test_a_group_that_a_page_cuts_is_of_the_kind_that_is_left(
    life: list[tuple[int, int, int]], kicks: int, rows: int, chance: random.Random
) -> None:
    """Received in any order, so that a page ends in the midst of logins and of kicks to and fro."""
    events = [*lived(life), *to_and_fro(kicks, names=("tablet", "watch"))]
    chance.shuffle(events)
    found = pages(stored(events), rows, 40)
    assert all(len(page) <= rows for page in found)
    assert all(has_what_its_line_says(group) for page in found for group in page)


def test_a_page_ends_where_no_group_is_cut_in_two() -> None:
    phone = Phone("alice")
    events = [event for at in range(30) for event in logs_in(phone, at * 60)]
    found = pages(stored(events), rows=8, read=400)
    assert [len(page) for page in found] == [8, 8, 8, 6]
    assert {group.kind for page in found for group in page} == {"login"}


def test_logins_of_many_devices_at_once_are_cut_rather_than_left_out() -> None:
    devices = [logs_in(Phone("mallory", f"device {number}"), number / 1_000) for number in range(20)]
    events = [event for step in zip(*devices, strict=True) for event in step]
    found = pages(stored(events), rows=8, read=400)
    assert all(len(page) <= 8 for page in found)
    assert sum(len(group.stored) for page in found for group in page) == len(events)


def test_folding_looks_at_each_cause_once() -> None:
    """However many kicks there are: the causes are given, and not looked for again."""
    received = stored(to_and_fro(40))
    looked: list[int] = []

    class Counting(dict[int, Cause]):
        def get(self, key: int, default: Any = None) -> Any:
            looked.append(key)
            return super().get(key, default)

    fold.fold(received, Counting(timeline.causes_of_kicks(received)))
    assert len(looked) <= len(received)
