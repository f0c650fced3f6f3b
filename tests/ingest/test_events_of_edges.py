"""What an edge is believed, with a token of scope ``forward``, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.domain import rfc3339
from sidecar.domain.units import SECOND_US
from sidecar.ingest import decode
from sidecar.settings import AssertionSettings
from tests.support.assertions import APP, BY_SECRET, assertion
from tests.support.events import BEGIN_US
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event

OBSERVED = "2026-11-23T13:00:00.123Z"
OCCURRED = "2026-11-23T09:59:59.999Z"


async def send(
    running: Zimwatch, events: list[dict[str, Any]], scope: str, *, apps: tuple[int, ...] = (), query: str = ""
) -> tuple[int, Any]:
    _, secret = await new_token(running.store, scope, apps=apps)
    return await running.send(events, query, Authorization=f"Bearer {secret}")


async def stored(running: Zimwatch, app_id: int = APP, user_id: str = "alice") -> list[dict[str, Any]]:
    """The events of a user, oldest first."""
    _, reader = await new_token(running.store, "read")
    answer = (await running.get(f"/v1/users/{app_id}/{user_id}/events", Authorization=f"Bearer {reader}"))[1]
    return list(reversed(answer["events"]))


@pytest.mark.parametrize(("scope", "moment"), [("forward", OBSERVED), ("ingest", OCCURRED)])
async def test_the_moment_that_is_observed_is_believed_of_an_edge_alone(
    running: Zimwatch, scope: str, moment: str
) -> None:
    status, answer = await send(running, [wire_event(occurred_at=OCCURRED, observed_at=OBSERVED)], scope)
    assert (status, answer["accepted"]) == (200, 1)
    (event,) = await stored(running)
    assert (event["moment"], event["occurred_at"]) == (moment, OCCURRED)


async def test_this_machine_without_a_token_may_do_all_and_is_no_edge(running: Zimwatch) -> None:
    await running.send([wire_event(occurred_at=OCCURRED, observed_at=OBSERVED, proven=True)])
    (event,) = (await running.get(f"/v1/users/{APP}/alice/events"))[1]["events"]
    assert (event["moment"], event.get("proven")) == (OCCURRED, None)


def observed(at_us: int, sent_us: int, *, of_edge: bool = True) -> int:
    event = wire_event(occurred_at=OCCURRED, observed_at=rfc3339.text(at_us))
    body = msgspec.json.encode([event])
    ((_, decoded),) = decode(body, "json", BEGIN_US, sent_at_us=sent_us, of_edge=of_edge).events
    return decoded.moment_us


@pytest.mark.parametrize("slow_us", [0, 3 * SECOND_US, 10 * SECOND_US])
def test_a_slow_request_of_an_edge_moves_no_moment(slow_us: int) -> None:
    assert observed(BEGIN_US - 60 * SECOND_US, BEGIN_US - slow_us) == BEGIN_US - 60 * SECOND_US


@pytest.mark.parametrize("off_us", [11 * SECOND_US, -11 * SECOND_US, 3_600 * SECOND_US])
def test_an_edge_whose_clock_is_off_is_corrected_by_what_it_showed_at_sending(off_us: int) -> None:
    assert observed(BEGIN_US + off_us - 60 * SECOND_US, BEGIN_US + off_us) == BEGIN_US - 60 * SECOND_US


def test_no_edge_has_observed_what_is_to_come_or_was_before_any_device() -> None:
    assert observed(BEGIN_US + SECOND_US, BEGIN_US) == BEGIN_US
    assert observed(0, BEGIN_US) == BEGIN_US


def test_a_time_that_few_languages_can_hold_is_read_of_an_edge_and_ignored_of_others() -> None:
    event = wire_event(occurred_at="+012345-01-01T00:00:00Z", observed_at=OBSERVED)
    body = msgspec.json.encode([event, event | {"occurred_at": OCCURRED, "observed_at": "+012345-01-01T00:00:00Z"}])
    of_edge = [one.moment_us for _, one in decode(body, "json", BEGIN_US, of_edge=True).events]
    assert of_edge == [rfc3339.microseconds(OBSERVED), BEGIN_US]
    others = [one.moment_us for _, one in decode(body, "json", BEGIN_US).events]
    assert others == [BEGIN_US, rfc3339.microseconds(OCCURRED)]


async def test_an_event_of_another_app_than_the_edges_token_is_rejected_by_name_and_holds_up_none(
    running: Zimwatch,
) -> None:
    events = [wire_event(), wire_event(seq=2, app_id=7), wire_event(seq=3)]
    status, answer = await send(running, events, "forward", apps=(APP,))
    assert (status, answer["accepted"]) == (200, 2)
    error = f"the token is for these apps: {APP}; the event is of app 7"
    assert [(one["index"], one["error"]) for one in answer["rejected"]] == [(1, error)]
    status, answer = await send(running, events, "ingest", apps=(APP,))
    assert status == 403


async def test_an_app_that_is_not_listed_is_rejected_by_name(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, apps=(APP,)) as running:
        _, answer = await send(running, [wire_event(), wire_event(seq=2, app_id=7)], "forward")
        assert answer["accepted"] == 1
        assert "app_id 7 is not one of the apps of this server" in answer["rejected"][0]["error"]


@pytest.mark.parametrize("require", [False, True])
async def test_an_edge_says_which_events_are_proven_and_no_assertion_of_its_request_counts(
    tmp_path: Path, *, require: bool
) -> None:
    key: AssertionSettings = msgspec.structs.replace(BY_SECRET, require=require)
    events = [wire_event(proven=True), wire_event(seq=2, proven=False), wire_event(seq=3), wire_event(seq=4, app_id=7)]
    async with zimwatch(tmp_path, assertions=(key,)) as running:
        _, secret = await new_token(running.store, "forward")
        by = {"Authorization": f"Bearer {secret}", "Zimwatch_Assertion": assertion()}
        _, answer = await running.send(events, **by)
        assert [one["index"] for one in answer["rejected"]] == ([1, 2] if require else [])
        assert [one.get("proven") for one in await stored(running)] == ([True] if require else [True, False, False])
        assert [one.get("proven") for one in await stored(running, 7)] == [None]


async def test_an_ingest_token_proves_nothing_by_saying_so(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, assertions=(BY_SECRET,)) as running:
        await send(running, [wire_event(proven=True)], "ingest")
        assert [one.get("proven") for one in await stored(running)] == [False]
