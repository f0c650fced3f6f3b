"""The intervals of a device: its states and its tokens."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.parts import intervals
from sidecar.domain.events import Event
from sidecar.domain.session import Session
from sidecar.domain.status import Status
from sidecar.domain.units import SECOND_US
from sidecar.store.values import StoredEvent
from tests.support.events import BEGIN_US, Phone


def us(second: float) -> int:
    return BEGIN_US + round(second * SECOND_US)


def row(status: Status = "online", **more: Any) -> Session:
    given: dict[str, Any] = dict.fromkeys(Session.__struct_fields__) | {"client_id": b"", "status": status}
    return Session(**given | more)


def states(*events: Event, row: Session | None = None, begin: float = 0, end: float = 100) -> list[Any]:
    own = [StoredEvent(position, event) for position, event in enumerate(events, start=1)]
    found = intervals.states(own, row, us(begin), us(end))
    return [((one - BEGIN_US) / SECOND_US, (two - BEGIN_US) / SECOND_US, kind) for one, two, kind in found]


def tokens(*events: Event, row: Session | None = None, begin: float = 0, edge: float = 100) -> list[Any]:
    own = [StoredEvent(position, event) for position, event in enumerate(events, start=1)]
    found = intervals.tokens(own, row, us(begin), us(edge))
    return [tuple((one - BEGIN_US) / SECOND_US for one in times) for times in found]


def moves(phone: Phone) -> list[Event]:
    return [
        phone.says("CONNECTING", "ACTIVE_LOGIN", 10),
        phone.says("CONNECTED", "SUCCESS", 20),
        phone.says("CONNECTED", "SUCCESS", 30),
        phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 40),
        phone.says("DISCONNECTED", "SUCCESS", 50),
    ]


def test_each_state_lasts_until_the_next_one() -> None:
    expected = [(10, 20, "connecting"), (20, 40, "online"), (40, 50, "offline"), (50, 100, "not_logged_in")]
    assert states(*moves(Phone("alice"))) == expected
    assert states(*moves(Phone("alice"))[::-1]) == expected


def test_states_are_cut_to_the_window() -> None:
    events = moves(Phone("alice"))
    assert states(*events, begin=25, end=45) == [(25, 40, "online"), (40, 45, "offline")]
    assert states(*events, begin=40, end=50) == [(40, 50, "offline")]
    assert states(*events, begin=0, end=10) == []


def test_without_events_the_row_says_the_state() -> None:
    assert states(row=row(since_us=us(-5))) == [(0, 100, "online")]
    assert states(row=row("offline", since_us=us(5))) == [(5, 100, "offline")]
    assert states(row=row()) == []
    assert states(Phone("alice").says("CONNECTED", "SUCCESS", 20), row=row("offline", since_us=us(5))) == [
        (20, 100, "online")
    ]


@pytest.mark.parametrize("event", ["heartbeat", "api_error", "token_will_expire"])
def test_what_shapes_no_state_begins_none(event: str) -> None:
    alice = Phone("alice")
    assert states(alice.says("CONNECTED", "SUCCESS", 20), alice.event(event, 30)) == [(20, 100, "online")]
    assert states(alice.event(event, 10)) == []


def test_a_client_that_connects_while_it_is_logged_in_or_after_a_logout_is_not_connecting() -> None:
    alice = Phone("alice")
    online = alice.says("CONNECTED", "SUCCESS", 10)
    assert states(online, alice.says("CONNECTING", "X", 20)) == [(10, 100, "online")]
    ended = [online, alice.event("logout", 20), alice.says("CONNECTING", "X", 30)]
    assert states(*ended) == [(10, 20, "online"), (20, 100, "not_logged_in")]
    again = alice.login(40), alice.says("CONNECTING", "X", 50)
    assert states(*ended, *again)[-1] == (40, 100, "connecting")


def test_a_clock_that_was_set_back_hides_no_state() -> None:
    alice = Phone("alice")
    online = [alice.says("CONNECTING", "X", 50), alice.says("CONNECTED", "SUCCESS", 60)]
    events = [*online, alice.says("RECONNECTING", "X", 20), alice.event("logout", 70)]
    assert states(*events) == [
        (50, 60, "connecting"), (60, 60, "online"), (60, 70, "offline"), (70, 100, "not_logged_in")
    ]  # fmt: skip


def login(at: float, ends: float | None, **more: Any) -> Event:
    return Phone("dave").event("login", at, details={"token_expires_at_us": None if ends is None else us(ends)} | more)


def renewed(at: float, ends: float | None, **more: Any) -> Event:
    details = {"token_expires_at_us": None if ends is None else us(ends)} | more
    return Phone("dave").event("token_renewed", at, details=details)


def test_a_token_lasts_to_its_end_or_to_the_next_one() -> None:
    assert tokens(login(10, 50)) == [(10, 50, 50)]
    assert tokens(login(10, 50), renewed(30, 90)) == [(10, 30, 50), (30, 90, 90)]
    assert tokens(login(10, 20), renewed(30, 90, code=0)) == [(10, 20, 20), (30, 90, 90)]
    assert tokens(login(10, 500)) == [(10, 100, 500)]


def test_only_accepted_tokens_whose_end_is_known_are_drawn() -> None:
    assert tokens(login(10, None)) == []
    assert tokens(login(10, 50), renewed(30, 90, code=6_000_103)) == [(10, 50, 50)]
    other = Phone("dave").event("login_result", 20, details={"token_expires_at_us": us(90)})
    assert tokens(login(10, 50), other) == [(10, 50, 50)]


def test_tokens_are_cut_to_the_window() -> None:
    assert tokens(login(10, 50), begin=20) == [(20, 50, 50)]
    assert tokens(login(10, 50), begin=50) == []
    assert tokens(login(10, 50), begin=49.999999) == [(49.999999, 50, 50)]
    assert tokens(login(10, 50), edge=10) == []
    assert tokens(login(10, 50), edge=10.000001) == [(10, 10.000001, 50)]


def test_without_events_the_row_says_the_token() -> None:
    assert tokens(row=row(token_expires_at_us=us(50), login_at_us=us(20))) == [(20, 50, 50)]
    assert tokens(row=row(token_expires_at_us=us(50))) == [(0, 50, 50)]
    assert tokens(row=row(login_at_us=us(20))) == []
    assert tokens(login(10, 60), row=row(token_expires_at_us=us(50))) == [(10, 60, 60)]
