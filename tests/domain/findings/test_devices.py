"""Devices in a user's life: which is which, which are connected, and what they are called."""

from __future__ import annotations

from sidecar.domain.events import SERVER_USER_ACTION
from sidecar.domain.findings import Life, devices
from tests.support.events import BEGIN_US, Phone
from tests.support.lives import Device, life

PHONE, LAPTOP, PAGE = Device(), Device(name="laptop"), Device(name="page", device_id=None)
ONLINE = PHONE.says("CONNECTED", "SUCCESS", 0)
LOST = LAPTOP.says("RECONNECTING", "LOGIN_INTERRUPTED", 0)
ENDED = PAGE.says("DISCONNECTED", "SUCCESS", 0)
ALL = life(9, [ONLINE, LOST, ENDED])


def test_a_device_is_known_by_its_id_or_else_by_its_client() -> None:
    assert devices.device_key(ONLINE) == "phone"
    assert devices.device_key(ENDED) == PAGE.client_id


def test_the_newest_events_are_those_of_devices() -> None:
    phone = Device()
    first, last = phone.event("login", 5), phone.event("logout", 3)
    server = Phone("carol", "server").event(SERVER_USER_ACTION, 4)
    assert devices.newest_of_devices(life(9, [last, first, server, ENDED])) == [ENDED, last]


def test_which_are_live_and_online() -> None:
    assert [devices.is_live(ALL, one.client_id) for one in (PHONE, LAPTOP, PAGE)] == [True, True, False]
    assert devices.online_beside(ALL, [])
    assert devices.online_beside(ALL, [LAPTOP.client_id])
    assert not devices.online_beside(ALL, [PHONE.client_id])
    assert not devices.online_beside(Life.of(BEGIN_US, "carol", []), [])


def test_names_are_said_once_and_of_many_three() -> None:
    tablet, watch = Device(name="t", platform=None), Device(name="w", platform="Watch", device_id=None)
    events = [ONLINE, ONLINE, LOST, tablet.event("logout", 1), watch.event("logout", 1)]
    assert str(devices.names(events[:3])) == "Android (phone), Android (laptop)"
    assert str(devices.names(events[:4])) == "Android (phone), Android (laptop), t"
    assert str(devices.names(events)) == "Android (phone), Android (laptop), t, 1 more"
