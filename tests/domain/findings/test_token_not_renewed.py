"""A warning without a renewal, and a renewal that failed."""

from __future__ import annotations

import pytest

from sidecar.domain.events import Event
from sidecar.domain.findings import Finding
from tests.support.lives import Device, advice, found, ids, one


def token(at: float, events: list[Event]) -> Finding:
    return one(at, events, "token_not_renewed")


def until_the_warning(device: Device) -> list[Event]:
    return [*device.logs_in(0), device.warned(570)]


def test_warned_not_renewed_and_expired_is_critical_until_a_login() -> None:
    device = Device()
    events = [*until_the_warning(device), device.expires(598)]
    for at in (599, 100_000):
        finding = token(at, events)
        assert (finding.severity, str(finding.summary)) == (
            "critical",
            "carol: the token expired (warned 30 s before, no renewToken call followed)",
        )
        assert finding.events == ids(*events[-2:])
        assert "sign in again" in str(finding.say)
        assert "renewToken when onTokenWillExpire" in advice(finding)
    again = [*events, *device.logs_in(900)]
    mended = token(901, again)
    assert (mended.severity, str(mended.summary)[-22:]) == ("info", "; logged in again since"[1:])
    assert "log in again" not in advice(mended)
    assert not found(598 + 1_800, again)


@pytest.mark.parametrize("end", ["renewal", "login", "logout", "disconnected"])
def test_a_warning_that_was_heeded_or_no_longer_counts_is_no_finding(end: str) -> None:
    device = Device()
    events = until_the_warning(device)
    if end == "renewal":
        events.append(device.renews(572))
    elif end == "login":
        events += device.logs_in(572)
    elif end == "logout":
        events.append(device.event("logout", 572))
    else:
        events.append(device.says("DISCONNECTED", "SUCCESS", 572))
    assert not found(5_000, events)
    assert not found(640, events)


def test_the_app_has_the_time_to_renew_that_the_warning_gives_it() -> None:
    device = Device()
    events = until_the_warning(device)
    assert not found(629, events)
    finding = token(630, events)
    assert (finding.severity, str(finding.summary)) == (
        "warning",
        "carol: the token was to end 30 s after the SDK's warning, and no renewToken call followed",
    )
    assert str(finding.say).startswith("The app could not extend your session.")
    assert not found(570 + 1_800, events)


def test_calls_that_fail_since_are_its_evidence_with_or_without_the_callback() -> None:
    device = Device()
    events = until_the_warning(device)
    calls = [device.fails(700 + number) for number in range(4)]
    silent = token(1_000, [*events, *calls])
    assert (silent.severity, silent.events) == ("critical", ids(events[-1], *calls))
    assert str(silent.say).startswith("Your session has run out")
    device = Device()
    events = [*until_the_warning(device), device.expires(598)]
    calls = [device.fails(700 + number) for number in range(4)]
    assert token(1_000, [*events, *calls]).events == ids(*events[-2:], *calls)


def test_a_call_that_fails_before_the_end_of_the_token_has_another_cause() -> None:
    device = Device()
    events = [*until_the_warning(device), device.fails(575)]
    assert [one.kind for one in found(580, events)] == ["calls_failing"]


def test_a_renewal_that_failed_is_named_with_its_code_in_words() -> None:
    device = Device()
    events = [*until_the_warning(device), device.renews(572, code=6_000_103)]
    soon = token(573, events)
    assert (soon.severity, str(soon.summary)) == (
        "warning",
        "carol: renewToken failed with 6000103: the token is not valid",
    )
    assert "the token that your server issues" in advice(soon)
    assert "log in again" not in advice(soon)
    twice = [*events, device.renews(575, code=6_000_106)]
    assert str(token(576, twice).summary).endswith("6000106: the token has expired")
    expired = token(600, [*events, device.expires(598)])
    assert expired.severity == "critical"
    assert str(expired.summary) == (
        "carol: the token expired (warned 30 s before, renewToken failed with 6000103: the token is not valid)"
    )
    mended = [*events, Device.renews(device, 580)]
    assert not found(590, mended)


def test_a_renewal_may_fail_without_a_warning() -> None:
    device = Device()
    events = [*device.logs_in(0), device.renews(400, code=6_000_104), device.expires(598)]
    finding = token(600, events)
    assert str(finding.summary) == "carol: the token expired (renewToken failed with 6000104: no network)"
    assert finding.events == ids(*events[-2:])


def test_a_second_call_at_once_is_no_failure() -> None:
    device = Device()
    events = [*until_the_warning(device), device.renews(571), device.renews(571.1, code=6_000_004)]
    assert not found(2_000, events)


def test_another_device_that_stays_online_makes_it_a_warning() -> None:
    device, other = Device(), Device(name="laptop")
    events = [*other.logs_in(-10), *until_the_warning(device), device.expires(598)]
    assert token(600, events).severity == "warning"
    assert not found(598 + 1_800, events)


@pytest.mark.parametrize("second", [10**30, -(10**30), None, "soon", True])
def test_a_warning_may_say_anything(second: object) -> None:
    device = Device()
    events = [*device.logs_in(0), device.event("token_will_expire", 10, details={"second": second})]
    assert len(found(100_000, [*events, device.expires(99_999)])) == 1


@pytest.mark.parametrize(
    ("code", "advised"),
    [
        (6_000_101, ("the token that your server issues", "6000101: ")),
        (6_000_103, ("the token that your server issues", "6000103: ")),
        ("6000106", ("the token that your server issues", "6000106: ")),
        (6_000_108, ("the token that your server issues", "6000108: ")),
        (6_000_104, ("the network, and not the token",)),
        (6_000_105, ("the network, and not the token",)),
        (6_000_121, ("Look up the code",)),
        (None, ("Look up the code",)),
    ],
)
@pytest.mark.parametrize("has_expired", [True, False])
def test_an_app_that_called_renew_token_is_not_told_to_call_it(
    code: object, advised: tuple[str, ...], *, has_expired: bool
) -> None:
    device = Device()
    events = until_the_warning(device)
    events.append(device.event("token_renewed", 572, details={"code": code, "token_expires_at_us": None}))
    events += [device.expires(598)] if has_expired else []
    own = [str(one) for one in token(600, events).advice]
    assert "onTokenWillExpire" not in "".join(own)
    assert len(own) == len(advised) + has_expired
    for text, part in zip(own, advised, strict=False):
        assert part in text
