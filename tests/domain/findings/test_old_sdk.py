"""A version of the SDK with a known fault is a finding, and a warning where it explains what happened."""

from __future__ import annotations

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.old_sdk import OldSdk
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone


def found(at: float, *events: Event) -> Finding | None:
    return OldSdk.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


def online(version: str | None, name: str | None = "zego-zim-web", device: str = "phone") -> Event:
    return Phone("alice", device).says("CONNECTED", "SUCCESS", 0, sdk_version=version, sdk_name=name)


@pytest.mark.parametrize(
    ("version", "name", "says"),
    [
        ("2.8.1", "zego-zim-web", "gives up after five minutes"),
        ("2.9.0", "zim-android", "kicks itself out"),
        ("2.11.9999", None, "kicks itself out"),
        ("2.8", "zim-ios", "gives up"),
        ("1.2.3-beta.4", "zim-cpp", "gives up"),
        ("2.13.0+1", "zego_zim", "numbers of states and events are shifted"),
        ("2.18.2+2", "zego_zim", "shifted"),
        ("2.15.0", "zego-zim-flutter", "shifted"),
        ("2.15.0", "Flutter", "shifted"),
        ("2.15.0", "zego_zim_plugin", None),
        ("2.8.0", "ZEGO", "gives up"),
        ("2.11.0", "zego_zim", "kicks itself out"),
        ("2.9.9", "zim-unity", "kicks itself out"),
        ("2.12.0", "zego-zim-web", None),
        ("2.18.2", "zego-zim-web", None),
        ("2.19.0", "zego_zim", None),
        ("2.28.0-beta", "zim-android", None),
        ("10.0.0", "zim-android", None),
        ("2.10.0", "zim-unity", None),  # there is none newer
        ("1.0.0", "our-wrapper", None),
        ("garbage", "zim-android", None),
        ("2.x", "zim-android", None),
        ("", "zim-android", None),
        (None, "zim-android", None),
        ("9" * 200 + ".1.1", "zim-android", None),
    ],
)
def test_which_versions(version: str | None, name: str | None, says: str | None) -> None:
    finding = found(5, online(version, name))
    assert (finding is None) == (says is None)
    if finding is not None:
        assert str(says) in str(finding.summary)
        assert f"SDK {version}, " in str(finding.summary)
        assert finding.severity == "info"


def test_it_holds_while_the_device_is_live_or_was_heard_lately() -> None:
    phone = Phone("alice")
    old = phone.says("CONNECTED", "SUCCESS", 0, sdk_version="2.8.0")
    assert found(86_400, old) is not None
    ended = phone.says("DISCONNECTED", "SUCCESS", 10, sdk_version="2.8.0")
    assert found(10 + 1_799, old, ended) is not None
    assert found(10 + 1_800, old, ended) is None


def test_a_device_that_kicks_itself() -> None:
    phone = Phone("alice")
    events = [
        phone.says("CONNECTED", "SUCCESS", -600, sdk_version="2.8.0"),
        phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 0),
        phone.says("CONNECTED", "SUCCESS", 10),
        kick := phone.says("DISCONNECTED", "KICKED_OUT", 12),
    ]
    finding = found(60, *events)
    assert finding is not None
    assert (finding.severity, kick.id in finding.events) == ("warning", True)
    assert "kicks itself out" in str(finding.summary)
    assert "2.12.0" in str(finding.advice[0])
    # Another device that logged in explains it, and the version does not.
    other = Phone("alice", "laptop")
    finding = found(60, *events, other.login(11), other.says("CONNECTED", "SUCCESS", 11.5))
    assert finding is not None
    assert finding.severity == "info"


def test_one_that_gave_up_after_five_minutes() -> None:
    def gave_up(version: str) -> Finding | None:
        phone = Phone("alice")
        lost = phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 0, sdk_version=version)
        return found(600, lost, phone.says("DISCONNECTED", "LOGIN_TIMEOUT", 300, sdk_version=version))

    old, newer = gave_up("2.8.0"), gave_up("2.9.0")
    assert old is not None
    assert newer is not None
    assert (old.severity, newer.severity) == ("warning", "info")


def test_of_several_devices_the_one_that_explains() -> None:
    phone = Phone("alice")
    gave_up = phone.says("DISCONNECTED", "LOGIN_TIMEOUT", 0, sdk_version="2.8.0", platform="Android")
    finding = found(60, gave_up, online("2.11.0", device="laptop"))
    assert finding is not None
    assert str(finding.summary).startswith("Android has SDK 2.8.0")
