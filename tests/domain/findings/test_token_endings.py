"""How the tokens of a user's devices ended."""

from __future__ import annotations

from sidecar.domain.events import Event
from sidecar.domain.findings.token_endings import TokenEnding, endings
from sidecar.domain.units import SECOND_US
from tests.support.lives import Device, life


def ended(at: float, events: list[Event]) -> list[TokenEnding]:
    return endings(life(at, events))


def test_an_expiry_has_its_warning_and_the_renewals_that_failed() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(570), device.renews(571, 6_000_103), device.renews(580, 6_000_104)]
    expiry = device.expires(598)
    assert ended(600, [*events, expiry]) == [TokenEnding(events[3], tuple(events[4:]), expiry)]
    assert ended(581, events) == [TokenEnding(events[3], tuple(events[4:]))]
    assert ended(600, [*events, expiry])[0].events == [*events[3:], expiry]
    assert ended(600, [*events, expiry])[0].left_us == 30 * SECOND_US


def test_each_login_has_a_token_of_its_own() -> None:
    device = Device()
    first = [*device.logs_in(0), device.warned(570), device.expires(598)]
    second = [*device.logs_in(700), device.expires(1_298)]
    assert ended(1_300, [*first, *second]) == [
        TokenEnding(first[-2], (), first[-1]),
        TokenEnding(None, (), second[-1]),
    ]


def test_one_that_was_warned_of_is_due_half_a_minute_after_its_end() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(570, second=20)]
    assert ended(619.9, events) == []
    assert ended(620, events) == [TokenEnding(events[-1])]


def test_a_second_warning_replaces_the_first_and_its_renewals() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(500), device.renews(501, 6_000_104), device.warned(570)]
    assert ended(571, events) == []
    assert ended(700, events) == [TokenEnding(events[-1])]


def test_a_logout_or_the_end_of_the_connection_ends_the_token_too() -> None:
    for act in ("logout", "DISCONNECTED", "login"):
        device = Device()
        warned = [*device.logs_in(0), device.warned(570)]
        is_callback = act == "DISCONNECTED"
        warned.append(device.says(act, "SUCCESS", 575) if is_callback else device.event(act, 575))
        assert ended(700, warned) == []
        expiry = device.expires(699)
        assert ended(700, [*warned, expiry]) == [TokenEnding(expired=expiry)]


def test_a_renewal_without_a_code_is_a_success() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(500), device.event("token_renewed", 501)]
    assert ended(700, events) == []


def test_a_repeated_callback_counts_once_but_again_after_connected() -> None:
    device = Device()
    first, again = device.expires(100), device.expires(101)
    connected, third = device.says("CONNECTED", "SUCCESS", 102), device.expires(103)
    assert ended(200, [first, again]) == [TokenEnding(expired=first)]
    assert ended(200, [first, again, connected, third]) == [TokenEnding(expired=first), TokenEnding(expired=third)]
    device = Device()
    events = [device.expires(100), device.login(101), device.expires(102)]
    assert ended(200, events) == [TokenEnding(expired=events[0]), TokenEnding(expired=events[2])]


def test_the_newest_is_the_last_whatever_device_it_is_of() -> None:
    phone, laptop = Device(), Device(name="laptop")
    early, late, middle = phone.expires(100), laptop.expires(300), Device(name="tablet").expires(200)
    assert [one.expired for one in ended(400, [late, early, middle])] == [early, middle, late]


def test_an_app_could_renew_what_had_more_than_two_seconds_left_or_what_it_tried_to() -> None:
    device = Device()
    assert not TokenEnding(expired=device.expires(0)).could_be_renewed
    assert not TokenEnding(device.warned(0, second=2)).could_be_renewed
    assert TokenEnding(device.warned(0, second=3)).could_be_renewed
    assert TokenEnding(failed=(device.renews(0, 1),)).could_be_renewed
