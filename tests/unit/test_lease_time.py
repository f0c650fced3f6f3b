"""Leases count only time in which somebody listened, by a clock that only goes forward."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.lease_time import STRETCHES_KEPT, LeaseClock, LeaseTime, Stretch
from sidecar.store import lease_time
from tests.support.clocks import DAY_S, Machine
from tests.support.events import SECOND_US

LEASE_US = 45 * SECOND_US


class Listening:
    """Zimwatch on a machine, looking at its clocks every second."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.clock = LeaseClock((), None, machine_us=self.machine.now_us, steady_us=self.machine.steady_us)

    def for_(self, seconds: int) -> None:
        for _ in range(seconds):
            self.machine.passes(1)
            self.look()

    def look(self) -> None:
        self.clock.look(machine_us=self.machine.now_us, steady_us=self.machine.steady_us)

    def restarts(self, down_s: float) -> None:
        alive_us = self.machine.now_us
        self.machine.restarts(down_s=down_s)
        self.clock = LeaseClock(
            self.clock.stretches, alive_us, machine_us=self.machine.now_us, steady_us=self.machine.steady_us
        )

    def is_silent(self, seen_at_us: int) -> bool:
        time = self.clock.at(self.machine.steady_us)
        return time.is_past(seen_at_us + LEASE_US, begun_us=seen_at_us)


@pytest.fixture
def zimwatch() -> Listening:
    return Listening()


def test_a_lease_lasts_as_long_as_it_should(zimwatch: Listening) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(45)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


@pytest.mark.parametrize("down_s", [1, 3600, 30 * DAY_S, -DAY_S])
def test_down_time_is_no_silence_and_what_was_left_of_a_lease_runs_from_the_start(
    zimwatch: Listening, down_s: int
) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(40)
    zimwatch.restarts(down_s)
    zimwatch.for_(5)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


def test_who_was_silent_before_a_stop_is_so_after_it(zimwatch: Listening) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(46)
    zimwatch.restarts(3600)
    assert zimwatch.is_silent(seen)


def test_many_short_runs_add_up_to_one_lease(zimwatch: Listening) -> None:
    seen = zimwatch.machine.now_us
    for _ in range(9):
        zimwatch.for_(5)
        zimwatch.restarts(600)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)
    for _ in range(300):
        zimwatch.restarts(1)
    assert len(zimwatch.clock.stretches) == STRETCHES_KEPT


@pytest.mark.parametrize("days", [1, -1, 400, -400])
def test_a_clock_that_is_set_ends_no_lease_and_lengthens_none(zimwatch: Listening, days: int) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(10)
    zimwatch.machine.is_set_by(days * DAY_S)
    assert not zimwatch.is_silent(seen)  # nobody has looked at the clocks yet
    zimwatch.for_(35)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


@pytest.mark.parametrize("days", [1, -1])
def test_a_sign_of_life_right_after_the_clock_was_set_counts_from_then(zimwatch: Listening, days: int) -> None:
    zimwatch.for_(10)
    zimwatch.machine.is_set_by(days * DAY_S)
    seen = zimwatch.machine.now_us  # before anybody looked
    zimwatch.for_(45)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


def test_a_clock_that_drifts_is_not_taken_for_one_that_was_set(zimwatch: Listening) -> None:
    for _ in range(100):
        zimwatch.machine.is_set_by(0.005)
        zimwatch.for_(1)
    assert len(zimwatch.clock.stretches) == 1


small = st.integers(-2_000, 2_000)


@settings(deadline=None)  # a database for each example
@given(
    stretches=st.lists(st.builds(Stretch, small, small), min_size=1, max_size=5),
    now=small,
    before=st.integers(0, 500),
    begun=small,
    lease=st.integers(0, 500),
)
def test_sql_and_python_agree_on_what_is_past(
    stretches: list[Stretch], now: int, before: int, begun: int, lease: int
) -> None:
    time = LeaseTime(now, tuple(stretches))
    earlier = LeaseTime(now - before, tuple(stretches))
    until = begun + lease
    past = lease_time.is_past("until", "begun", time)
    ended = lease_time.ended_between("until", "begun", earlier, time)
    with closing(sqlite3.connect(":memory:")) as connection:
        sql = f"SELECT {past}, {ended} FROM (SELECT ? AS until, ? AS begun)"
        found = connection.execute(sql, (until, begun)).fetchone()
    over = time.is_past(until, begun_us=begun)
    skipped = time.skipped_us(begun)
    assert bool(found[0]) is over
    assert bool(found[1]) is (over and not until - skipped < earlier.now_us)
