"""A token that expired without a warning in time."""

from __future__ import annotations

from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from tests.support.lives import Device, advice, found, ids, one


def token(at: float, events: list[Event]) -> Finding:
    return one(at, events, "token_expired")


def test_it_is_critical_while_the_user_is_logged_in_nowhere() -> None:
    device = Device()
    events = [*device.logs_in(0), device.expires(598)]
    for at in (599, 500_000):
        finding = token(at, events)
        assert (finding.severity, str(finding.summary), finding.events) == (
            "critical",
            "carol: the token expired (no warning of it was reported)",
            ids(events[-1]),
        )
        assert "do not retry in code" in advice(finding)
    again = token(901, [*events, *device.logs_in(900)])
    assert (again.severity, str(again.say)[:27]) == ("info", "Your session had run out an")


def test_the_state_connected_that_follows_an_expired_token_is_no_login() -> None:
    device = Device()
    trap = [
        device.login(0),
        device.warned(0.1, second=-5),
        device.says("CONNECTED", "SUCCESS", 0.2),
        device.expires(0.3),
        device.says("CONNECTED", "SUCCESS", 0.4),
        device.result(0.5),
        device.fails(1),
    ]
    finding = token(5_000, trap)
    assert finding.severity == "critical"
    assert "logged in with an old token" in str(finding.summary)
    assert finding.events == ids(trap[1], trap[3])
    assert token(10, trap).events == ids(trap[1], trap[3], trap[6])


def test_a_phone_that_slept_past_the_end_had_no_time_to_renew() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(9_000, second=-3_000), device.expires(9_000.1)]
    assert "the device slept" in str(token(9_001, events).summary)


def test_a_repeated_callback_is_one_expiry() -> None:
    device = Device()
    events = [*device.logs_in(0), device.warned(570), device.expires(598), device.expires(599)]
    assert [one.kind for one in found(600, events)] == ["token_not_renewed"]
    unwarned = Device()
    events = [*unwarned.logs_in(0), unwarned.expires(598), unwarned.expires(599)]
    assert (token(600, events).severity, token(600, events).events) == ("critical", ids(events[-2]))
