"""Logins, outages and sessions follow from a client's events, in whatever order these arrive within the settle time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.episodes import Reported, found_at
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, made_id

SETTLE_US = 30 * SECOND_US
CONNECTED, RECONNECTING = ("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED")
ENDED, KICKED = ("DISCONNECTED", "SUCCESS"), ("DISCONNECTED", "KICKED_OUT")


def reported(what: str | tuple[str, str], seq: int, *, session: str | None = "a", at: int | None = None) -> Reported:
    """The event number ``seq``, a second after the one before it; received at once, or ``at`` seconds."""
    state, event = (None, None) if isinstance(what, str) else what
    code = int(what.partition(":")[2] or 0) if isinstance(what, str) and ":" in what else None
    return Reported(
        position=seq,
        id=made_id(f"event {seq}"),
        type=what.partition(":")[0] if isinstance(what, str) else "connection_state_changed",
        moment_us=BEGIN_US + seq * SECOND_US,
        received_at_us=BEGIN_US + (seq if at is None else at) * SECOND_US,
        client_id=made_id("client"),
        seq=seq,
        app_id=1,
        session_id=None if session is None else made_id(session),
        user_id="alice",
        connection_state=state,
        connection_event=event,
        platform=None,
        sdk_name=None,
        sdk_version=None,
        starts_trace=False,
        code=code,
    )


def course(*whats: Any, session: str | None = "a") -> list[Reported]:
    return [reported(what, seq, session=session) for seq, what in enumerate(whats, 1)]


def found(known: Sequence[Reported]) -> list[tuple[str, int, int, bool]]:
    """Kind, first and last event, and whether it failed, of every episode of these events."""
    ended = [one for event in known for one in found_at(event, known, SETTLE_US).ended]
    return sorted((one.kind, one.start.seq, one.end.seq, one.has_failed) for one in ended)


@pytest.mark.parametrize(
    ("whats", "episodes"),
    [
        (["login", CONNECTED, ENDED], [("login", 1, 2, False), ("session", 1, 3, False)]),
        (["login", CONNECTED, KICKED, "logout"], [("login", 1, 2, False), ("session", 1, 3, True)]),
        (["login", "login", CONNECTED], [("login", 1, 3, False)]),
        (["login", "login_result:6000103"], [("login", 1, 2, True), ("session", 1, 2, True)]),
        (["login", CONNECTED, "login_result:0"], [("login", 1, 2, False)]),
        (["login", ("DISCONNECTED", "LOGIN_TIMEOUT")], [("login", 1, 2, True), ("session", 1, 2, True)]),
        ([CONNECTED, RECONNECTING, RECONNECTING, CONNECTED], [("outage", 2, 4, False)]),
        ([CONNECTED, RECONNECTING, KICKED], [("outage", 2, 3, True), ("session", 1, 3, True)]),
        ([CONNECTED, RECONNECTING, "logout", RECONNECTING, ENDED], [("outage", 2, 3, False), ("session", 1, 3, False)]),
        (["token_will_expire", ENDED, "logout"], []),
    ],
)  # fmt: skip
def test_each_episode_has_its_first_and_its_last_event(
    whats: list[Any], episodes: list[tuple[str, int, int, bool]]
) -> None:
    assert found(course(*whats)) == episodes


def test_without_sessions_a_client_has_one_after_the_other() -> None:
    known = course("login", CONNECTED, ENDED, "login", CONNECTED, ENDED, session=None)
    assert [one[1:3] for one in found(known) if one[0] == "session"] == [(1, 3), (4, 6)]


def test_a_session_names_the_one_before_it() -> None:
    known = [*course("login", CONNECTED, ENDED), reported("login", 4, session="b"), reported(CONNECTED, 5, session="b")]
    begun = [found_at(event, known, SETTLE_US) for event in known]
    assert [one.begins_session for one in begun] == [True, False, False, True, False]
    assert begun[3].previous_session_id == made_id("a")
    assert begun[0].previous_session_id is None


WHATS = st.sampled_from(["login", "logout", "login_result:6000103", CONNECTED, RECONNECTING, ENDED, KICKED])


@given(st.lists(WHATS, max_size=12), st.randoms(use_true_random=False))
def test_any_order_of_arrival_within_the_settle_time_is_the_same(whats: list[Any], chance: random.Random) -> None:
    in_order = course(*whats)
    arrivals = [one.received_at_us for one in in_order]
    chance.shuffle(arrivals)
    mixed = [msgspec.structs.replace(one, received_at_us=at) for one, at in zip(in_order, arrivals, strict=True)]
    chance.shuffle(mixed)
    assert found(mixed) == found(in_order)


@given(st.lists(st.tuples(WHATS, st.integers(0, 200)), max_size=14))
def test_no_episode_ends_twice_however_late_events_are(given_events: list[tuple[Any, int]]) -> None:
    known = [reported(what, seq, at=at) for seq, (what, at) in enumerate(given_events, 1)]
    starts = [one[:2] for one in found(known)]
    assert len(starts) == len(set(starts))


def test_a_late_end_does_not_change_an_outage_that_has_settled() -> None:
    outage = [reported(what, seq) for seq, what in ((1, CONNECTED), (2, RECONNECTING), (5, CONNECTED))]
    late = reported(CONNECTED, 3, at=100)
    assert found([*outage, late]) == found(outage) == [("outage", 2, 5, False)]
    in_time = reported(CONNECTED, 3, at=20)
    assert found([*outage, in_time]) == [("outage", 2, 3, False)]
