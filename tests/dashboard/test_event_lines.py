"""What the lines of "What happened" say, and what they have raw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.parts import event_lines, fold, timeline
from dashboard.parts.event_lines import Line, Reader
from sidecar.domain.events import Event
from sidecar.store.values import StoredEvent
from tests.dashboard.test_fold import LIVES, fails, kicked, lived, logs_in, pages, stored, to_and_fro
from tests.support.events import BEGIN_US, Phone


def lines(events: Sequence[Event], view: Any = None) -> list[Line]:
    received = stored(events)
    causes = timeline.causes_of_kicks(received)
    reader = Reader(letters=timeline.letters([], received), causes=causes, event_view=view)
    return event_lines.lines(fold.fold(received, causes), reader)


def said(*events: Event) -> list[tuple[str, str, str]]:
    return [(line.sentence.text, line.repeats, line.sentence.kind) for line in lines(events)]


def test_a_login_says_how_long_it_took_and_when_it_began() -> None:
    (line,) = lines(logs_in(Phone("alice"), 5))
    assert (line.sentence.text, line.sentence.kind) == ("Logged in, 0.3 s", "good")
    assert line.at_us == BEGIN_US + 5_000_000
    assert (line.position, line.newest) == (1, 4)


def test_a_login_that_is_pending_is_not_called_done() -> None:
    phone = Phone("alice")
    assert said(phone.login(0), phone.says("CONNECTING", "ACTIVE_LOGIN", 1)) == [("Login started", "", "login")]


def test_an_offline_login_is_called_so() -> None:
    phone = Phone("alice")
    login = phone.event("login", 0, details={"offline_login": True})
    assert said(login, phone.says("CONNECTED", "SUCCESS", 0.04)) == [("Logged in offline, 0.0 s", "", "good")]


def test_a_refused_login_has_its_code_in_words() -> None:
    phone = Phone("dave")
    (line,) = lines([phone.login(0), phone.event("login_result", 1, details={"code": 6000106})])
    assert (line.sentence.text, line.sentence.note) == ("Login failed", "6000106: the token has expired")


def test_equal_failures_are_counted_with_their_span() -> None:
    phone = Phone("erin")
    events = [fails(phone, at) for at in (0, 60, 540)]
    assert said(*events) == [("sendMessage failed", "3 times in 9 min", "bad")]
    again = [event for at in (600, 610) for event in (
        phone.login(at), phone.event("login_result", at + 1, details={"code": 6000103})
    )]  # fmt: skip
    assert said(*again) == [("Login failed", "2 times in 11 s", "bad")]


def test_attempts_to_reconnect_are_counted() -> None:
    phone = Phone("alice")
    events = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at) for at in range(0, 60, 4)]
    assert said(*events) == [("Network lost, reconnecting", "15 attempts in 56 s", "plain")]


def test_kicks_to_and_fro_say_how_often_and_who_was_last() -> None:
    block, _login = lines(to_and_fro(9))
    assert block.sentence.text == "2 devices kicked each other out, 9 times in 24 min"
    assert block.letters == ("A", "B")
    last = timeline.letters([], stored(to_and_fro(9)))[Phone("bob", "phone").client_id]
    assert block.sentence.note == f"last kicked out: device {last}"


def test_kicks_between_windows_of_one_device_are_called_that() -> None:
    events = [msgspec.structs.replace(event, device_id="laptop") for event in to_and_fro(3)]
    assert lines(events)[0].sentence.text == "Connections of one device kicked each other out, 3 times in 6 min"


def test_one_kick_names_the_device_that_caused_it() -> None:
    phone, desk = Phone("carol", "phone"), Phone("carol", "desk")
    received = [*logs_in(phone, 0), *logs_in(desk, 60), kicked(phone, 60.2)]
    by = timeline.letters([], stored(received))[desk.client_id]
    assert lines(received)[0].sentence.text == f"Kicked out by the login on device {by}"


def test_a_line_has_its_newest_events_raw_and_counts_the_others() -> None:
    seen: list[int] = []

    def view(one: StoredEvent) -> dict[str, Any]:
        seen.append(one.position)
        return {"position": one.position}

    (line, _login) = lines(to_and_fro(9), view)
    assert (len(line.raw), line.not_raw) == (event_lines.RAW_OF_A_LINE, 45 - event_lines.RAW_OF_A_LINE)
    assert '"position": 49' in line.raw[0]
    assert len(seen) == event_lines.RAW_OF_A_LINE + 4


def test_what_is_raw_on_a_page_is_bounded() -> None:
    phone = Phone("mallory")
    events = [phone.event("logout", at) for at in range(100)]
    found = lines(events, lambda _one: {"text": "x" * 60_000})
    assert all(len(text) <= event_lines.RAW_CHARACTERS + 2 for line in found for text in line.raw)
    most = event_lines.RAW_OF_A_PAGE + event_lines.RAW_CHARACTERS + 100 * (event_lines.RAW_FEWEST + 2)
    assert sum(len(text) for line in found for text in line.raw) <= most


def test_without_a_view_nothing_is_raw() -> None:
    (line,) = lines(logs_in(Phone("alice"), 0))
    assert line.raw == ()


def page_lines(received: list[StoredEvent], rows: int, read: int) -> list[list[Line]]:
    """The lines of all pages."""
    reader = Reader(letters=timeline.letters([], received), causes=timeline.causes_of_kicks(received))
    return [event_lines.lines(groups, reader) for groups in pages(received, rows, read)]


@settings(max_examples=100)
@given(LIVES, st.integers(0, 6), st.integers(1, 8), st.integers(8, 40), st.randoms(use_true_random=True))
def test_every_page_has_a_line_for_each_group_whatever_the_order_of_arrival(
    life: list[tuple[int, int, int]], kicks: int, rows: int, read: int, chance: random.Random
) -> None:
    """Random events and a block of kicks to and fro, received in any order."""
    events = [*lived(life), *to_and_fro(kicks, names=("tablet", "watch"))]
    chance.shuffle(events)
    received = stored(events)
    found = page_lines(received, rows, read)
    assert all(line.sentence.text for page in found for line in page)
    assert sum(line.not_raw for page in found for line in page) == len(received)


def test_what_a_page_has_of_kicks_to_and_fro_is_said_without_the_kicks() -> None:
    """The steps of a login were received after its kick, and the page ends between the two."""
    phone, desk, other = (Phone("bob", name) for name in ("phone", "desk", "other"))
    events = logs_in(phone, 0)
    login, *steps = logs_in(desk, 60)
    events += [login, kicked(phone, 60.1), *steps]
    login, *steps = logs_in(phone, 120)
    events += [login, kicked(desk, 120.1), fails(other, 121, "queryUsersInfo"), *steps]
    found = page_lines(stored(events), rows=1, read=400)
    said = [line.sentence.text for page in found for line in page]
    assert said[:4] == ["Login succeeded", "Connected", "Connecting", "queryUsersInfo failed"]
    assert said[4:] == ["2 devices kicked each other out, 2 times in 1 min", "Logged in, 0.3 s"]
