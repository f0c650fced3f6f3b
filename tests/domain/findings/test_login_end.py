"""What became of a user after a device was logged out."""

from __future__ import annotations

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings.login_end import SEVERITIES, Aftermath, aftermath, to_log_in, with_aftermath
from sidecar.domain.texts import verbatim
from tests.support.lives import Device, life

PHONE = Device()
LOGGED_IN = PHONE.logs_in(0)
END = PHONE.kicked(100)
BACK = PHONE.logs_in(200)


def became(events: list[Event], at: float = 300, by: Event | None = None) -> Aftermath:
    return aftermath(life(at, [*LOGGED_IN, END, *events]), END, by)


def test_a_user_without_another_device_is_cut_off_until_it_logs_in() -> None:
    assert became([]) == "cut_off"
    assert became(BACK[:1]) == "cut_off"
    assert became(BACK) == "again"
    assert became(BACK, at=199) == "cut_off"


def test_another_device_that_was_logged_in_before_is_elsewhere() -> None:
    assert became(Device(name="before").logs_in(50)) == "elsewhere"


def test_the_login_that_caused_it_is_no_login_again() -> None:
    other = Device(name="cause").logs_in(100)
    assert became(other, by=other[0]) == "elsewhere"
    assert became(other) == "again"
    assert became([*other, *BACK], by=other[0]) == "again"


def test_a_logout_elsewhere_since_is_another_reason_to_be_logged_out() -> None:
    other = Device(name="other")
    events = [*other.logs_in(50), other.says("DISCONNECTED", "SUCCESS", 150)]
    assert became(events) == "over"


def test_a_device_that_is_reconnecting_is_logged_in() -> None:
    lost = Device(name="lost")
    events = [*lost.logs_in(150), lost.says("RECONNECTING", "LOGIN_INTERRUPTED", 250)]
    assert became(events) == "again"


@pytest.mark.parametrize("after", list(SEVERITIES))
def test_a_login_since_is_said_and_needs_no_advice(after: Aftermath) -> None:
    summary = with_aftermath(verbatim("kicked out"), after)
    is_back = after == "again"
    assert str(summary) == ("kicked out; logged in again since" if is_back else "kicked out")
    assert [str(one)[:28] for one in to_log_in(after)] == ([] if is_back else ["Ask the user to log in again"])
