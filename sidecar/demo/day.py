"""A made-up day: who is there, and what they reported in the 25 hours until now. The same for one seed and moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from random import Random
from typing import Final

import msgspec

from sidecar.demo import crowd, personas
from sidecar.demo.person import Moments, Person
from sidecar.domain.units import HOUR_US
from sidecar.sdk.recording.recorder import WireEvent, made_at_us

# An hour more than the pages show, so that they do not begin with everybody logging in.
LASTS_US: Final = 25 * HOUR_US


class Report(msgspec.Struct, frozen=True):
    """An event by a clock that is right, when that is, and how far the clock of its device is ahead."""

    at_us: int
    event: WireEvent
    clock_off_us: int


def reports(events: Iterable[WireEvent], clock_off_us: int) -> list[Report]:
    """Events of the devices of one user."""
    return [Report(made_at_us(event), event, clock_off_us) for event in events]


class Day(msgspec.Struct, frozen=True):
    """``people`` continue from ``end_us``; ``past`` is what they reported until then, oldest first."""

    end_us: int
    people: list[Person]
    past: list[Report]


def day(users: int, *, end_us: int, seed: int, without: Sequence[str] = ()) -> Day:
    """A day of so many users at most, the personas first, but for those named by ``without``.

    Each has its own chance, so that the day of one is the same however many others there are.
    """
    moments = Moments(end_us)
    named = [make for make in personas.PERSONAS if make.__name__ not in without]
    people = [make(moments, Random(f"{seed} {make.__name__}")) for make in named[:users]]  # noqa: S311 - a simulation
    people += [
        crowd.person(number, moments, Random(f"{seed} {number}"))  # noqa: S311 - same
        for number in range(users - len(people))
    ]
    past = [one for who in people for one in reports(who.past(end_us - LASTS_US, end_us), who.clock_off_us)]
    past.sort(key=attrgetter("at_us"))
    return Day(end_us, people, past)
