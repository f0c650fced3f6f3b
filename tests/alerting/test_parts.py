"""The parts of alerts that are true by themselves: signatures, addresses, hours, retries, budgets, words."""

from __future__ import annotations

import ipaddress
import socket
from datetime import UTC, datetime, time
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.alerting.outgoing import Allowed, DeliveryError, Outgoing, RefusedAddressError, raise_for
from sidecar.alerting.receivers.webhook import key_of, signature
from sidecar.domain.alerting import words
from sidecar.domain.alerting.alert import Subject, fingerprint
from sidecar.domain.alerting.grouping import Budget, Grouping, Waiting
from sidecar.domain.alerting.matching import Hours, matches
from sidecar.domain.alerting.retry import FIRST_US, LONGEST_ASKED_US, LONGEST_US, next_attempt_us
from tests.support.called import Called, listening

SECOND_US = 1_000_000


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of its specification 1.0.0, "Signature scheme".
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def may_call(host: str, address: str, *allowed: str) -> bool:
    try:
        Allowed(allowed).check(host, ipaddress.ip_address(address))
    except RefusedAddressError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "address", "allowed", "may"),
    [
        ("hooks.example.com", "93.184.215.14", (), True),
        ("127.0.0.1", "127.0.0.1", (), True),
        ("localhost", "127.0.0.1", (), True),
        ("::1", "::1", (), True),
        ("rebound.example.com", "127.0.0.1", (), False),
        ("rebound.example.com", "::ffff:127.0.0.1", (), False),
        ("rebound.example.com", "169.254.169.254", (), False),
        ("169.254.169.254", "169.254.169.254", (), False),
        ("10.1.2.3", "10.1.2.3", (), False),
        ("10.1.2.3", "10.1.2.3", ("10.0.0.0/8",), True),
        ("am.internal", "10.1.2.3", ("am.internal",), True),
        ("am.internal", "10.1.2.3", ("10.1.2.3",), True),
        ("other.internal", "10.1.2.3", ("am.internal",), False),
        ("a.example", "0.0.0.0", (), False),  # noqa: S104 - an address to refuse
        ("a.example", "fd00::1", (), False),
        ("a.example", "224.0.0.1", (), False),
    ],
)
def test_a_name_leads_only_where_it_is_meant_to(
    host: str, address: str, allowed: tuple[str, ...], *, may: bool
) -> None:
    assert may_call(host, address, *allowed) is may


async def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    outgoing = Outgoing()
    try:
        for url in ("http://169.254.169.254/latest/meta-data", "http://10.0.0.1:1/x"):
            with pytest.raises(DeliveryError, match=r"alerts\.allowed_hosts") as caught:
                await outgoing.send(url)
            assert caught.value.permanent
    finally:
        await outgoing.close()


class Rebound(AbstractResolver):
    """A name server that has been told to lead to this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


@pytest.mark.parametrize("allowed", [(), ("hooks.example.com",)])
async def test_a_name_that_leads_here_is_refused_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sidecar.alerting.outgoing.ThreadedResolver", Rebound)
    async with listening(Called()) as called:
        outgoing = Outgoing(allowed)
        url = called.url.replace("127.0.0.1", "hooks.example.com") + "/any"
        try:
            if allowed:
                assert (await outgoing.send(url))[0] == 200
            else:
                with pytest.raises(DeliveryError, match=r"hooks.example.com is 127.0.0.1, .* alerts\.allowed_hosts"):
                    await outgoing.send(url)
        finally:
            await outgoing.close()
        assert len(called.taken) == len(allowed)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(301, True), (400, True), (404, True), (410, True), (408, False), (429, False), (503, False)],
)
def test_a_status_says_whether_to_try_again(status: int, *, permanent: bool) -> None:
    with pytest.raises(DeliveryError) as caught:
        raise_for(status, {"Retry-After": "7"}, "no")
    assert caught.value.permanent is permanent
    raise_for(204, {}, "")


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.integers(-5, 10**12))
def test_a_retry_comes_later_and_not_too_late(attempts: int, chance: float, asked: int | None) -> None:
    pause = next_attempt_us(0, attempts, chance, asked)
    if asked is None:
        assert FIRST_US // 2 <= pause <= LONGEST_US
    else:
        assert max(0, min(asked, LONGEST_ASKED_US)) <= pause <= LONGEST_ASKED_US * 1.1


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_US


@pytest.mark.parametrize(
    ("moment", "covered"),
    [
        ("2026-11-24T08:00:00", True),  # a Tuesday, 09:00 in Berlin
        ("2026-11-24T07:59:59", False),
        ("2026-11-24T16:00:00", False),
        ("2026-11-28T10:00:00", False),  # a Saturday
    ],
)
def test_hours_are_those_of_a_place(moment: str, *, covered: bool) -> None:
    days = ("mon", "tue", "wed", "thu", "fri")
    hours = Hours(begin=time(9), end=time(17), days=days, timezone="Europe/Berlin")
    assert hours.cover(at(moment)) is covered


@pytest.mark.parametrize(
    ("moment", "covered"),
    [
        ("2026-11-24T23:00:00", True),
        ("2026-11-25T05:59:00", True),
        ("2026-11-25T06:00:00", False),
        ("2026-11-24T05:00:00", False),
    ],
)
def test_hours_may_reach_into_the_next_day(moment: str, *, covered: bool) -> None:
    assert Hours(begin=time(22), end=time(6), days=("tue",)).cover(at(moment)) is covered


def test_only_the_star_is_special_in_a_matcher() -> None:
    assert matches({"user_id": ("bob*", "[a]?")}, {"user_id": "bobby"})
    assert matches({"user_id": ("[a]?*",)}, {"user_id": "[a]?x"})
    assert not matches({"user_id": ("[a]*",)}, {"user_id": "ax"})
    assert not matches({"user_id": ("*",)}, {"kind": "kick_storm"})


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["kicked_out", "token_expired"]), st.integers(0, 3), st.text(max_size=3)),
        unique=True,
        max_size=8,
    )
)
def test_a_fingerprint_is_of_one_thing_alone(things: list[tuple[str, int, str]]) -> None:
    made = {fingerprint(kind, Subject(app_id, user_id)) for kind, app_id, user_id in things}
    assert len(made) == len(things)
    assert fingerprint("kicked_out", Subject(1, None, "a")) != fingerprint("kicked_out", Subject(1, "a"))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from("ab")), max_size=80), st.integers(1, 5), st.integers(0, 4)
)
def test_no_minute_has_more_messages_than_its_budget_and_nothing_is_left_out(
    notifications: list[tuple[int, str]], most: int, alone: int
) -> None:
    overall = Budget(most)
    grouping = Grouping(alone=alone, interval_us=30 * SECOND_US, own=Budget(100), overall=overall)
    waiting = [
        Waiting(id=number, alert_id=number, what="firing", group=group, due_us=second * SECOND_US)
        for number, (second, group) in enumerate(notifications)
    ]
    sent: list[int] = []
    told: list[int] = []
    for second in range(420):
        due = [one for one in waiting if one.due_us <= second * SECOND_US and one.id not in told]
        for planned in grouping.plan(due, frozenset(), second * SECOND_US):
            sent.append(second)
            told += [one.id for one in planned.notifications]
    assert sorted(told) == list(range(len(waiting)))
    assert all(sum(begin <= one < begin + 60 for one in sent) <= most for begin in range(420))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (30, "30 s"),
        (60, "1 min"),
        (90, "90 s"),
        (3_600, "1 h"),
        (5_400, "90 min"),
        (90_000, "25 h"),
        (172_800, "2 d"),
    ],
)
def test_a_time_is_told_in_the_unit_that_fits(seconds: int, text: str) -> None:
    assert words.long(seconds * SECOND_US) == text
