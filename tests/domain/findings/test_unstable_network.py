"""Outages that repeat, last, or end in a timeout are a finding; a few short ones are not."""

from __future__ import annotations

from itertools import chain
from typing import Any

from sidecar.domain.events import LOGIN_RESULT, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.unstable_network import UnstableNetwork
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone


def outage(phone: Phone, at: float, lasts: float = 20, tries: int = 3, **fields: Any) -> list[Event]:
    """An outage with its retries, each of which is an event."""
    lost = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at + lasts * n / tries, **fields) for n in range(tries)]
    return [*lost, phone.says("CONNECTED", "SUCCESS", at + lasts, **fields)]


def found(at: float, *events: Event) -> Finding | None:
    return UnstableNetwork.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


def wifi(count: int, every: float = 300, **fields: Any) -> list[Event]:
    phone = Phone("alice")
    online = [phone.login(-60), phone.says("CONNECTED", "SUCCESS", -59, **fields)]
    return online + [event for n in range(count) for event in outage(phone, n * every, **fields)]


def test_the_wifi_of_a_hotel() -> None:
    events = wifi(6, device_id="pixel-7", platform="Android")
    finding = found(1_600, *events)
    assert finding is not None
    assert (finding.kind, finding.severity, finding.since_us) == ("unstable_network", "warning", BEGIN_US)
    assert str(finding.summary) == "Android (pixel-7) lost its connection 6 times within 25 min"
    # Of each outage the event that began it, and not its retries.
    assert finding.events == tuple(event.id for event in events[2::4])
    assert "do not call login" in str(finding.advice[0])


def test_a_few_short_outages_are_healthy() -> None:
    assert found(1_600, *wifi(4)) is None


def test_it_holds_while_there_were_five_in_half_an_hour() -> None:
    assert found(1_799, *wifi(5)) is not None
    assert found(1_800, *wifi(5)) is None


def test_a_page_that_is_loaded_anew_is_the_same_device() -> None:
    clients = [Phone("alice", f"page-{number}") for number in range(5)]
    outages = [outage(phone, n * 60.0, device_id="browser") for n, phone in enumerate(clients)]
    assert found(600, *chain(*outages)) is not None
    # Without an id they may be five devices.
    outages = [outage(phone, n * 60.0) for n, phone in enumerate(clients)]
    assert found(600, *chain(*outages)) is None


def test_a_login_that_begins_with_reconnecting_is_no_outage() -> None:
    phone = Phone("alice")
    events = []
    for at in range(0, 600, 60):
        events += [phone.login(at), *outage(phone, at + 1, lasts=2), phone.says("DISCONNECTED", "SUCCESS", at + 30)]
    assert found(600, *events) is None


def test_only_the_first_change_after_a_login_may_be_its_beginning() -> None:
    phone = Phone("alice")
    events = [phone.login(0), phone.says("CONNECTED", "SUCCESS", 0.3)]
    events += [event for n in range(6) for event in outage(phone, 1 + n, lasts=0.5)]
    finding = found(60, *events)
    assert finding is not None
    assert len(finding.events) == 5


def test_while_another_device_is_online_it_is_only_worth_knowing() -> None:
    laptop = Phone("alice", "laptop")
    finding = found(1_600, *wifi(6), laptop.says("CONNECTED", "SUCCESS", 0))
    assert finding is not None
    assert finding.severity == "info"


def test_one_outage_that_lasts() -> None:
    phone = Phone("alice")
    online = [phone.login(-60), phone.says("CONNECTED", "SUCCESS", -59)]
    lost = outage(phone, 0, lasts=60)[:-1]
    events = [*online, *lost]
    assert found(119, *events) is None
    finding = found(120, *events)
    assert finding is not None
    assert (finding.since_us, finding.severity) == (BEGIN_US, "warning")
    assert finding.events == tuple(event.id for event in lost)
    assert str(finding.summary) == "Web is without a connection, and the SDK keeps trying"
    assert "connects again by itself" in str(finding.say)
    assert found(86_400, *events) is not None
    assert found(400, *events, phone.says("CONNECTED", "SUCCESS", 300)) is None


def test_a_first_login_that_never_gets_through_lasts_too() -> None:
    phone = Phone("alice")
    assert found(300, phone.login(0), *outage(phone, 1, lasts=60)[:-1]) is not None


def test_a_login_that_was_given_up() -> None:
    phone = Phone("alice")
    events = [phone.login(0), *outage(phone, 1)[:-1], end := phone.says("DISCONNECTED", "LOGIN_TIMEOUT", 300)]
    finding = found(9_000, *events)
    assert finding is not None
    assert finding.events == (end.id,)
    assert "gave up" in str(finding.summary)
    assert ["login page" in str(one) for one in finding.advice] == [True]
    # Its code says it better, in login_refused.
    coded = phone.event(LOGIN_RESULT, 301, details={"code": 6_000_104, "message": ""})
    assert found(9_000, *events, coded) is None


def test_only_the_last_login_counts_as_given_up() -> None:
    phone = Phone("alice")
    first = [phone.login(0), phone.says("DISCONNECTED", "LOGIN_TIMEOUT", 300)]
    online = [phone.login(400), phone.says("CONNECTED", "SUCCESS", 401)]
    assert found(500, *first, *online) is None
    assert found(600, *first, *online, phone.says("DISCONNECTED", "SUCCESS", 500)) is None
    finding = found(900, *first, *online, again := phone.says("DISCONNECTED", "LOGIN_TIMEOUT", 800))
    assert finding is not None
    assert finding.events == (again.id,)


def test_of_several_outages_that_last_the_longest() -> None:
    clients = [(Phone("alice", name), name, at) for name, at in (("a", 60), ("b", 0), ("c", 30))]
    lost = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at, device_id=name) for phone, name, at in clients]
    finding = found(600, *lost)
    assert finding is not None
    assert (finding.events, finding.since_us) == ((lost[1].id,), BEGIN_US)
    assert str(finding.summary).startswith("Web (b) is without")


def test_of_several_devices_the_one_with_the_most_outages() -> None:
    other = Phone("alice", "laptop")
    few = [event for n in range(2) for event in outage(other, n * 300.0, device_id="laptop")]
    finding = found(1_600, *few, *wifi(5, device_id="phone"))
    assert finding is not None
    assert str(finding.summary) == "Web (phone) lost its connection 5 times within 20 min"


def test_ten_seconds_after_a_login_it_is_an_outage() -> None:
    def lives(after: float) -> list[Event]:
        phone = Phone("alice")
        return [e for n in range(5) for e in (phone.login(n * 60), *outage(phone, n * 60 + after, lasts=2))]

    assert found(600, *lives(9.9)) is None
    assert found(600, *lives(10)) is not None
