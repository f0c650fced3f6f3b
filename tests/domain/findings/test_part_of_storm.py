"""A storm with the user on its record is a finding, and the first where the user is affected still."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain import findings
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.rules import STORMS
from sidecar.domain.events import Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.part_of_storm import PartOfStorm
from sidecar.domain.texts import verbatim
from sidecar.domain.units import SECOND_US
from tests.support.events import APP_ID, BEGIN_US, Phone


def storm(kind: str, at: float = 8, id: int = 1) -> Alert:  # noqa: A002 - the alert's
    at_us = BEGIN_US + int(at * SECOND_US)
    return Alert(
        id=id,
        kind=kind,
        fingerprint="f",
        severity="critical",
        subject=Subject(APP_ID),
        started_at_us=at_us,
        opened_at_us=at_us,
        summary=verbatim(f"400 users, 96% on SDK 2.28.0 ({kind})"),
        facts={"since_us": at_us - 5 * SECOND_US},
    )


def life(*events: Event, **more: Any) -> Life:
    return Life.of(BEGIN_US + 60 * SECOND_US, "alice", events, **more)


@pytest.mark.parametrize(
    ("kind", "state", "event"),
    [
        ("kick_storm", "DISCONNECTED", "KICKED_OUT"),
        ("reconnect_storm", "RECONNECTING", "LOGIN_INTERRUPTED"),
        ("offline_storm", "RECONNECTING", "LOGIN_INTERRUPTED"),
    ],
)
def test_it_comes_first_with_the_events_of_the_storm(kind: str, state: str, event: str) -> None:
    phone = Phone("alice")
    before = phone.says(state, event, -60)
    online = [phone.login(-50), phone.says("CONNECTED", "SUCCESS", -49), phone.event("token_will_expire", 1)]
    events = [*online, own := phone.says(state, event, 3), phone.event("api_error", 9, details={"code": 1})]
    found = findings.find(life(before, *events, storms=[storm(kind)]))
    assert (found[0].kind, found[0].severity) == ("part_of_storm", "critical")
    assert found[0].events == (own.id,)
    assert found[0].since_us == BEGIN_US + 8 * SECOND_US
    assert str(found[0].summary) == f"Not only this user: 400 users, 96% on SDK 2.28.0 ({kind})"
    assert "not only you" in str(found[0].say)


def test_silent_users_have_their_newest_event_as_evidence() -> None:
    phone = Phone("alice")
    events = [phone.login(-2), newest := phone.says("CONNECTED", "SUCCESS", -1)]
    finding = PartOfStorm.find(life(*events, storms=[storm("lost_storm")], status="online", unconfirmed=True))
    assert finding is not None
    assert (finding.severity, finding.events) == ("critical", (newest.id,))


def test_every_kind_of_storm_is_known() -> None:
    phone = Phone("alice")
    for kind in STORMS:
        finding: Finding | None = PartOfStorm.find(life(phone.says("RECONNECTING", "X", 1), storms=[storm(kind)]))
        assert finding is not None
        assert finding.events


def test_who_is_connected_again_is_told_so() -> None:
    phone = Phone("alice")
    events = [phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 3), phone.says("CONNECTED", "SUCCESS", 9)]
    finding = PartOfStorm.find(life(*events, storms=[storm("reconnect_storm")]))
    assert finding is not None
    assert (finding.severity, "For you it is over" in str(finding.say)) == ("info", True)


def test_calls_that_fail_for_many_are_told_to_who_is_online() -> None:
    phone = Phone("alice")
    online = phone.says("CONNECTED", "SUCCESS", -9)
    failed = phone.event("api_error", 3, details={"method": "sendMessage", "code": 6_000_105, "message": ""})
    found = findings.find(life(online, failed, storms=[storm("calls_failing")]))
    assert (found[0].kind, found[0].severity, found[0].events) == ("part_of_storm", "critical", (failed.id,))
    later = phone.event("token_will_expire", 5, details={})
    for at, severity in ((3 + 1_799, "critical"), (3 + 1_800, "info")):
        now_us = BEGIN_US + at * SECOND_US
        finding = PartOfStorm.find(Life.of(now_us, "alice", [online, failed, later], storms=[storm("calls_failing")]))
        assert finding is not None
        assert (finding.severity, finding.events) == (severity, (failed.id,))


def test_of_several_the_newest() -> None:
    storms = [storm("kick_storm", 1, 1), storm("reconnect_storm", 9, 2), storm("offline_storm", 5, 3)]
    finding = PartOfStorm.find(life(Phone("alice").says("RECONNECTING", "X", 1), storms=storms))
    assert finding is not None
    assert "reconnect_storm" in str(finding.summary)


def test_without_a_storm_or_an_event_there_is_none() -> None:
    assert PartOfStorm.find(life(Phone("alice").says("RECONNECTING", "X", 1))) is None
    assert PartOfStorm.find(life(storms=[storm("kick_storm")])) is None
