"""The users of the demo: a few to follow by name, and a crowd."""

from __future__ import annotations

from random import Random
from typing import Final

from sidecar.sdk.recording.recorder import Device
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedClient, SimulatedUser

APP_ID: Final = 1_234_567_890
"""A made-up AppID."""

REAL_USER: Final = "alice"
"""The user of the real SDK where Node.js is installed; else simulated."""

# Names in many scripts, because user ids are free text and pages have to show them all.
_GIVEN: Final = (
    "amélie", "björn", "chidi", "dmitri", "elif", "fatima", "grzegorz", "hana", "ines", "jürgen", "kofi", "leila",
    "małgorzata", "nguyễn", "oluwaseun", "priya", "quentin", "rosa", "søren", "tomás", "uma", "valentina", "wei",
    "xóchitl", "yusuf", "zoë", "小林", "王芳", "김민준", "Ольга", "Ελένη", "سارة", "दीपक", "ณัฐ",
)  # fmt: skip
_FAMILY: Final = ("adeyemi", "costa", "dubois", "ito", "kowalski", "lee", "müller", "novák", "okafor", "singh")

_DEVICES: Final = (
    ("Web", "zego-zim-web", "2.29.0", True),
    ("Android", "zim-android", "2.28.0", False),
    ("IPhoneOS", "zim-ios", "2.28.0", True),
    ("Win", "zim-windows", "2.27.1", False),
    ("MacOS", "zim-macos", "2.27.1", False),
    ("IPadOS", "zim-ios", "2.26.0", True),
)
WEB, ANDROID, IPHONE, WINDOWS = range(4)


def device(kind: int, rng: Random) -> Device:
    """A device of one of the platforms, with an id of its own."""
    platform, name, version, as_integers = _DEVICES[kind]
    return Device(
        platform=platform,
        sdk_name=name,
        sdk_version=version,
        app_version=rng.choice(("4.1.0", "4.1.2", "4.2.0")),
        device_id=f"{platform.lower()}-{rng.getrandbits(32):08x}",
        as_integers=as_integers,
    )


def people(count: int, *, start_us: int, rng: Random, with_alice: bool) -> list[SimulatedUser]:
    """``count`` users at most, the named ones first. ``with_alice``: she is simulated too."""
    named = [_bob(start_us, rng), _carol(start_us, rng), _dave(start_us, rng)]
    if with_alice:
        named.insert(0, alice(start_us, rng))
    crowd = [_one_of_the_crowd(number, start_us, rng) for number in range(max(0, count - len(named)))]
    return (named + crowd)[: max(count, 0)]


def alice(start_us: int, rng: Random) -> SimulatedUser:
    """Online, but for short network outages."""
    behaviour = Behaviour(first_login=0.1, first_outage=20.0, outage_every=60.0, stays=None)
    return SimulatedUser([client(REAL_USER, WEB, behaviour, start_us, rng)])


def client(user_id: str, kind: int, behaviour: Behaviour, start_us: int, rng: Random) -> SimulatedClient:
    """A client on one of the platforms."""
    return SimulatedClient(
        app_id=APP_ID, user_id=user_id, device=device(kind, rng), behaviour=behaviour, start_us=start_us, rng=rng
    )


def _bob(start_us: int, rng: Random) -> SimulatedUser:
    """Two devices: the phone often loses the network, and the user stays online by the other."""
    phone = Behaviour(first_login=0.1, first_outage=5.0, outage_every=30.0, outage_lasts=(5.0, 40.0), stays=None)
    desk = Behaviour(first_login=0.4, outage_every=120.0, outage_lasts=(2.0, 20.0), stays=None)
    return SimulatedUser([client("bob", ANDROID, phone, start_us, rng), client("bob", WINDOWS, desk, start_us, rng)])


def _carol(start_us: int, rng: Random) -> SimulatedUser:
    """Logs in on a second device, which kicks out the first one."""
    phone = Behaviour(first_login=0.1, outage_every=None, stays=None, away=40.0)
    browser = Behaviour(first_login=8.0, outage_every=None, first_logout=15.0, stays=20.0, away=50.0)
    clients = [client("carol", IPHONE, phone, start_us, rng), client("carol", WEB, browser, start_us, rng)]
    return SimulatedUser(clients, one_device=True)


def _dave(start_us: int, rng: Random) -> SimulatedUser:
    """An app that never renews its token of 45 s."""
    behaviour = Behaviour(first_login=0.2, outage_every=None, stays=None, away=15.0, token_lives=45.0, renews=False)
    return SimulatedUser([client("dave", WEB, behaviour, start_us, rng)])


def _one_of_the_crowd(number: int, start_us: int, rng: Random) -> SimulatedUser:
    given = _GIVEN[number % len(_GIVEN)]
    family = _FAMILY[number // len(_GIVEN) % len(_FAMILY)]
    lap = number // (len(_GIVEN) * len(_FAMILY))
    user_id = f"{given}.{family}" + (str(lap + 1) if lap else "")
    behaviour = Behaviour(
        first_login=rng.uniform(0.0, 1.2),
        # Within three seconds some lose the network and some log out, so that the page has every status.
        first_outage=rng.uniform(0.2, 1.0) if number % 9 == 1 else None,
        first_logout=rng.uniform(0.2, 1.0) if number % 6 == 2 else None,  # noqa: PLR2004 - one in six
        outage_lasts=(1.0, 90.0),
        stays=rng.uniform(240.0, 900.0),
        away=45.0,
        token_lives=rng.choice((120.0, 3_600.0, 86_400.0)),
        refused=0.03,
        gives_up=300.0 if number % 20 == 0 else None,
    )
    return SimulatedUser([client(user_id, rng.randrange(len(_DEVICES)), behaviour, start_us, rng)])
