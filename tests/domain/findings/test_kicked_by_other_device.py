"""Kicks: to and fro, by a login close before, by the device itself, and what became of the user."""

from __future__ import annotations

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US
from tests.support.lives import Device, advice, found, ids, one

KIND = "kicked_by_other_device"
UNKNOWN = "carol was kicked out on Android (pixel-7); which other device logged in is not known"


def phone() -> Device:
    return Device(name="pixel-7")


def laptop() -> Device:
    return Device(name="chrome", platform="Web")


def to_and_fro(
    times: int, every: float = 200, first: Device | None = None, second: Device | None = None
) -> list[Event]:
    """Each logs in by turns, and kicks the other one out; the first kick is after 100 s."""
    devices = [first or phone(), second or laptop()]
    events = devices[0].logs_in(0)
    for time in range(times):
        kicked, by = devices[time % 2], devices[1 - time % 2]
        events += [*by.logs_in(100 + time * every), kicked.kicked(100.5 + time * every)]
    return events


def kicks(events: list[Event]) -> list[Event]:
    return [event for event in events if event.connection_event == "KICKED_OUT"]


def kick(at: float, events: list[Event]) -> Finding:
    return one(at, events, KIND)


def test_nine_kicks_to_and_fro_come_first_although_the_user_is_online() -> None:
    events = to_and_fro(9)
    calls = [laptop().fails(1_700 + number, code=6_000_105) for number in range(5)]
    first, second = found(1_800, [*events, *calls])
    assert (first.kind, first.severity, second.kind) == (KIND, "critical", "calls_failing")
    assert str(first.summary) == "carol: two devices kick each other out, 9 times within 26 min"
    assert "Android (pixel-7) and Web (chrome). Please close the app on the one" in str(first.say)
    assert str(first.say).endswith("Android (pixel-7) was signed out last.")
    assert "when it is kicked out" in advice(first)
    assert first.since_us == kicks(events)[0].moment_us
    assert {one.id for one in kicks(events)} < set(first.events)


@pytest.mark.parametrize(("times", "severity"), [(2, "warning"), (3, "critical")])
def test_three_kicks_are_no_change_of_devices(times: int, severity: str) -> None:
    assert kick(600, to_and_fro(times)).severity == severity


def test_a_change_of_devices_and_back_names_the_one_that_was_signed_out_last() -> None:
    finding = kick(600, to_and_fro(2))
    assert str(finding.summary) == "carol: two devices kick each other out, 2 times within 3 min"
    assert str(finding.say).endswith("Web (chrome) was signed out last.")
    assert "when it is kicked out" in advice(finding)


def test_devices_that_stopped_are_no_longer_critical_and_then_forgotten() -> None:
    events = to_and_fro(3)
    last_s = 500.5
    assert kick(last_s + 599, events).severity == "critical"
    assert kick(last_s + 600, events).severity == "warning"
    assert kick(last_s + 1_799, events).severity == "warning"
    assert not found(last_s + 1_800, events)


def test_kicks_more_than_half_an_hour_apart_do_not_belong_together() -> None:
    events = to_and_fro(3, every=1_801)
    assert kick(3_800, events).since_us == kicks(events)[-1].moment_us
    assert kick(3_800, to_and_fro(3, every=1_800)).since_us == BEGIN_US + int(100.5 * SECOND_US)


def test_two_windows_on_one_device_are_named_as_such() -> None:
    first, second = Device(name="one", device_id="ipad"), Device(name="two", device_id="ipad")
    found = kick(2_000, to_and_fro(9, first=first, second=second))
    assert str(found.say).startswith("The app runs twice, both times on Android (ipad)")


def test_a_kick_is_a_warning_while_the_other_device_is_online() -> None:
    events = to_and_fro(1)
    found = kick(110, events)
    assert (found.severity, str(found.summary)) == (
        "warning",
        "carol was kicked out on Android (pixel-7); the other device is Web (chrome)",
    )
    assert "because you signed in on Web (chrome)" in str(found.say)
    assert "do not retry in code" in advice(found)
    login, *_, kicked = events[3:]
    assert found.events == ids(login, kicked)
    assert found.since_us == kicked.moment_us


def test_a_change_of_devices_is_a_warning_for_ten_minutes() -> None:
    events = to_and_fro(1)
    assert [kick(100.5 + s, events).severity for s in (1, 599, 600, 1_799)] == ["warning", "warning", "info", "info"]
    device = phone()
    device.seq = 10
    call = device.fails(900)
    assert kick(1_000, [*events, call]).severity == "warning"


def test_devices_without_names_are_not_told_apart() -> None:
    first, second = (Device(name=name, platform=None, device_id=None) for name in ("one", "two"))
    assert "on all devices but the one" in str(kick(2_000, to_and_fro(9, first=first, second=second)).say)
    first, second = (Device(name=name, platform=None, device_id=None) for name in ("one", "two"))
    assert "Have you signed in" in str(kick(110, to_and_fro(1, first=first, second=second)).say)


def test_a_user_who_is_logged_in_nowhere_is_cut_off_until_a_login() -> None:
    device = phone()
    events = [*device.logs_in(0), device.kicked(100)]
    for at in (101, 1_899, 300_000):
        found_ = kick(at, events)
        assert (found_.severity, str(found_.summary)) == ("critical", UNKNOWN)
        assert "change your password" in str(found_.say)
    back = [*events, *device.logs_in(400_000)]
    assert not found(400_001, back)


def test_a_user_who_logged_in_again_is_told_so() -> None:
    device = phone()
    events = [*device.logs_in(0), device.kicked(100), *device.logs_in(400)]
    found = kick(700, events)
    assert (found.severity, str(found.summary)) == (
        "info",
        f"{UNKNOWN}; logged in again since",
    )
    assert "log in again" not in advice(found)
    assert "have signed in again since" in str(found.say)


def test_a_login_of_another_client_after_the_kick_is_a_new_login_too() -> None:
    device = phone()
    events = [*device.logs_in(0), device.kicked(100), *Device(name="new", device_id="pixel-7").logs_in(400)]
    assert kick(700, events).severity == "info"


def test_a_login_that_is_pending_mends_nothing() -> None:
    device = phone()
    events = [*device.logs_in(0), device.kicked(100), device.login(400)]
    assert kick(401, events).severity == "critical"


def test_a_logout_after_it_leaves_a_warning_for_half_an_hour() -> None:
    events = to_and_fro(1)
    other = laptop()
    other.seq = 10
    events += [other.event("logout", 200), other.says("DISCONNECTED", "SUCCESS", 200)]
    assert kick(300, events).severity == "warning"
    assert not found(2_000, events)


@pytest.mark.parametrize(
    ("version", "summary", "update"),
    [
        ("2.11.9", "own old connection (weak network; fixed in SDK 2.12.0)", True),
        (None, "own old connection (weak network; fixed in SDK 2.12.0)", True),
        ("2.28.0", "own old connection (weak network)", False),
    ],
)
def test_a_device_that_had_reconnected_may_have_kicked_itself(
    version: str | None, summary: str, *, update: bool
) -> None:
    device = Device(sdk_version=version)
    lost, back = device.says("RECONNECTING", "LOGIN_INTERRUPTED", 50), device.says("CONNECTED", "SUCCESS", 70)
    found = kick(110, [*device.logs_in(0), lost, back, device.kicked(100)])
    assert str(found.summary).endswith(summary)
    assert ("2.12.0 or newer" in advice(found)) == update
    assert "no other device need be involved" in str(found.say)


def test_calls_that_fail_because_of_it_are_its_evidence_and_no_finding_of_their_own() -> None:
    device = phone()
    events = [*device.logs_in(0), device.kicked(100)]
    calls = [device.fails(200 + number * 10) for number in range(300)]
    other = laptop()
    other_online = other.logs_in(3_000)
    found = kick(3_200, [*events, *calls, *other_online])
    assert set(ids(*calls[-10:])) < set(found.events)
    assert events[-1].id in found.events


def test_two_kicks_of_one_device_by_one_that_does_not_report() -> None:
    device = phone()
    events = [*device.logs_in(0), device.kicked(100), *device.logs_in(200), device.kicked(300)]
    summary = f"{UNKNOWN}; the last of 2 kicks within 3 min"
    assert (kick(310, events).severity, str(kick(310, events).summary)) == ("critical", summary)
    back = kick(410, [*events, *device.logs_in(400)])
    assert (back.severity, str(back.summary)) == ("warning", f"{summary}; logged in again since")


def test_a_very_long_user_id_is_cut() -> None:
    device = Device("u" * 10_000)
    (finding,) = found(200, [*device.logs_in(0), device.kicked(100)], "u" * 10_000)
    assert len(str(finding.summary)) < 150


def in_turn(devices: list[Device], times: int) -> list[Event]:
    """Each logs in in turn, and kicks out the one before it."""
    events = devices[0].logs_in(0)
    for time in range(times):
        by = devices[(time + 1) % len(devices)]
        events += [*by.logs_in(100 + time * 60), devices[time % len(devices)].kicked(100.5 + time * 60)]
    return events


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (3, "Web (0), Web (1), Web (2)"),
        (4, "Web (0), Web (1), Web (2), 1 more"),
        (8, "Web (0), Web (1), Web (2), 5 more"),
    ],
)
def test_devices_that_kick_each_other_out_in_a_ring_are_counted_and_named(count: int, named: str) -> None:
    devices = [Device(name=str(number), platform="Web") for number in range(count)]
    finding = kick(700, in_turn(devices, 8))
    assert str(finding.summary) == f"carol: {count} devices kick each other out, 8 times within 7 min"
    assert (finding.severity, "Two" in str(finding.say)) == ("critical", False)
    assert f"Your devices sign each other out: {named}. Please keep" in str(finding.say)
    assert "let the user keep one and close the others" in advice(finding)
    assert "Two devices" not in advice(finding)


def test_two_devices_whose_pages_are_reloaded_are_two() -> None:
    pages = [Device(name=f"page{number}", platform="Web", device_id=f"d{number % 2}") for number in range(6)]
    finding = kick(700, in_turn(pages, 5))
    assert "two devices kick each other out" in str(finding.summary)
    unnamed = [Device(name=f"page{number}", platform=None, device_id=None) for number in range(3)]
    assert "two devices kick each other out" in str(kick(700, in_turn(unnamed, 8)).summary)


@pytest.mark.parametrize("version", [None, "2.28.0"])
def test_a_device_without_a_name_may_have_kicked_itself_too(version: str | None) -> None:
    device = Device(platform=None, device_id=None, sdk_version=version)
    lost, back = device.says("RECONNECTING", "LOGIN_INTERRUPTED", 50), device.says("CONNECTED", "SUCCESS", 70)
    events = [*device.logs_in(0), lost, back, device.kicked(100)]
    finding = kick(110, events)
    assert "no other device need be involved" in str(finding.say)
    assert "password" not in str(finding.say)
    again = kick(130, [*events, *device.logs_in(120)])
    assert (again.severity, "have signed in again since" in str(again.say)) == ("info", True)
