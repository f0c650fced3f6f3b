"""The message plan of a receiver: which notifications are sent one by one, which as a digest, and which wait."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.alerts.message_plan import (
    Caps,
    Grouping,
    Planned,
    Sent,
    Waiting,
)
from sidecar.domain.units import SECOND_US


class Receiver:
    """Plans for one receiver among others; planned messages count as sent, which is the only state."""

    def __init__(self, *, own: int = 100, overall: int = 100, alone: int = 2, interval: int = 30) -> None:
        self.caps = Caps(own=own, overall=overall, alone=alone, interval_us=interval * SECOND_US)
        self.sent: list[Sent] = []

    def plan(self, waiting: list[Waiting], at: int, ended: frozenset[int] = frozenset()) -> list[Planned]:
        planned = Grouping("ops", self.caps, self.sent, at * SECOND_US).plan(waiting, ended)
        for one in planned:
            group = None if one.is_digest else one.notifications[0].group
            self.sent.append(Sent(receiver="ops", what=one.what, at_us=at * SECOND_US, group=group))
        return planned


def firing(number: int, at: int, group: str = "kicks", what: str = "firing", **more: Any) -> Waiting:
    given = {"id": number, "answers": None, "digest": False, "suppressed_by": None, "acknowledged": False} | more
    return Waiting(
        alert_id=number, what=what, group=group, due_us=at * SECOND_US, firing_delivered=True, fires=True, **given
    )


def over(number: int, at: int, what: str = "resolved", answers: int | None = None, *, digest: bool = False) -> Waiting:
    return firing(number, at, what=what, id=1_000 + number, answers=answers or number, digest=digest)


def ids_of(planned: list[Planned]) -> list[list[int]]:
    return [[one.id for one in each.notifications] for each in planned]


def test_a_group_is_sent_one_by_one_again_once_its_interval_has_passed() -> None:
    ops = Receiver(alone=2, interval=30)
    assert ids_of(ops.plan([firing(1, 0), firing(2, 0)], at=0)) == [[1], [2]]
    assert ids_of(ops.plan([firing(3, 29)], at=29)) == []
    assert ids_of(ops.plan([firing(4, 30)], at=30)) == [[4]]
    assert ids_of(ops.plan([firing(5, 31), firing(6, 31)], at=31)) == []


def test_what_a_receiver_has_not_accepted_counts_and_leaves_room_for_others() -> None:
    ops = Receiver(own=2, overall=3, alone=10)
    for number in (1, 2):
        ops.sent.append(Sent(receiver="ops", what="firing", at_us=0, is_pending=True, group=f"old {number}"))
    assert ids_of(ops.plan([firing(3, 600)], at=600)) == []
    chat = Grouping("chat", ops.caps, ops.sent, 600 * SECOND_US)
    assert ids_of(chat.plan([firing(4, 600)], frozenset())) == [[4]]


def test_more_than_the_limit_is_one_digest_at_once_and_then_one_every_interval() -> None:
    ops = Receiver(alone=1, interval=30)
    assert ids_of(ops.plan([firing(1, 0), firing(2, 0)], at=0)) == [[1, 2]]
    waiting = [firing(3, 5), firing(4, 10), firing(5, 20)]
    assert ids_of(ops.plan(waiting, at=29)) == []
    assert ids_of(ops.plan(waiting, at=30)) == [[3, 4, 5]]


def test_more_than_the_limit_after_single_messages_waits_for_the_interval() -> None:
    ops = Receiver(alone=1, interval=30)
    ops.plan([firing(1, 0)], at=0)
    waiting = [firing(2, 5), firing(3, 10), firing(4, 20)]
    assert ids_of(ops.plan(waiting, at=29)) == []
    assert ids_of(ops.plan(waiting, at=30)) == [[2, 3, 4]]


def test_with_messages_all_the_time_a_digest_follows_when_its_first_has_waited_for_the_interval() -> None:
    ops = Receiver(alone=1, interval=30)
    ops.sent += [Sent(receiver="ops", what="firing", at_us=at * SECOND_US, group="kicks") for at in range(40)]
    waiting = [firing(2, 5), firing(3, 10)]
    assert ids_of(ops.plan(waiting, at=34)) == []
    assert ids_of(ops.plan(waiting, at=35)) == [[2, 3]]


def test_a_digest_does_not_count_as_a_single_message() -> None:
    ops = Receiver(alone=1, interval=30)
    assert ids_of(ops.plan([firing(1, 0), firing(2, 0)], at=30)) == [[1, 2]]
    assert ids_of(ops.plan([firing(3, 31)], at=31)) == [[3]]


def test_groups_repetitions_and_receivers_do_not_count_for_each_other() -> None:
    ops = Receiver(alone=1)
    ops.sent.append(Sent(receiver="desk", what="firing", at_us=0, group="kicks"))
    waiting = [firing(1, 0), firing(2, 0, group="tokens"), firing(3, 0, what="repeat")]
    assert ids_of(ops.plan(waiting, at=0)) == [[1], [2], [3]]
    assert ids_of(ops.plan([firing(4, 1), firing(5, 1, what="repeat")], at=1)) == []


def test_with_a_limit_of_none_everything_is_sent_as_digests() -> None:
    ops = Receiver(alone=0, interval=30)
    assert ids_of(ops.plan([firing(1, 0), firing(2, 0)], at=0)) == [[1, 2]]
    assert ids_of(ops.plan([firing(3, 1)], at=29)) == []
    assert ids_of(ops.plan([firing(3, 1)], at=30)) == [[3]]


def test_firing_alerts_are_sent_however_many_ends_wait() -> None:
    ops = Receiver(own=8, overall=100)
    ends = [over(number, 0) for number in range(1_000)]
    for at in range(0, 600, 5):
        fires = firing(5_000 + at, at, group=str(at)) if at % 30 == 0 else None
        planned = ops.plan([*ends, fires] if fires else ends, at=at)
        assert fires is None or planned[0].notifications == (fires,)
        gone = {one.id for each in planned for one in each.notifications}
        ends = [one for one in ends if one.id not in gone]
    assert 1_000 - len(ends) == 60  # six a minute: a quarter is reserved for firing alerts


def test_ends_to_others_leave_room_for_firing_alerts_here() -> None:
    ops = Receiver(own=30, overall=8)
    ops.sent += [Sent(receiver="desk", what="resolved", at_us=0, group="kicks")] * 6
    assert ids_of(ops.plan([over(1, 0)], at=0)) == []
    assert ids_of(ops.plan([over(1, 0), firing(2, 0)], at=0)) == [[2]]


def test_a_limit_of_one_message_a_minute_sends_ends_too() -> None:
    ops = Receiver(own=1)
    assert ids_of(ops.plan([over(1, 0), firing(2, 0)], at=0)) == [[2]]
    assert ids_of(ops.plan([over(1, 0)], at=59)) == []
    assert ids_of(ops.plan([over(1, 0)], at=60)) == [[1001]]


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    ops = Receiver(own=2, alone=2)
    ops.sent += [Sent(receiver="ops", what="firing", at_us=86_400 * SECOND_US, group="kicks")] * 2
    assert ids_of(ops.plan([firing(1, 0)], at=0)) == [[1]]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from("ab"), st.booleans()), max_size=80),
    st.integers(1, 6),
    st.integers(0, 4),
)
def test_no_minute_exceeds_the_limit_and_no_notification_is_lost(
    notifications: list[tuple[int, str, bool]], most: int, alone: int
) -> None:
    ops = Receiver(own=100, overall=most, alone=alone)
    waiting = [
        over(number, second) if ends else firing(number, second, group)
        for number, (second, group, ends) in enumerate(notifications)
    ]
    gone: list[int] = []
    second = 0
    while len(gone) < len(waiting):
        due = [one for one in waiting if one.due_us <= second * SECOND_US and one.id not in gone]
        gone += [one for each in ids_of(ops.plan(due, at=second)) for one in each]
        second += 1
        assert second < 20_000
    assert sorted(gone) == sorted(one.id for one in waiting)
    moments = [one.at_us for one in ops.sent]
    assert all(sum(begin <= one < begin + 60 * SECOND_US for one in moments) <= most for begin in moments)


def test_the_end_of_a_digest_is_one_message_once_all_of_it_is_over() -> None:
    ends = [over(1, 0, answers=77, digest=True), over(2, 0, answers=77, digest=True), over(3, 0)]
    assert ids_of(Receiver().plan(ends, at=0)) == [[1003]]
    alone, digest = Receiver().plan(ends, at=0, ended=frozenset({77}))
    assert ids_of([alone]) == [[1003]]
    assert digest == Planned("resolved", tuple(ends[:2]), 77)
    assert (alone.is_digest, digest.is_digest) == (False, True)


def test_of_a_digest_only_its_end_is_notified() -> None:
    acknowledged = over(1, 0, what="acknowledged", answers=77, digest=True)
    assert Receiver().plan([acknowledged], at=0, ended=frozenset({77})) == []
    assert ids_of(Receiver().plan([over(1, 0, what="acknowledged")], at=0)) == [[1001]]


def test_an_end_that_follows_no_message_goes_alone() -> None:
    unanswered = firing(1, 0, what="resolved", digest=True)
    assert ids_of(Receiver().plan([unanswered], at=0)) == [[1]]


def test_a_message_of_this_moment_counts() -> None:
    ops = Receiver(alone=1)
    assert ids_of(ops.plan([firing(1, 0)], at=0)) == [[1]]
    assert ids_of(ops.plan([firing(2, 0)], at=0)) == []


def test_what_just_fits_a_minute_goes_one_by_one() -> None:
    both = [firing(1, 0), firing(2, 0)]
    assert ids_of(Receiver(own=2).plan(both, at=0)) == [[1], [2]]
    assert ids_of(Receiver(own=1).plan(both, at=0)) == [[1, 2]]


def test_repetitions_that_do_not_fit_are_a_digest_of_what_fires() -> None:
    (digest,) = Receiver(own=1).plan([firing(1, 0, what="repeat"), firing(2, 0)], at=0)
    assert (digest.what, digest.is_digest) == ("firing", True)


def test_a_digest_of_a_group_is_what_its_parts_are() -> None:
    (digest,) = Receiver(alone=0).plan([firing(1, 0, what="repeat"), firing(2, 0, what="repeat")], at=30)
    assert (digest.what, digest.is_digest, digest.answers) == ("repeat", True, None)


def test_a_quarter_of_a_minute_is_kept_for_what_fires_and_one_message_at_least() -> None:
    for most, ends in ((1, 1), (2, 1), (3, 2), (4, 3), (7, 6), (8, 6), (30, 23)):
        waiting = [over(number, 0) for number in range(100)]
        assert len(Receiver(own=most).plan(waiting, at=0)) == ends
        assert len(Receiver(overall=most).plan(waiting, at=0)) == ends


def test_more_messages_than_may_go_now_leave_room_for_none() -> None:
    ops = Receiver(own=2, overall=2)
    ops.sent += [Sent(receiver="ops", what="firing", at_us=0)] * 5
    assert ops.plan([firing(1, 0, group="a"), over(2, 0), over(3, 0)], at=0) == []
    assert ops.plan([over(2, 0), over(3, 0)], at=59) == []
    assert ids_of(ops.plan([over(2, 0), over(3, 0)], at=60)) == [[1002]]
