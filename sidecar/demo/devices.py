"""The kinds of devices of the demo's users."""

from __future__ import annotations

from random import Random
from typing import Final

from sidecar.sdk.recording.recorder import Device
from sidecar.sdk.simulator.simulated_app import Behaviour, SimulatedClient

APP_ID: Final = 1_234_567_890
"""A made-up AppID."""
APP_NAMES: Final = {str(APP_ID): "Demo chat"}
"""What it is called, as a setting."""

# Platform, name and version of the SDK, and whether the device reports the SDK's integers.
KINDS: Final = (
    ("Web", "zego-zim-web", "2.29.0", True),
    ("Android", "zim-android", "2.28.0", False),
    ("IPhoneOS", "zim-ios", "2.28.0", True),
    ("Win", "zim-windows", "2.27.1", False),
    ("MacOS", "zim-macos", "2.27.1", False),
    ("IPadOS", "zim-ios", "2.26.0", True),
)
WEB, ANDROID, IPHONE, WINDOWS = range(4)


def device(kind: int, rng: Random, *, app_version: str = "4.1.2", sdk_version: str | None = None) -> Device:
    """A device of one of the platforms, with an id of its own."""
    platform, name, version, as_integers = KINDS[kind]
    return Device(
        platform=platform,
        sdk_name=name,
        sdk_version=sdk_version or version,
        app_version=app_version,
        device_id=f"{platform.lower()}-{rng.getrandbits(32):08x}",
        as_integers=as_integers,
    )


def client(
    user_id: str,
    kind: int,
    behaviour: Behaviour,
    start_us: int,
    rng: Random,
    *,
    app_version: str = "4.1.2",
    sdk_version: str | None = None,
) -> SimulatedClient:
    """A client on such a device."""
    return SimulatedClient(
        app_id=APP_ID,
        user_id=user_id,
        device=device(kind, rng, app_version=app_version, sdk_version=sdk_version),
        behaviour=behaviour,
        start_us=start_us,
        rng=rng,
    )
