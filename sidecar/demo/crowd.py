"""The users of the demo who have no story of their own: their day, from yesterday afternoon to now.

It is the day of an app whose users live in one time zone, where it is four in the afternoon now: an evening, a night
and a morning; at eleven a mobile network fails, and at half past one a release opens two connections that kick each
other. Now the mobile network fails again.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from sidecar.demo.devices import ANDROID, IPHONE, KINDS, client
from sidecar.demo.person import STILL, Act, Moments, Person, Plan
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedClient, SimulatedUser

# Names in many scripts, because user ids are free text and pages have to show them all.
_GIVEN: Final = (
    "amélie", "björn", "chidi", "dmitri", "elif", "fatima", "grzegorz", "hana", "ines", "jürgen", "kofi", "leila",
    "małgorzata", "nguyễn", "oluwaseun", "priya", "quentin", "rosa", "søren", "tomás", "uma", "valentina", "wei",
    "xóchitl", "yusuf", "zoë", "小林", "王芳", "김민준", "Ольга", "Ελένη", "سارة", "दीपक", "ณัฐ",
)  # fmt: skip
_FAMILY: Final = ("adeyemi", "costa", "dubois", "ito", "kowalski", "lee", "müller", "novák", "okafor", "singh")

# So many have a whole day; of the others a login, a logout and the last outage are enough to be counted.
WITH_A_DAY: Final = 400
_SHARES: Final = (30, 34, 22, 6, 5, 3)
"""Of the kinds of devices, in their order."""

GOOD_RELEASE, BAD_RELEASE, NEXT_RELEASE = "4.1.2", "4.2.0", "4.2.1"
_OUTAGE_H: Final = 5.0
_LAST_OUTAGE_MIN: Final = 3.0
# When a message to everybody wakes both connections of the bad release.
_PUSHES_MIN: Final = (155.0, 151.0, 146.0)
_ROLLED_BACK_MIN: Final = 130.0


def user_id(number: int) -> str:
    """The id of a user of the crowd: another one for each number."""
    given = _GIVEN[number % len(_GIVEN)]
    family = _FAMILY[number // len(_GIVEN) % len(_FAMILY)]
    lap = number // (len(_GIVEN) * len(_FAMILY))
    return f"{given}.{family}" + (str(lap + 1) if lap else "")


def person(number: int, moments: Moments, rng: Random) -> Person:
    """One of them."""
    (kind,) = rng.choices(range(len(KINDS)), _SHARES)
    if number >= WITH_A_DAY:
        return _of_few_events(number, kind, moments, rng)
    behaviour = _by_day(number, rng)
    has_bad_release = kind == ANDROID and number % 2 == 0
    version = BAD_RELEASE if has_bad_release else rng.choice((GOOD_RELEASE, GOOD_RELEASE, "4.1.0"))
    main = client(user_id(number), kind, behaviour, moments.ago(25), rng, app_version=version)
    clients = [main]
    plan = _presence(main, moments, rng) + _outages(main, kind, moments, rng)
    if has_bad_release:
        second = client(user_id(number), kind, STILL, moments.ago(25), rng, app_version=version)
        clients.append(second)
        plan += _kicks(main, second, moments, rng)
    plan += [(moments.end_us, lambda at_us: main.behave(_live(number, rng), at_us))]
    return Person(user=SimulatedUser(clients, one_device=has_bad_release), plan=plan)


def _by_day(number: int, rng: Random) -> Behaviour:
    """What is left to chance. Whoever is logged out by something logs in again a few minutes later."""
    forgets = number % 25 == 7  # noqa: PLR2004 - one in 25
    return Behaviour(
        first_login=None,
        outage_every=5 * 3_600,
        outage_lasts=(2.0, 70.0),
        stays=None,
        away=150.0,
        token_lives=6 * 3_600 if forgets else rng.choice((8 * 3_600, 2 * 86_400, 2 * 86_400)),
        renews=not forgets,
        refused=0.01,
        gives_up=300.0 if number % 20 == 0 else None,
    )


def _live(number: int, rng: Random) -> Behaviour:
    """From now on more happens, so that an open page moves, and too little for a storm to last.

    Those who are logged out return in a while.
    """
    return Behaviour(
        first_login=rng.uniform(5.0, 3_000.0),
        outage_every=1_500.0,
        outage_lasts=(1.0, 60.0),
        stays=4_000.0,
        away=900.0,
        token_lives=rng.choice((600.0, 3_600.0, 86_400.0)),
        renews=number % 25 != 7,  # noqa: PLR2004 - same
        refused=0.02,
        gives_up=300.0 if number % 20 == 0 else None,
    )


def _presence(main: SimulatedClient, moments: Moments, rng: Random) -> Plan:
    """When the user is there: yesterday evening, in the morning, and now."""
    plan: Plan = []
    by_day = main.behaviour

    def leaves(at_us: int) -> None:
        main.behave(STILL, at_us)
        main.log_out(at_us)

    def comes(at_us: int) -> None:
        main.behave(by_day, at_us)
        main.log_in(at_us)

    if rng.random() < 0.8:  # noqa: PLR2004 - a share, here and below
        plan.append((moments.ago(25 - rng.random()), comes))
        if rng.random() < 0.88:  # noqa: PLR2004
            plan.append((moments.ago(rng.triangular(16.5, 20.5, 18.2)), leaves))
    if rng.random() < 0.93:  # noqa: PLR2004
        plan.append((moments.ago(rng.triangular(6.0, 10.5, 8.2)), comes))
        if rng.random() < 0.25:  # noqa: PLR2004
            pause_h = rng.uniform(1.5, 5.5)
            plan += [(moments.ago(pause_h), leaves), (moments.ago(pause_h - rng.uniform(0.1, 1.0)), comes)]
        if rng.random() < 0.14:  # noqa: PLR2004
            plan.append((moments.ago(rng.triangular(0.02, 2.0, 0.2)), leaves))
    return plan


def _outages(main: SimulatedClient, kind: int, moments: Moments, rng: Random) -> Plan:
    """The mobile network fails for minutes; later that of one version of the SDK for less."""
    plan: Plan = []
    if kind not in {ANDROID, IPHONE}:
        return plan
    if rng.random() < 0.6:  # noqa: PLR2004 - a share, here and below
        plan.append(_loses(main, moments.ago(_OUTAGE_H, seconds=-rng.uniform(0, 40)), rng.uniform(200, 1_100)))
    if rng.random() < 0.5:  # noqa: PLR2004
        plan.append(_last_outage(main, moments, rng))
    return plan


def _last_outage(main: SimulatedClient, moments: Moments, rng: Random) -> tuple[int, Act]:
    """The one that lasts still."""
    return _loses(main, moments.ago(minutes=_LAST_OUTAGE_MIN, seconds=-rng.uniform(0, 30)), rng.uniform(60, 420))


def _loses(main: SimulatedClient, at_us: int, lasts_s: float) -> tuple[int, Act]:
    return at_us, lambda now_us: main.lose_network(now_us, lasts_s)


def _kicks(main: SimulatedClient, second: SimulatedClient, moments: Moments, rng: Random) -> Plan:
    """The second connection of the same device logs in whenever a message arrives, and the first one comes back."""
    plan: Plan = []
    for minutes in _PUSHES_MIN:
        at_us = moments.ago(minutes=minutes, seconds=-rng.uniform(0, 25))
        plan.append((at_us, lambda now_us: _pushed(main, second, now_us)))
    plan.append((moments.ago(minutes=_ROLLED_BACK_MIN), second.log_out))
    return plan


def _pushed(main: SimulatedClient, second: SimulatedClient, at_us: int) -> None:
    """The app is woken up if it is logged in; nobody else is."""
    if main.logged_in:
        main.behave(msgspec.structs.replace(main.behaviour, away=12.0), at_us)
        second.log_in(at_us)


def _of_few_events(number: int, kind: int, moments: Moments, rng: Random) -> Person:
    main = client(user_id(number), kind, STILL, moments.ago(25), rng, app_version=GOOD_RELEASE)
    plan: Plan = []
    if rng.random() < 0.85:  # noqa: PLR2004 - a share, here and below
        plan.append((moments.ago(rng.triangular(6.0, 10.5, 8.2)), main.log_in))
        if rng.random() < 0.15:  # noqa: PLR2004
            plan.append((moments.ago(rng.triangular(0.05, 5.0, 1.0)), main.log_out))
        elif kind in {ANDROID, IPHONE} and rng.random() < 0.2:  # noqa: PLR2004
            plan.append(_last_outage(main, moments, rng))
    plan += [(moments.end_us, lambda at_us: main.behave(_live(number, rng), at_us))]
    return Person(user=SimulatedUser([main]), plan=plan)
