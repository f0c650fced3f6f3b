"""Limits on the events of a token, an address and a user; and pages whose origin a token is not for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.ingest import rate_limits
from sidecar.ingest.rate_limits import LimitedError, RateLimits, Sender
from sidecar.settings import IngestSettings, ServerSettings, Settings
from sidecar.store import log_positions
from tests.support.clocks import Machine
from tests.support.counted import calls
from tests.support.events import Phone
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event

APP_PAGE, OTHER_PAGE = "https://app.example", "https://other.example"


def limits(machine: Machine, token: int = 0, address: int = 0, user: int = 0) -> RateLimits:
    ingest = IngestSettings(token_events_a_minute=token, address_events_a_minute=address, user_events_a_minute=user)
    return RateLimits(Settings(ingest=ingest), machine.clock)


def sent(limits: RateLimits, sender: Sender, events: int, user: str = "alice", *, proven: bool | None = None) -> int:
    """The seconds to wait; 0 where the request was accepted."""
    event = msgspec.structs.replace(Phone(user).login(0), proven=proven)
    try:
        with limits.begin(sender).events([event] * events, 0):
            return 0
    except LimitedError as error:
        return error.retry_after_s


REQUESTS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 90)), min_size=1, max_size=60)


@pytest.mark.parametrize("limit", ["token", "address", "user"])
@given(requests=REQUESTS)
def test_a_sender_has_a_minutes_events_at_once_and_then_as_many_a_minute_but_for_its_last_batch(
    limit: str, requests: list[tuple[int, int]]
) -> None:
    machine, most = Machine(), 60
    counted, sender = limits(machine, **{limit: most}), Sender(1, "192.0.2.1")
    room, at_us = float(most), machine.now_us
    for events, pause_s in requests:
        room, at_us = min(most, room + (machine.now_us - at_us) / SECOND_US * most / 60), machine.now_us
        wait_s = sent(counted, sender, events)
        assert (wait_s == 0) == (room >= 1), room
        if wait_s > 0:
            assert wait_s - 1 <= 1 - room <= wait_s
            machine.passes(wait_s)
            room, at_us = room + wait_s, machine.now_us
            assert sent(counted, sender, events) == 0
        room -= events
        machine.passes(pause_s)


def test_others_are_not_held_up_and_a_request_that_is_refused_counts_nowhere() -> None:
    machine = Machine()
    counted = limits(machine, token=1_000, address=1_000, user=10)
    one, other = Sender(1, "192.0.2.1"), Sender(2, "192.0.2.1")
    assert sent(counted, one, 10) == 0
    waits = {sent(counted, one, 5) for _ in range(100)}
    assert waits == {6}, "the pause does not grow by trying"
    assert sent(counted, one, 5, "bob") == 0
    assert sent(counted, other, 5) == 6, "alice's limit is hers, whichever token sends"
    machine.passes(6)
    assert sent(counted, other, 1) == 0


def test_nobody_uses_up_the_limit_of_a_user_elsewhere_or_of_one_who_is_proven() -> None:
    counted = limits(Machine(), user=10)
    home, stranger = Sender(1, "192.0.2.1"), Sender(1, "192.0.2.2")
    assert sent(counted, stranger, 10, proven=False) == 0
    assert sent(counted, stranger, 1, proven=False) == 6
    assert sent(counted, home, 10, proven=False) == 0, "another address has a limit of its own"
    assert sent(counted, home, 1, proven=False) == 6
    assert sent(counted, stranger, 10, proven=True) == 0, "what is proven is not held up by what is not"
    assert sent(counted, home, 1, proven=True) == 6, "a proven user has one limit, wherever they are"


def test_what_could_not_be_stored_is_not_counted_and_a_clock_that_is_set_back_keeps_nobody_out_for_long() -> None:
    machine = Machine()
    counted = limits(machine, user=10)
    sender = Sender(1, None)
    for _ in range(50):
        with pytest.raises(StoreUnavailableError), counted.begin(sender).events([Phone("alice").login(0)] * 5, 0):
            raise StoreUnavailableError("full")
    assert sent(counted, sender, 10) == 0
    machine.is_set_by(-10 * 86_400)
    for most_s in (3_600, 6):
        wait_s = sent(counted, sender, 1)
        assert wait_s <= most_s
        machine.passes(wait_s)
    assert sent(counted, sender, 1) == 0


def test_memory_and_work_are_bounded_whatever_users_and_addresses_are_invented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TOKENS_MOST", "ADDRESSES_MOST", "USERS_MOST"):
        monkeypatch.setattr(rate_limits, name, 500)
    machine = Machine()
    counted = limits(machine, token=10**9, address=60, user=60)
    work = []
    for number in range(4_000):
        with calls() as count:
            assert sent(counted, Sender(number, f"192.0.2.{number}"), 1, f"user {number}" + "x" * 200) == 0
        work.append(count.number)
        machine.passes(0.001)
    assert max(work[100:]) <= 2 * min(work[100:]), "one more costs what one costs"
    for rate in (counted._tokens, counted._addresses, counted._users):
        assert len(rate.counts) == 500
    assert all(isinstance(key, int) for key in counted._users.counts), "no id is kept"


def events_of(user_id: str, count: int, first: int = 1) -> list[dict[str, Any]]:
    return [wire_event(seq=first + number, user_id=user_id) for number in range(count)]


async def post(running: Zimwatch, events: Any, secret: str | None = None, **headers: str) -> Any:
    given = headers | ({"Authorization": f"Bearer {secret}"} if secret else {})
    async with running.http.post("/v1/events", json=events, headers=given) as response:
        return response.status, response.headers, await response.json()


async def test_past_a_limit_the_answer_is_429_with_the_pause_and_nothing_of_the_request_is_stored(
    tmp_path: Path,
) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine, a_minute={"user": 6, "token": 20}) as running:
        _, secret = await new_token(running.store, "ingest")
        assert (await post(running, events_of("alice", 6), secret))[0] == 200
        before = await running.store.read(log_positions.newest_position)
        mixed = events_of("bob", 1) + events_of("alice", 1, 7)
        status, headers, answer = await post(running, mixed, secret)
        assert (status, headers["Retry-After"], headers.getall("Content-Type")) == (
            429,
            "10",
            ["application/problem+json"],
        )
        assert "this user than 6 a minute" in answer["detail"]
        assert await running.store.read(log_positions.newest_position) == before
        machine.passes(10)
        assert (await post(running, mixed, secret))[2]["accepted"] == 2
        for number in range(30):
            status, headers, answer = await post(running, events_of(f"user {number}", 1), secret)
            if status == 429:
                break
        assert "this token than 20 a minute" in answer["detail"]
        _, other = await new_token(running.store, "ingest")
        assert (await post(running, events_of("dave", 1), other))[0] == 200
        _, read = await new_token(running.store, "read")
        async with running.http.get("/metrics", headers={"Authorization": f"Bearer {read}"}) as response:
            lines = (await response.text()).splitlines()
        counted = {line.split('"')[1]: line.split()[-1] for line in lines if "ingest_limited_total{" in line}
        assert float(counted["user"]) >= 1
        assert float(counted["token"]) >= 1


async def test_without_a_token_on_this_machine_and_for_another_zimwatch_there_is_no_limit(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, a_minute={"user": 1, "token": 1, "address": 1}) as running:
        for number in range(5):
            assert (await post(running, events_of("alice", 3, 3 * number + 1)))[0] == 200
        _, forward = await new_token(running.store, "forward")
        for number in range(5, 10):
            assert (await post(running, events_of("alice", 3, 3 * number + 1), forward))[0] == 200
        _, ingest = await new_token(running.store, "ingest")
        assert (await post(running, events_of("alice", 3, 31), ingest))[0] == 200
        assert (await post(running, events_of("bob", 3, 34), ingest))[0] == 429


async def test_an_address_is_that_of_the_client_and_is_not_counted_where_a_proxy_hides_it(tmp_path: Path) -> None:
    trusting = ServerSettings(trusted_proxies=("127.0.0.1",))
    for folder, server, statuses in (
        ("trusted", trusting, [200, 429, 200, 200, 429]),
        ("hidden", None, [200, 200, 200, 200, 200]),
    ):
        (tmp_path / folder).mkdir()
        async with zimwatch(tmp_path / folder, machine=Machine(), server=server, a_minute={"address": 3}) as running:
            _, secret = await new_token(running.store, "ingest")
            found = []
            for number, client in enumerate(
                ("198.51.100.7", "203.0.113.9, 198.51.100.7", "198.51.100.8", "2001:db8::1", "2001:db8::2")
            ):
                forwarded = {"X-Forwarded-For": client}
                found.append((await post(running, events_of(f"user {number}", 3), secret, **forwarded))[0])
            assert found == statuses
    async with zimwatch(tmp_path, machine=Machine(), a_minute={"address": 3}) as running:
        _, secret = await new_token(running.store, "ingest")
        assert [(await post(running, events_of(name, 3), secret))[0] for name in ("alice", "bob")] == [200, 429]


async def test_what_is_refused_costs_its_token_no_more_than_one_event_and_is_refused_before_its_body_is_read(
    tmp_path: Path,
) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine, a_minute={"token": 3}) as running:
        _, secret = await new_token(running.store, "ingest")
        found = [(await post(running, "no event", secret))[0] for _ in range(4)]
        assert found == [400, 400, 400, 429]
        machine.passes(20)
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        async with running.http.post("/v1/events?dry_run=1", json=events_of("alice", 1), headers=headers) as response:
            assert response.status == 200, "a dry run counts too"
        assert (await post(running, "no event", secret))[0] == 429


async def test_a_page_of_an_origin_that_the_token_is_not_for_is_refused_and_can_read_why(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, allowed_origins=(APP_PAGE, OTHER_PAGE, f"{APP_PAGE}:444")) as running:
        _, bound = await new_token(running.store, "ingest", origins=(APP_PAGE,))
        _, free = await new_token(running.store, "ingest")
        tried = (
            (bound, APP_PAGE, 200),
            (bound, OTHER_PAGE, 403),
            (bound, "http://localhost:5173", 403),
            (bound, "https://app.example:444", 403),
            (bound, None, 200),
            (free, OTHER_PAGE, 200),
            (free, "https://third.example", 403),
        )
        for number, (secret, origin, wanted) in enumerate(tried, 1):
            page = {} if origin is None else {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            status, headers, answer = await post(running, [wire_event(seq=number)], secret, **page)
            assert status == wanted, (origin, answer)
            if origin is not None and origin != "https://third.example":
                assert headers["Access-Control-Allow-Origin"] == origin
            if (secret, wanted) == (bound, 403):
                assert "--origin" in answer["detail"]
        preflight = {"Origin": APP_PAGE, "Access-Control-Request-Method": "POST"}
        async with running.http.options("/v1/events", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == APP_PAGE
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


async def test_a_token_of_several_apps_sends_for_each_of_them_and_for_no_other(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, apps=(7,)) as running:
        _, secret = await new_token(running.store, "ingest", apps=(8, 9))
        both = [wire_event(seq=1, app_id=8), wire_event(seq=2, app_id=9)]
        assert (await post(running, both, secret))[2]["accepted"] == 2
        status, _, answer = await post(running, [*both, wire_event(seq=3, app_id=7)], secret)
        assert (status, "for these apps: 8, 9" in answer["detail"]) == (403, True)
