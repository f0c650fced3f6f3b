"""Leases count only the time in which Zimwatch accepts events, on a clock that only moves forward."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.lease import STRETCHES_KEPT, LeaseClock, Leases, LeaseTime, Stretch
from sidecar.domain.units import SECOND_US
from sidecar.store.users import leases
from tests.support.clocks import DAY_S, Machine

LEASE_US = 45 * SECOND_US


class Listening:
    """Zimwatch on a machine, comparing its clocks every second."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.clock = LeaseClock((), None, machine_us=self.machine.now_us, steady_us=self.machine.steady_us)

    def for_(self, seconds: int) -> None:
        for _ in range(seconds):
            self.machine.passes(1)
            self.look()

    def look(self) -> None:
        self.clock.compare(machine_us=self.machine.now_us, steady_us=self.machine.steady_us)

    def refuses(self, seconds: int) -> None:
        for _ in range(seconds):
            self.machine.passes(1)
            self.clock.compare(machine_us=self.machine.now_us, steady_us=self.machine.steady_us, accepts=False)
        self.machine.passes(1)
        self.look()

    def restarts(self, down_s: float, *, lost_s: int = 0) -> None:
        """``lost_s``: it was not recorded that Zimwatch ran for so long."""
        alive_us = self.machine.now_us - lost_s * SECOND_US
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


def test_a_lease_lasts_for_its_duration(zimwatch: Listening) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(45)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


@pytest.mark.parametrize("down_s", [1, 3600, 30 * DAY_S, -DAY_S])
def test_downtime_does_not_count_and_the_rest_of_a_lease_runs_after_the_start(zimwatch: Listening, down_s: int) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(40)
    zimwatch.restarts(down_s)
    zimwatch.for_(5)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


def test_a_lease_that_ended_before_a_stop_stays_ended(zimwatch: Listening) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(46)
    zimwatch.restarts(3600)
    assert zimwatch.is_silent(seen)


def test_short_runs_add_up_to_one_lease(zimwatch: Listening) -> None:
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
def test_setting_the_clock_neither_ends_nor_extends_a_lease(zimwatch: Listening, days: int) -> None:
    seen = zimwatch.machine.now_us
    zimwatch.for_(10)
    zimwatch.machine.is_set_by(days * DAY_S)
    assert not zimwatch.is_silent(seen)  # nobody has looked at the clocks yet
    zimwatch.for_(35)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


@pytest.mark.parametrize("days", [1, -1])
def test_a_sign_of_life_after_the_clock_was_set_counts_from_then(zimwatch: Listening, days: int) -> None:
    zimwatch.for_(10)
    zimwatch.machine.is_set_by(days * DAY_S)
    seen = zimwatch.machine.now_us  # before anybody looked
    zimwatch.for_(45)
    assert not zimwatch.is_silent(seen)
    zimwatch.for_(1)
    assert zimwatch.is_silent(seen)


def test_a_drifting_clock_does_not_count_as_set(zimwatch: Listening) -> None:
    for _ in range(100):
        zimwatch.machine.is_set_by(0.005)
        zimwatch.for_(1)
    assert len(zimwatch.clock.stretches) == 1


def test_a_sign_of_life_just_after_the_known_end_of_a_stretch_is_not_of_an_hour_before() -> None:
    hour_us = 3_600 * SECOND_US
    back = Stretch(0, -hour_us)
    ended_us = hour_us + 10 * SECOND_US
    paused = LeaseTime(ended_us, (Stretch(-hour_us, 0), back), paused_us=5 * SECOND_US)
    assert paused.sign_us(12 * SECOND_US) == ended_us  # of before a pause that has not ended
    crashed = LeaseTime(
        ended_us + SECOND_US, (Stretch(-hour_us, 0), back, Stretch(5 * hour_us, 4 * hour_us - 10_000_000))
    )
    assert crashed.sign_us(12 * SECOND_US) == ended_us  # of the last seconds before the crash
    assert crashed.skipped_at_sign_us(5 * hour_us) == 4 * hour_us - 10 * SECOND_US
    assert crashed.skipped_at_sign_us(2_000 * SECOND_US) == 0


def test_a_sign_of_life_just_before_a_crash_is_not_of_before_the_clock_was_set_back_by_some_seconds() -> None:
    back = Stretch(60 * SECOND_US, -30 * SECOND_US)
    started = Stretch(150 * SECOND_US, 40 * SECOND_US)  # 80 s was known as the end before
    time = LeaseTime(120 * SECOND_US, (Stretch(0, 0), back, started))
    assert time.lease_us(85 * SECOND_US) == 85 * SECOND_US
    assert time.sign_us(85 * SECOND_US) == 110 * SECOND_US


def test_a_sign_of_life_is_not_of_a_stretch_that_ended_before_when_the_clock_was_set_back() -> None:
    back, again = Stretch(60 * SECOND_US, -30 * SECOND_US), Stretch(45 * SECOND_US, -60 * SECOND_US)
    time = LeaseTime(110 * SECOND_US, (Stretch(0, 0), back, again))
    assert time.sign_us(85 * SECOND_US) == 85 * SECOND_US  # the clock was set at 75 s, and shows 50 s now


def test_a_sign_of_life_counts_as_of_no_later_than_when_its_stretch_ended() -> None:
    back, forward = Stretch(0, -90 * SECOND_US), Stretch(40 * SECOND_US, -60 * SECOND_US)
    time = LeaseTime(110 * SECOND_US, (Stretch(-300 * SECOND_US, 0), back, forward))
    assert time.sign_us(30 * SECOND_US) == 100 * SECOND_US  # not 120 s, which is to come


def test_where_signs_of_life_may_be_of_before_later_times_is_told_by_the_ends_of_stretches() -> None:
    hour_us = 3_600 * SECOND_US
    back, started = Stretch(0, -hour_us), Stretch(hour_us, -10 * SECOND_US)
    crashed = LeaseTime(hour_us + 20 * SECOND_US, (Stretch(-hour_us, 0), back, started))
    assert crashed.ends_before_later_times() == [
        70 * SECOND_US,
        10 * SECOND_US,
    ]  # of a crash the last seconds are not known
    assert LeaseTime(hour_us, (Stretch(0, 0),)).ends_before_later_times() == []


steps = st.one_of(
    st.tuples(st.just("listens"), st.integers(1, 50), st.just(0)),
    st.tuples(st.just("is set"), st.sampled_from((-3_600, -70, -30, -2, 2, 30, 3_600)), st.just(0)),
    st.tuples(st.just("refuses"), st.integers(2, 50), st.just(0)),
    st.tuples(st.just("crashes"), st.integers(0, 100), st.integers(0, 5)),
)


@given(course=st.lists(steps, max_size=12))
def test_no_sign_of_life_counts_as_older_than_it_is(course: list[tuple[str, int, int]]) -> None:
    """Nor does one count as much older later on: so no lease ends long before the sweep is to check it."""
    zimwatch = Listening()
    signs: list[tuple[int, int]] = []
    counted: dict[int, int] = {}
    accepted_s = 0
    for what, seconds, lost_s in [("listens", 5, 0), *course, ("listens", 5, 0)]:
        for _ in range({"listens": seconds, "crashes": lost_s}.get(what, 0)):
            zimwatch.for_(1)
            accepted_s += 1
            signs.append((zimwatch.machine.now_us, accepted_s))
        if what == "is set":
            zimwatch.machine.is_set_by(seconds)
            zimwatch.look()
        elif what == "refuses":
            zimwatch.refuses(seconds)
            accepted_s += 2  # until it is noticed, and since the last look
        elif what == "crashes":
            zimwatch.restarts(seconds, lost_s=lost_s)
        time = zimwatch.clock.at(zimwatch.machine.steady_us)
        older = [
            at_us for at_us, at_s in signs if time.now_us - time.sign_us(at_us) > (accepted_s - at_s + 1) * SECOND_US
        ]
        assert not older
        counts = {at_us: time.sign_us(at_us) for at_us, _ in signs}
        assert not [at_us for at_us, was_us in counted.items() if counts[at_us] < was_us - 6 * SECOND_US]
        counted = counts


def test_a_sign_of_life_of_before_the_clock_was_set_back_by_some_seconds_counts_from_then() -> None:
    time = LeaseTime(100 * SECOND_US, (Stretch(0, 0), Stretch(60 * SECOND_US, -30 * SECOND_US)))
    assert time.skipped_at_sign_us(80 * SECOND_US) == time.skipped_us(80 * SECOND_US) == 0


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
    past = leases.is_past("until", "begun", time)
    ended = leases.ended_between("until", "begun", earlier, time)
    with closing(sqlite3.connect(":memory:")) as connection:
        sql = f"SELECT {past}, {ended} FROM (SELECT ? AS until, ? AS begun)"
        found = connection.execute(sql, (until, begun)).fetchone()
    over = time.is_past(until, begun_us=begun)
    skipped = time.skipped_us(begun)
    assert bool(found[0]) is over
    assert bool(found[1]) is (over and not until - skipped < earlier.now_us)


def test_leases_are_short_with_heartbeats_and_long_without() -> None:
    leases_of = Leases()
    assert leases_of.until_us(0, sends_heartbeats=True) == 45 * SECOND_US
    assert leases_of.until_us(0, sends_heartbeats=False) == 24 * 3600 * SECOND_US


BEGIN = Stretch(0, 0)


@pytest.mark.parametrize(("kept", "alive_us"), [((), None), ((), 500), ((BEGIN, Stretch(10, 5)), None)])
def test_lease_time_begins_with_the_machines_clock(kept: tuple[Stretch, ...], alive_us: int | None) -> None:
    clock = LeaseClock(kept, alive_us, machine_us=1_000, steady_us=70)
    assert clock.at(77) == LeaseTime(1_007, (BEGIN,)) == LeaseTime.without_skips(1_007)


def test_lease_time_continues_where_it_stopped() -> None:
    clock = LeaseClock((BEGIN, Stretch(10, 5)), 500, machine_us=1_000, steady_us=70)
    time = clock.at(77)
    assert time == LeaseTime(502, (BEGIN, Stretch(10, 5), Stretch(1_000, 505)))
    assert time.machine_us == 1_007


def test_time_stands_still_from_the_first_pause_until_events_are_accepted() -> None:
    clock = LeaseClock((), None, machine_us=0, steady_us=10)
    clock.pause(20)
    clock.pause(30)
    assert clock.compare(machine_us=30 * SECOND_US, steady_us=10 + 30 * SECOND_US, accepts=False) is None
    assert clock.at(10 + 50 * SECOND_US).now_us == 10
    begun = clock.compare(machine_us=60 * SECOND_US, steady_us=10 + 60 * SECOND_US)
    assert begun == clock.stretches[-1] == Stretch(30 * SECOND_US, 60 * SECOND_US - 10)
    assert clock.at(10 + 60 * SECOND_US) == LeaseTime(10, (BEGIN, begun))
    assert clock.at(12 + 60 * SECOND_US).now_us == 12


def test_refusing_events_pauses_lease_time() -> None:
    clock = LeaseClock((), None, machine_us=0, steady_us=10)
    clock.compare(machine_us=5, steady_us=15, accepts=False)
    assert clock.at(99).now_us == 5


@pytest.mark.parametrize("off_us", [1_000_000, -1_000_000])
def test_a_clock_was_set_when_it_is_off_by_more_than_a_second(off_us: int) -> None:
    clock = LeaseClock((), None, machine_us=0, steady_us=0)
    assert clock.compare(machine_us=7 + off_us, steady_us=7) is None
    more_us = off_us + (1 if off_us > 0 else -1)
    assert clock.compare(machine_us=9 + more_us, steady_us=9) == Stretch(7 + more_us, more_us)
    assert clock.compare(machine_us=9 + 2 * more_us, steady_us=9) == Stretch(9 + 2 * more_us, 2 * more_us)


def test_the_newest_128_stretches_are_kept() -> None:
    clock = LeaseClock((), None, machine_us=0, steady_us=0)
    for number in range(1, 200):
        clock.compare(machine_us=number * 2 * SECOND_US, steady_us=0)
    assert len(clock.stretches) == 128
    assert clock.stretches[-1].skipped_us == 199 * 2 * SECOND_US
    assert len(LeaseClock(clock.stretches, 0, machine_us=0, steady_us=0).stretches) == 128


@pytest.mark.parametrize(
    ("at_us", "skipped_us"),
    [(-1, 1), (0, 1), (99, 1), (101, 1), (102, 1), (199, 1), (200, 50), (349, 50), (350, 50), (351, 50)],
)
def test_a_moment_belongs_to_its_stretch(at_us: int, skipped_us: int) -> None:
    time = LeaseTime(300, (Stretch(0, 1), Stretch(200, 50)))
    assert list(time.newest_first()) == [(Stretch(200, 50), 350), (Stretch(0, 1), 151)]
    assert time.skipped_us(at_us) == skipped_us


@pytest.mark.parametrize(("at_us", "skipped_us"), [(-1, 9), (0, 9), (49, 9), (50, 2), (57, 2), (120, 2), (121, 2)])
def test_where_the_clock_was_set_back_the_newest_stretch_counts(at_us: int, skipped_us: int) -> None:
    time = LeaseTime(118, (Stretch(0, 9), Stretch(50, 2)))
    assert [ends_us for _, ends_us in time.newest_first()] == [120, 57]
    assert time.skipped_us(at_us) == skipped_us


def test_a_moment_just_after_a_stretch_that_a_crash_ended_is_not_in_one_of_an_hour_before() -> None:
    time = LeaseTime(1_050, (Stretch(0, 0), Stretch(400, -600)))
    assert [ends_us for _, ends_us in time.newest_first()] == [450, 1_000]
    assert [time.skipped_us(at_us) for at_us in (450, 1_000, 1_002)] == [-600, 0, 0]


def test_a_moment_after_the_newest_stretch_belongs_to_an_older_one_that_lasted_longer() -> None:
    time = LeaseTime(53, (Stretch(0, 0), Stretch(60, 20), Stretch(50, 2)))
    assert [ends_us for _, ends_us in time.newest_first()] == [55, 68, 40]
    assert [time.skipped_us(at_us) for at_us in (55, 56, 60, 68, 69)] == [2, 2, 20, 20, 20]
