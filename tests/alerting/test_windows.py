"""What the rules remember of very many users and alerts: who is offline, whom it befell, when to look at what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.alerting import kinds
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.book import Book
from sidecar.domain.alerting.distinct import Distinct
from sidecar.domain.alerting.offline import Offline
from sidecar.domain.alerting.queue import Queue
from sidecar.domain.alerting.storms import Member, Storm
from tests.support.memory import traced

SECOND_US = 1_000_000
APP = 1
USERS = 50_000
BYTES_OFFLINE = 260
BYTES_IN_A_STORM = 320
BYTES_COUNTED = 12
BYTES_OF_ALL_THAT_ENDED = 500_000
DAY_US = 86_400 * SECOND_US
TIMES = [1, 2, 3, 4, 5, 5, 5]

_WHO = st.sampled_from([(APP, name) for name in "abcde"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _WHO, st.integers(1, 6_000_000), st.booleans()),
        st.tuples(st.just("remove"), _WHO, st.just(0), st.just(value=False)),
        st.tuples(st.just("take"), _WHO, st.integers(1, 40_000_000), st.booleans()),
    ),
    max_size=60,
)


@given(_STEPS)
def test_who_is_offline_for_long_is_taken_once_each_time_and_nobody_else(
    steps: list[tuple[str, tuple[int, str], int, bool]],
) -> None:
    """Beside a plain table of who is offline, since when, and whether to look at it; moments do not go back."""
    offline = Offline()
    model: dict[tuple[int, str], tuple[int, bool]] = {}
    stands: set[tuple[int, str]] = set()
    now_us = 0
    for what, who, at_us, flag in steps:
        if what == "add":
            at_us = now_us = now_us + at_us  # noqa: PLW2901 - from a step to a moment
            # Whoever stands in the line is looked at, whatever it is told on the way.
            stands |= {who} if flag else set()
            model[who] = (at_us, who in stands)
            offline.add(who, at_us, look=flag)
        elif what == "remove" and who in model:
            del model[who]
            offline.remove(who)
        elif what == "take":
            most = 1 if flag else 100
            due = sorted((since_us, one) for one, (since_us, look) in model.items() if look and since_us <= at_us)
            taken = offline.take(at_us, most)
            assert len(taken) == min(most, len(due))
            assert {(since_us, one) for one, since_us in taken} <= set(due)
            for one, since_us in taken:
                model[one] = (since_us, False)
                stands.discard(one)
        waiting = [since_us for since_us, look in model.values() if look]
        # Who has left may stand in it further until its time has come.
        stands = {one for one in stands if one in model or what != "take"}
        assert not waiting or (offline.next_us or 0) <= min(waiting)
        assert {one for one in model if one in offline} == set(model)
        assert not any((APP, name) in offline for name in "abcde" if (APP, name) not in model)


def test_the_longest_offline_is_taken_first() -> None:
    offline = Offline()
    for at_us, name in ((2_500_000, "c"), (1_900_000, "b"), (1_100_000, "a"), (9_000_000, "d")):
        offline.add((APP, name), at_us, look=True)
    assert offline.next_us == 1_100_000
    assert offline.take(2_000_000, 100) == [((APP, "a"), 1_100_000), ((APP, "b"), 1_900_000)]
    assert offline.next_us == 2_500_000
    assert offline.take(2_499_999, 100) == []
    assert offline.take(10_000_000, 1) == [((APP, "c"), 2_500_000)]
    assert offline.take(10_000_000, 1) == [((APP, "d"), 9_000_000)]
    assert (APP, "d") in offline
    assert offline.next_us is None


def test_one_that_comes_and_goes_stands_in_the_line_once() -> None:
    offline = Offline()
    who = (APP, "a")
    for second in range(1, 100):
        offline.add(who, second * SECOND_US, look=True)
        offline.remove(who)
        assert who not in offline
    offline.add(who, 200 * SECOND_US, look=True)
    assert offline.take(199 * SECOND_US, 100) == []
    assert offline.take(200 * SECOND_US, 100) == [(who, 200 * SECOND_US)]
    assert offline.take(999 * SECOND_US, 100) == []


def test_a_user_that_is_offline_takes_little_memory() -> None:
    with traced() as grown:
        offline = Offline()
        for number in range(USERS):
            # As each event brings them: an id and a moment of its own.
            offline.add((APP, f"user-{number:07}"), SECOND_US * 1_700_000_000 + number * 500, look=True)
        assert grown() / USERS < BYTES_OFFLINE


def test_a_user_in_a_storm_takes_little_memory() -> None:
    with traced() as grown:
        storm = Storm(60 * SECOND_US)
        for number in range(USERS):
            # Decoded anew with each event, as the texts of traits are.
            traits = (str(b"Web", "ascii"), str(b"2.29.0", "ascii"), str(b"1.0", "ascii"))
            storm.add(f"user-{number:07}", Member(SECOND_US * 1_700_000_000 + number * 500, traits))
        assert grown() / USERS < BYTES_IN_A_STORM
        assert storm.common() == "100% on SDK 2.29.0, 100% on app 1.0, 100% on Web"


def test_different_ones_are_counted_exactly_in_little_memory() -> None:
    many = 200_000
    with traced() as grown:
        counted = Distinct(f"user-{number}" for number in range(many))
        assert grown() / many < BYTES_COUNTED
    assert len(counted) == many
    assert not any(counted.add(f"user-{number}") for number in range(many))
    assert counted.add("another")
    assert not counted.add("another")
    assert len(counted) == many + 1


_BEFELL = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abcdef"), st.sampled_from(["1", "2", None])),
        st.tuples(st.just("wait"), st.integers(1, 5), st.none()),
        st.tuples(st.sampled_from(["rage", "calm"]), st.none(), st.none()),
    ),
    max_size=60,
)


@given(_BEFELL)
def test_a_storm_counts_the_window_while_calm_and_all_since_it_began_while_it_rages(
    steps: list[tuple[str, Any, str | None]],
) -> None:
    window = 4
    storm = Storm(window)
    now, rages = 0, False
    recent: dict[str, tuple[int, str | None]] = {}
    counted: dict[str, str | None] = {}
    for what, value, version in steps:
        if what == "add":
            known = rages and value in counted
            recent.pop(value, None)
            recent[value] = (now, version)
            counted = counted if known else {**counted, value: version}
            storm.add(value, Member(now, ("Web", version, None)))
        elif what == "wait":
            now += value
            recent = {name: one for name, one in recent.items() if one[0] > now - window}
            storm.forget_before(now)
        else:
            rages = what == "rage"
            storm.rage() if rages else storm.calm()
        if not rages:
            counted = {name: version for name, (_, version) in recent.items()}
        assert storm.users == tuple(recent)
        assert storm.total == len(counted)
        versions = Counter(version for version in counted.values() if version)
        shares = [(count / len(counted), version) for version, count in versions.items() if count * 2 > len(counted)]
        said = [f"{share:.0%} on SDK {version}" for share, version in shares]
        assert storm.common() == ", ".join([*said, "100% on Web"] if counted else [])


_LOOKS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 20), st.integers(1, 30)),
        st.tuples(st.just("drop"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 3), st.integers(1, 30)),
    ),
    max_size=60,
)


@given(_LOOKS)
def test_an_alert_is_looked_at_when_its_moment_comes_unless_it_is_over(steps: list[tuple[str, int, int]]) -> None:
    queue = Queue()
    model: list[tuple[int, int]] = []
    dropped: set[int] = set()
    for what, number, at_us in steps:
        if what == "put" and number not in dropped:
            queue.put(at_us, number)
            model.append((at_us, number))
        elif what == "drop":
            queue.drop(number)
            dropped.add(number)
            model = [one for one in model if one[1] != number]
        elif what == "take":
            wanted: dict[int, None] = {}
            model.sort()
            while model and model[0][0] <= at_us and len(wanted) < number:
                wanted[model.pop(0)[1]] = None
            assert queue.take(at_us, number) == list(wanted)
        assert queue.next_us == min((at for at, _ in model), default=None)


def test_alerts_that_are_over_leave_the_queue_long_before_they_are_due() -> None:
    queue = Queue()
    goes_on = 5_000
    for number in range(200_000):
        queue.put(DAY_US + number, number)
        if number >= goes_on:
            queue.drop(number)
    assert len(queue) < 3 * goes_on
    assert queue.take(2 * DAY_US, 2 * goes_on) == list(range(goes_on))


class _NothingBefore:
    def by_fingerprints(self, _fingerprints: Sequence[str], /) -> Iterable[Alert]:
        return ()

    def by_ids(self, _ids: Sequence[int], /) -> Iterable[Alert]:
        return ()


def test_what_opens_and_ends_over_and_over_is_counted_in_little_memory() -> None:
    book = Book(_NothingBefore(), 1, times_counted=4)
    times = []
    with traced() as grown:
        for number in range(20_000):
            now_us = number * SECOND_US
            alert = book.cause(
                kinds.OFFLINE_TOO_LONG, Subject(APP, "a"), at_us=now_us, now_us=now_us, summary="", due_us=DAY_US
            )
            counted = book.times_opened(alert, now_us - 900 * SECOND_US)
            if number < len(TIMES):
                times.append(counted)
            book.resolve(alert, at_us=now_us, now_us=now_us, reason="")
            book.drain()
        assert grown() < BYTES_OF_ALL_THAT_ENDED
    assert times == TIMES
