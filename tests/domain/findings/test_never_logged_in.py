"""A user with events and no connection is a finding, and it says what is missing."""

from __future__ import annotations

from sidecar.domain.events import LOGIN_RESULT, SERVER_USER_ACTION, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.never_logged_in import NeverLoggedIn
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

PHONE = Phone("alice")
LOGIN = PHONE.login(0)
SERVER = Phone("alice", "server").event(SERVER_USER_ACTION, 1, details={"status": "online", "action": 0})


def result(at: float, code: int) -> Event:
    return PHONE.event(LOGIN_RESULT, at, details={"code": code, "message": ""})


def found(at: float, *events: Event) -> Finding | None:
    return NeverLoggedIn.find(Life.of(BEGIN_US + int(at * SECOND_US), "alice", events))


def test_a_login_that_stays_pending() -> None:
    assert found(29, LOGIN) is None
    finding = found(30, LOGIN, SERVER)
    assert finding is not None
    assert (finding.kind, finding.severity, finding.events) == ("never_logged_in", "warning", (LOGIN.id,))
    assert "login was called" in str(finding.summary)
    assert "after CONNECTED" in str(finding.advice[0])
    assert found(86_400 * 30, LOGIN) is not None


def test_each_attempt_has_its_time() -> None:
    assert found(50, LOGIN, PHONE.login(40)) is None


def test_a_login_that_succeeded_without_a_callback() -> None:
    finding = found(5, LOGIN, done := result(1, 0))
    assert finding is not None
    assert finding.events == (LOGIN.id, done.id)
    assert "no connection has ever been reported" in str(finding.summary)
    assert "before create" in str(finding.advice[0])


def test_only_the_server_knows_the_user() -> None:
    finding = found(5, SERVER)
    assert finding is not None
    assert (finding.severity, finding.events) == ("info", (SERVER.id,))
    assert "tap" in str(finding.advice[0])


def test_any_connection_or_refusal_says_more() -> None:
    for state, event in (("CONNECTED", "SUCCESS"), ("RECONNECTING", "LOGIN_INTERRUPTED"), ("DISCONNECTED", "SUCCESS")):
        assert found(60, LOGIN, PHONE.says(state, event, 9)) is None
    assert found(60, LOGIN, result(1, 6_000_103)) is None
    assert found(60) is None
