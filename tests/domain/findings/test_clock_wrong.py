"""A device whose clock is off by more than a minute is a finding, and first where it explains an expired token."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain import findings
from sidecar.domain.events import LOGIN_RESULT, TOKEN_WILL_EXPIRE, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.clock_wrong import ClockWrong
from sidecar.domain.units import DAY_US, SECOND_US
from tests.support.events import BEGIN_US, Phone

YEAR = 365 * DAY_US


def found(at: float, *events: Event) -> Finding | None:
    return ClockWrong.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


def off(us: int, at: float = 0) -> dict[str, Any]:
    """The fields of an event at ``at`` whose sender's clock is off."""
    moment_us = BEGIN_US + int(at * SECOND_US)
    return {"occurred_at_us": moment_us + us, "moment_us": moment_us, "received_at_us": moment_us}


@pytest.mark.parametrize(
    ("off_us", "summary"),
    [
        (YEAR, "The clock of Android (p) is 365 d ahead"),
        (-YEAR, "The clock of Android (p) is 365 d behind"),
        (61 * SECOND_US, "The clock of Android (p) is 61 s ahead"),
        (YEAR - 2 * SECOND_US, "The clock of Android (p) is 365 d ahead"),
        (119 * 60 * SECOND_US, "The clock of Android (p) is 119 min ahead"),
        (120 * SECOND_US, "The clock of Android (p) is 2 min ahead"),
        (130 * SECOND_US, "The clock of Android (p) is 2 min ahead"),
        (60 * SECOND_US, None),
        (-60 * SECOND_US, None),
    ],
)
def test_how_far_it_is_off(off_us: int, summary: str | None) -> None:
    phone = Phone("alice")
    finding = found(5, phone.says("CONNECTED", "SUCCESS", 0, platform="Android", device_id="p", **off(off_us)))
    assert (None if finding is None else str(finding.summary)) == summary
    assert finding is None or (finding.severity, "automatic" in str(finding.say)) == ("info", True)


@pytest.mark.parametrize(
    "trouble",
    [
        {"connection_state": "DISCONNECTED", "connection_event": "TOKEN_EXPIRED", "type": "connection_state_changed"},
        {"type": TOKEN_WILL_EXPIRE, "details": {"second": -5}},
        {"type": TOKEN_WILL_EXPIRE, "details": {"second": 0}},
        {"type": LOGIN_RESULT, "details": {"code": 6_000_106}},
        {"type": LOGIN_RESULT, "details": {"code": 6_000_108}},
    ],
)
def test_with_an_expired_token_it_is_the_cause(trouble: dict[str, Any]) -> None:
    phone = Phone("alice")
    first = phone.event(trouble["type"], 0, **off(YEAR), **{k: v for k, v in trouble.items() if k != "type"})
    finding = found(60, first, later := phone.says("CONNECTED", "SUCCESS", 5, **off(YEAR, 5)))
    assert finding is not None
    assert finding.severity == "critical"
    assert finding.events == (first.id, later.id)
    assert str(finding.summary) == "The clock of Web is 365 d ahead: to it the token looks expired"
    # The trouble of another device is not explained by it.
    other = Phone("alice", "other").event(trouble["type"], 0, **{k: v for k, v in trouble.items() if k != "type"})
    finding = found(60, other, later)
    assert finding is not None
    assert finding.severity == "info"


@pytest.mark.parametrize(
    ("off_s", "ends_s", "severity"),
    [
        (600, 3_600, "info"),  # an hour too early, and the clock is ten minutes ahead
        (3_600, 3_600, "critical"),
        (3_540, 3_600, "critical"),
        (3_539, 3_600, "info"),
        (90, 100, "critical"),  # a minute and a half too early
        (600, 30, "info"),  # at its end
        (-600, 30, "info"),
        (-600, 600, "info"),
        (600, -600, "info"),
        (-600, -600, "critical"),  # without a warning in time
        (-600, -900, "info"),
        (600, 61, "critical"),
        (600, 60, "info"),
        (300, None, "critical"),
        (299, None, "info"),
        (-86_400, None, "info"),
    ],
)
def test_a_token_that_really_ended_is_not_the_clocks_fault(off_s: int, ends_s: int | None, severity: str) -> None:
    phone = Phone("alice")
    ends_us = None if ends_s is None else BEGIN_US + ends_s * SECOND_US
    login = phone.event("login", -9, details={"token_expires_at_us": ends_us}, **off(off_s * SECOND_US, -9))
    finding = found(60, login, phone.says("DISCONNECTED", "TOKEN_EXPIRED", 0, **off(off_s * SECOND_US)))
    assert finding is not None
    assert finding.severity == severity


def test_it_holds_while_the_device_is_live_or_was_heard_lately() -> None:
    phone = Phone("alice")
    online = phone.says("CONNECTED", "SUCCESS", 0, **off(YEAR))
    assert found(86_400, online) is not None
    ended = phone.says("DISCONNECTED", "SUCCESS", 60, **off(YEAR, 60))
    assert found(60 + 1_799, online, ended) is not None
    assert found(60 + 1_800, online, ended) is None


def test_a_warning_in_time_is_no_trouble() -> None:
    phone = Phone("alice")
    warned = phone.event(TOKEN_WILL_EXPIRE, 0, details={"second": 1}, **off(YEAR))
    finding = found(5, phone.says("CONNECTED", "SUCCESS", -1, **off(YEAR, -1)), warned)
    assert finding is not None
    assert finding.severity == "info"


def test_of_several_clocks_the_one_that_is_most_wrong() -> None:
    phones = [
        Phone("alice", name).says("CONNECTED", "SUCCESS", 0, device_id=name, **off(days * DAY_US))
        for name, days in (("a", 1), ("b", -3), ("c", 2))
    ]
    finding = found(5, *phones)
    assert finding is not None
    assert str(finding.summary) == "The clock of Web (b) is 3 d behind"
    assert finding.events == (phones[1].id,)


def test_a_clock_that_was_set_right_is_no_finding() -> None:
    phone, page = Phone("alice"), Phone("alice", "page")
    wrong = phone.says("CONNECTED", "SUCCESS", 0, device_id="p", **off(YEAR))
    assert found(60, wrong, phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 9)) is None
    assert found(60, wrong, page.says("CONNECTED", "SUCCESS", 9, device_id="p")) is None
    assert found(60, wrong, page.says("CONNECTED", "SUCCESS", 9, device_id="q")) is not None


def test_the_clock_of_the_server_is_not_the_devices() -> None:
    assert found(5, Phone("alice").event("server_user_action", 0, **off(YEAR))) is None


DAY = 86_400


@pytest.mark.parametrize("code", [6_000_106, 6_000_108, 6_000_109, "6000109"])
@pytest.mark.parametrize(
    ("off_s", "left_s", "explains"),
    [
        (-61, None, ()),
        (-61, 20, ()),
        (-DAY, -20, ()),
        (61, None, ()),
        (299, None, ()),
        (300, None, (6_000_106, 6_000_108)),
        (-300, None, (6_000_109,)),
        (61, 61, (6_000_106, 6_000_108)),
        (61, 62, (6_000_108,)),
        (61, 91, (6_000_108,)),
        (61, 92, ()),
        (3_600, 7_200, ()),
        (3_600, 30, (6_000_106,)),  # it is valid for less than half a minute by any clock
        (3_600, 0, ()),
        (-61, 24 * DAY, (6_000_109,)),
        (-61, 24 * DAY + 1, ()),
        (-61, 23 * DAY, ()),
        (-2 * DAY, 23 * DAY, (6_000_109,)),
        (2 * DAY, 24 * DAY, ()),
    ],
)
def test_a_clock_explains_a_code_where_the_token_looks_so_to_it(
    code: Any, off_s: int, left_s: int | None, explains: tuple[int, ...]
) -> None:
    phone = Phone("alice")
    ends_us = None if left_s is None else BEGIN_US + left_s * SECOND_US
    login = phone.event("login", -1, details={"token_expires_at_us": ends_us}, **off(off_s * SECOND_US, -1))
    refused = phone.event(LOGIN_RESULT, 0, details={"code": code}, **off(off_s * SECOND_US))
    life = Life.of(BEGIN_US + 5 * SECOND_US, "alice", [login, refused])
    first, second = findings.find(life)
    if int(code) in explains:
        assert (first.kind, first.severity) == ("clock_wrong", "critical")
        assert ("ends later" in str(first.summary)) == (off_s < 0)
        assert refused.id in first.events
    else:
        assert (first.kind, second.kind, second.severity) == ("login_refused", "clock_wrong", "info")


def test_the_clock_that_explains_an_expiry_is_named_before_one_that_is_more_wrong() -> None:
    phone, laptop = Phone("alice"), Phone("alice", "laptop")
    worse = laptop.says("CONNECTED", "SUCCESS", 0, device_id="laptop", **off(-YEAR))
    refused = phone.event(LOGIN_RESULT, 1, device_id="p", details={"code": 6_000_106}, **off(600 * SECOND_US, 1))
    finding = found(5, worse, refused)
    assert finding is not None
    assert (finding.severity, finding.events) == ("critical", (refused.id,))
