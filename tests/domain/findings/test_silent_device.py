"""A device whose lease has ended is a finding, unless another one has replaced it."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain import login_state
from sidecar.domain.events import Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.silent_device import SilentDevice
from sidecar.domain.presence import presence
from sidecar.domain.units import SECOND_US
from sidecar.store.mapping import Client
from sidecar.store.users.user_reads import session_of
from tests.support.events import BEGIN_US, Phone

LEASE = 45


def found(at: float, *clients: tuple[Event, float], more: Sequence[Event] = ()) -> Finding | None:
    """``clients`` are the event that set the status of each, and when it was last heard."""
    now_us = BEGIN_US + int(at * SECOND_US)
    states = [login_state.fold([event]) for event, _ in clients]
    devices = [
        session_of(
            Client(
                client_key=key,
                client_id=event.client_id,
                user_key=1,
                state=state,
                last_seen_at_us=BEGIN_US + int(seen * SECOND_US),
                platform=event.platform,
                device_id=event.device_id,
            ),
            lease_us=LEASE * SECOND_US,
            is_past=at > seen + LEASE,
        )
        for key, (state, (event, seen)) in enumerate(zip(states, clients, strict=True))
    ]
    now = presence(states)
    events = [*(event for event, _ in clients), *more]
    return SilentDevice.find(Life.of(now_us, "alice", events, devices=devices, status=now.status))


def online(name: str, platform: str | None = "Android", device_id: str | None = None, at: float = 0) -> Event:
    return Phone("alice", name).says("CONNECTED", "SUCCESS", at, platform=platform, device_id=device_id)


PHONE = online("phone")


def test_a_phone_that_slept() -> None:
    assert found(55, (PHONE, 10)) is None
    finding = found(86_400, (PHONE, 10))
    assert finding is not None
    assert (finding.kind, finding.severity, finding.events) == ("silent_device", "warning", (PHONE.id,))
    assert finding.since_us == BEGIN_US + 10 * SECOND_US
    assert str(finding.summary) == "No sign of life from Android, which did not log out: asleep, closed or ended"


def test_one_that_had_lost_the_network_before() -> None:
    lost = Phone("alice").says("RECONNECTING", "LOGIN_INTERRUPTED", 0)
    finding = found(60, (lost, 1))
    assert finding is not None
    assert str(finding.summary) == "No sign of life from Web, which had lost the connection before"


def test_one_that_logged_out_is_not_silent() -> None:
    assert found(60, (Phone("alice").says("DISCONNECTED", "SUCCESS", 0), 1)) is None


def test_beside_another_device_it_is_worth_knowing_for_half_an_hour() -> None:
    laptop = (online("laptop", "Win"), 1_000_000)
    finding = found(46, (PHONE, 0), laptop)
    assert finding is not None
    assert (finding.severity, finding.events) == ("info", (PHONE.id,))
    assert "another device of the user is connected" in str(finding.summary)
    assert found(LEASE + 1_799, (PHONE, 0), laptop) is not None
    assert found(LEASE + 1_800, (PHONE, 0), laptop) is None


def test_a_page_that_was_loaded_anew_replaces_the_old_one() -> None:
    assert found(60, (PHONE, 0), (online("again"), 60)) is None
    old = online("phone", device_id="a")
    assert found(60, (old, 0), (online("again", "IPhoneOS", "a"), 60)) is None
    assert found(60, (old, 0), (online("again", device_id="b"), 60)) is not None


def test_a_page_that_was_open_beside_it_does_not_replace_it() -> None:
    assert found(60, (PHONE, 14), (online("beside", at=4), 60)) is not None
    assert found(60, (PHONE, 14), (online("after", at=5), 60)) is None


def test_which_of_several_live_devices_replaces_it() -> None:
    old = online("phone", device_id="a")
    others = [(online("b", "Win", "b"), 60), (online("c", "Web", "a"), 60), (online("d", "MacOS", "d"), 60)]
    assert found(60, (old, 0), *others) is None
    assert found(60, (old, 0), others[0], others[2]) is not None
    # One of the two has no id: then they are compared by platform.
    assert found(60, (old, 0), (online("e", "Android"), 60)) is None
    assert found(60, (old, 0), (online("e", "Web"), 60)) is not None


def test_of_several_that_fell_silent_the_last_sign_of_life_counts() -> None:
    lost = Phone("alice", "b").says("RECONNECTING", "LOGIN_INTERRUPTED", 0)
    finding = found(99, (PHONE, 2), (lost, 1))
    assert finding is not None
    assert finding.since_us == BEGIN_US + 2 * SECOND_US
    assert str(finding.summary) == "No sign of life from Android, Web, which did not log out: asleep, closed or ended"


def test_the_evidence_is_the_newest_event_of_the_device() -> None:
    phone = Phone("alice", "phone")
    first, last = phone.says("CONNECTED", "SUCCESS", 0), phone.event("api_error", 3, details={"code": 1})
    finding = found(99, (first, 3), more=[last])
    assert finding is not None
    assert finding.events == (last.id,)


def test_all_silent_devices_are_named_and_of_many_a_few() -> None:
    devices = [online(f"phone-{number}", device_id=f"d{number}", at=number) for number in range(5)]
    finding = found(99, *((device, number) for number, device in enumerate(devices)))
    assert finding is not None
    assert finding.events == tuple(device.id for device in devices)
    assert "Android (d0), Android (d1), Android (d2), 2 more" in str(finding.summary)


def test_a_device_without_an_event_in_the_log_is_none() -> None:
    life = Life.of(BEGIN_US, "alice", [])
    assert SilentDevice.find(life) is None
