"""The users of the demo to find by name: each has one of the troubles that people call support about."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from sidecar.demo.devices import ANDROID, IPHONE, WEB, WINDOWS, client
from sidecar.demo.person import STILL, Act, Moments, Person, Plan
from sidecar.domain import error_codes
from sidecar.domain.server_view import ServerStatus
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.domain.units import DAY_US, MINUTE_US, MS_US
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedClient, SimulatedUser

REAL_USER: Final = "alice"
"""The user of the real SDK where Node.js is installed; else simulated."""

# For so long after the present there is a plan: half a day.
_EVERY_TEN_MINUTES: Final = range(-10, -720, -10)
_WELL: Final = msgspec.structs.replace(STILL, first_outage=20.0, outage_every=900.0)


def alice(moments: Moments, rng: Random) -> Person:
    """Online, but for short network outages."""
    one = _client(REAL_USER, WEB, moments, rng)
    return _person(one, [(moments.ago(8), one.log_in), (moments.end_us, _behaves(one, _WELL))])


def alice_from_now(now_us: int, rng: Random) -> Person:
    """The same without a past."""
    one = _client(REAL_USER, WEB, Moments(now_us), rng)
    one.behave(msgspec.structs.replace(_WELL, first_login=0.1), now_us)
    return _person(one, [])


def bob(moments: Moments, rng: Random) -> Person:
    """Two devices: the phone loses the network now and then, and the user stays online by the other."""
    phone, desk = _client("bob", ANDROID, moments, rng), _client("bob", WINDOWS, moments, rng)
    restless = msgspec.structs.replace(STILL, first_outage=5.0, outage_every=900.0, outage_lasts=(5.0, 40.0))
    plan: Plan = [(moments.ago(9), phone.log_in), (moments.ago(7), desk.log_in)]
    plan += _outages(phone, moments, (400, 320, 170, 95, 50))
    return _person([phone, desk], [*plan, (moments.end_us, _behaves(phone, restless))])


def carol(moments: Moments, rng: Random) -> Person:
    """Two devices that kick each other: whichever is kicked out logs in again."""
    phone, browser = _client("carol", IPHONE, moments, rng), _client("carol", WEB, moments, rng)
    fights = msgspec.structs.replace(STILL, first_login=60.0, away=150.0)
    plan: Plan = [(moments.ago(8.5), phone.log_in)]
    plan += [
        (moments.ago(minutes=minutes), (browser, phone)[at % 2].log_in)
        for at, minutes in enumerate((29, 26, 22.5, 19, 16, 12, 9, 5, 2))
    ]
    plan += [(moments.end_us, _behaves(one, fights)) for one in (phone, browser)]
    return Person(user=SimulatedUser([phone, browser], one_device=True), plan=plan)


def dave(moments: Moments, rng: Random) -> Person:
    """An app that is warned and renews no token; it keeps calling."""
    one = _client("dave", WEB, moments, rng)
    forgets = msgspec.structs.replace(STILL, token_lives=3_600.0, renews=False)
    again = msgspec.structs.replace(forgets, first_login=420.0, away=420.0, token_lives=120.0)
    plan: Plan = [(moments.ago(minutes=64), _behaves(one, forgets)), (moments.ago(minutes=64), one.log_in)]
    plan += [(moments.ago(minutes=minutes), one.call) for minutes in (3.2, 2.6, 1.4, 0.6)]
    return _person(one, [*plan, (moments.end_us, _behaves(one, again))])


def erin(moments: Moments, rng: Random) -> Person:
    """Online, and yet messages fail: the connection is open, and nothing comes back."""
    one = _client("erin", ANDROID, moments, rng)
    silent = msgspec.structs.replace(STILL, unanswered=True)
    plan: Plan = [(moments.ago(7.6), one.log_in), (moments.ago(minutes=12), _behaves(one, silent))]
    plan += [(moments.ago(minutes=minutes), one.call) for minutes in (10.2, 9.6, 7.1, 4.8, 3.3, 1.2)]
    return _person(one, [*plan, (moments.end_us, _behaves(one, msgspec.structs.replace(silent, calls_every=90.0)))])


def frank(moments: Moments, rng: Random) -> Person:
    """The app's server makes tokens with a wrong secret: every login is refused."""
    one = _client("frank", WEB, moments, rng)
    refused = msgspec.structs.replace(STILL, refused=1.0, refusal=(error_codes.TOKEN_INVALID, "Token is invalid."))
    plan: Plan = [(moments.ago(minutes=30), _behaves(one, refused))]
    plan += [(moments.ago(minutes=minutes), one.log_in) for minutes in (14, 13.5, 11, 6, 1.5)]
    return _person(one, [*plan, (moments.end_us, _behaves(one, _again(refused)))])


def grace(moments: Moments, rng: Random) -> Person:
    """The Wi-Fi of a hotel: the network is lost for some seconds every other minute."""
    one = _client("grace", IPHONE, moments, rng)
    hotel = msgspec.structs.replace(STILL, outage_every=100.0, outage_lasts=(3.0, 30.0))
    plan: Plan = [(moments.ago(minutes=50), one.log_in)]
    plan += _outages(one, moments, (24, 22.2, 20, 18.3, 15, 13, 11.5, 9, 7.2, 5, 3.4, 1.5))
    return _person(one, [*plan, (moments.end_us, _behaves(one, hotel))])


def heidi(moments: Moments, rng: Random) -> Person:
    """A phone that sleeps: nothing has come from it since."""
    one = _client("heidi", ANDROID, moments, rng)
    return _person(one, [(moments.ago(3.4), one.log_in), (moments.ago(minutes=22), one.suspend)])


def ivan(moments: Moments, rng: Random) -> Person:
    """The app calls login, and nothing ever comes of it."""
    one = _client("ivan", ANDROID, moments, rng)
    unanswered = msgspec.structs.replace(STILL, unanswered=True)
    return _person(one, [(moments.ago(minutes=8), _behaves(one, unanswered)), (moments.ago(minutes=7), one.log_in)])


def judy(moments: Moments, rng: Random) -> Person:
    """The clock of the device is a year ahead, so that every token looks expired."""
    one = _client("judy", WINDOWS, moments, rng)
    refused = msgspec.structs.replace(STILL, refused=1.0)
    plan: Plan = [(moments.ago(minutes=30), _behaves(one, refused))]
    plan += [(moments.ago(minutes=minutes), one.log_in) for minutes in (16, 12, 3)]
    plan.append((moments.end_us, _behaves(one, _again(refused))))
    return Person(user=SimulatedUser([one]), plan=plan, clock_off_us=365 * DAY_US)


def niaj(moments: Moments, rng: Random) -> Person:
    """Connected, as the app says; ZEGO's server knows nothing of it."""
    one = _client("niaj", WEB, moments, rng)
    return _person(one, [(moments.ago(2.2), one.log_in)])


def olivia(moments: Moments, rng: Random) -> Person:
    """The users of the app's plan are used up for today."""
    one = _client("olivia", IPHONE, moments, rng)
    refusal = (6_000_015, "The number of daily active users exceeds the limit of the plan.")
    refused = msgspec.structs.replace(STILL, refused=1.0, refusal=refusal)
    plan: Plan = [(moments.ago(minutes=30), _behaves(one, refused))]
    plan += [(moments.ago(minutes=minutes), one.log_in) for minutes in (9, 8.4, 4)]
    return _person(one, [*plan, (moments.end_us, _behaves(one, _again(refused)))])


def peggy(moments: Moments, rng: Random) -> Person:
    """An SDK of years ago, which gives up reconnecting after five minutes."""
    one = _client("peggy", ANDROID, moments, rng, app_version="3.2.0", sdk_version="2.8.0")
    gives_up = msgspec.structs.replace(STILL, gives_up=300.0)
    plan: Plan = [(moments.ago(8.1), _behaves(one, gives_up)), (moments.ago(8), one.log_in)]
    plan += [(moments.ago(minutes=18), _loses(one, 900.0)), (moments.ago(minutes=6), one.log_in)]
    return _person(one, plan)


def rupert(moments: Moments, rng: Random) -> Person:
    """The app calls login again while it is logging in."""
    one = _client("rupert", WEB, moments, rng)
    return _person(one, _after_logins(one, moments, (26, 8), 40, one.log_in_again))


def sybil(moments: Moments, rng: Random) -> Person:
    """The app sends before the SDK is connected."""
    one = _client("sybil", ANDROID, moments, rng)
    return _person(one, _after_logins(one, moments, (27, 4), 30, one.call))


def trent(moments: Moments, rng: Random) -> Person:
    """Kicked out, by a device that does not report to Zimwatch."""
    one = _client("trent", IPHONE, moments, rng)
    plan: Plan = [(moments.ago(5.2), one.log_in), (moments.ago(minutes=11), one.kick_out)]
    return _person(one, plan)


def victor(moments: Moments, rng: Random) -> Person:
    """One of many whom the last outage took offline."""
    one = _client("victor", IPHONE, moments, rng)
    plan: Plan = [(moments.ago(6), one.log_in), (moments.ago(minutes=2.8), _loses(one, 420.0))]
    return _person(one, plan)


def walter(moments: Moments, rng: Random) -> Person:
    """Was kicked out yesterday, twelve minutes before the time of day that it is now, and is well since the morning."""
    phone, browser = _client("walter", ANDROID, moments, rng), _client("walter", WEB, moments, rng)
    plan: Plan = [
        (moments.ago(25), phone.log_in),
        (moments.ago(24, minutes=12), browser.log_in),
        (moments.ago(20), browser.log_out),
        (moments.ago(7.5), phone.log_in),
    ]
    return Person(user=SimulatedUser([phone, browser], one_device=True), plan=plan)


PERSONAS: Final[tuple[Callable[[Moments, Random], Person], ...]] = (
    alice, bob, carol, dave, erin, frank, grace, heidi, ivan,
    judy, niaj, olivia, peggy, rupert, sybil, trent, victor, walter,
)  # fmt: skip

SERVER_SAYS: Final[tuple[tuple[float, str, ServerStatus], ...]] = ((95, "bob", ONLINE), (14, "niaj", OFFLINE))
"""How many minutes ago ZEGO's server was asked about whom, and its answer; oldest first."""


def _client(
    user_id: str,
    kind: int,
    moments: Moments,
    rng: Random,
    *,
    app_version: str = "4.1.2",
    sdk_version: str | None = None,
) -> SimulatedClient:
    return client(user_id, kind, STILL, moments.ago(25), rng, app_version=app_version, sdk_version=sdk_version)


def _person(clients: SimulatedClient | list[SimulatedClient], plan: Plan) -> Person:
    return Person(user=SimulatedUser(clients if isinstance(clients, list) else [clients]), plan=plan)


def _behaves(one: SimulatedClient, behaviour: Behaviour) -> Callable[[int], None]:
    return lambda at_us: one.behave(behaviour, at_us)


def _again(refused: Behaviour) -> Behaviour:
    return msgspec.structs.replace(refused, first_login=60.0, away=120.0)


def _loses(one: SimulatedClient, lasts_s: float) -> Callable[[int], None]:
    return lambda at_us: one.lose_network(at_us, lasts_s)


def _after_logins(one: SimulatedClient, moments: Moments, minutes: tuple[int, ...], after_ms: int, act: Act) -> Plan:
    """Logins so many minutes ago and every ten minutes, with ``act`` so long after each begins."""
    plan: Plan = []
    for ago in (*minutes, *_EVERY_TEN_MINUTES):
        at_us = moments.ago(minutes=ago)
        plan += [(at_us - MINUTE_US, one.log_out), (at_us, one.log_in), (at_us + after_ms * MS_US, act)]
    return plan


def _outages(one: SimulatedClient, moments: Moments, minutes: tuple[float, ...]) -> Plan:
    return [(moments.ago(minutes=ago), _loses(one, 6.0 + ago % 20)) for ago in minutes]
