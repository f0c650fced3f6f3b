"""The made-up day: the same for one seed, in the past, and in bounds."""

from __future__ import annotations

import pytest

from sidecar.demo.day import LASTS_US, Report, day
from sidecar.demo.personas import PERSONAS
from sidecar.domain import rfc3339
from sidecar.domain.units import MINUTE_US, SECOND_US

END_US = 1_795_534_200 * SECOND_US
NAMES = [make.__name__ for make in PERSONAS]


def _of(past: list[Report], user_id: str) -> list[Report]:
    return [one for one in past if one.event["user_id"] == user_id]


def test_one_seed_and_moment_give_one_day() -> None:
    assert day(40, end_us=END_US, seed=7).past == day(40, end_us=END_US, seed=7).past
    assert day(40, end_us=END_US, seed=7).past != day(40, end_us=END_US, seed=8).past


def test_the_day_of_one_is_the_same_however_many_others_there_are() -> None:
    few, many = (day(users, end_us=END_US, seed=7) for users in (25, 60))
    for user_id in {str(one.event["user_id"]) for one in few.past}:
        assert _of(few.past, user_id) == _of(many.past, user_id)


@pytest.mark.parametrize("users", [0, 1, 3, 18, 90])
def test_there_are_as_many_people_as_wanted_the_personas_first(users: int) -> None:
    people = [one.user.clients[0].user_id for one in day(users, end_us=END_US, seed=7).people]
    assert len(set(people)) == len(people) == users
    assert people[: len(NAMES)] == NAMES[:users]


def test_nothing_is_of_the_future_or_of_before() -> None:
    made = day(60, end_us=END_US, seed=7)
    moments = [rfc3339.microseconds(str(one.event["occurred_at"])) for one in made.past]
    assert moments == [one.at_us for one in made.past]
    assert moments == sorted(moments)
    assert moments[0] >= END_US - LASTS_US
    assert moments[-1] <= END_US
    assert {str(one.event["user_id"]) for one in made.past} >= set(NAMES)


def test_people_go_on_where_their_past_ends() -> None:
    made = day(60, end_us=END_US, seed=7)
    newest = {str(one.event["client_id"]): int(one.event["seq"]) for one in made.past}
    later = [event for one in made.people for event in one.advance(END_US + 10 * MINUTE_US)]
    assert later
    for event in later:
        client_id = str(event["client_id"])
        assert int(event["seq"]) == newest.get(client_id, 0) + 1
        newest[client_id] = int(event["seq"])


@pytest.mark.parametrize(("users", "most"), [(200, 15_000), (1_000, 25_000)])
def test_a_day_has_a_bounded_number_of_events(users: int, most: int) -> None:
    assert 20 * users < len(day(users, end_us=END_US, seed=7).past) < most
