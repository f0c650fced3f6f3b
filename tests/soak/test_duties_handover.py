"""Two nodes, of which the one with the duties is killed, or stopped: its jobs are continued, and by one node alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import uuid
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from sidecar.clock import steady_us
from sidecar.domain.units import SECOND_US
from sidecar.store.duties import TRY_EVERY_S
from sidecar.store.postgres import connections
from tests.store.test_postgres import becomes
from tests.support import databases
from tests.support.called import SECRET, Called, listening
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.process import serving
from tests.support.wire import fresh_event

pytestmark = [pytest.mark.soak, pytest.mark.postgres]

SENDING = "sending to ops"
HANDED_OVER_S = 10
# How long a test waits for it, on a machine that does much else.
PATIENCE_S = 90
_HELD = re.compile(r'^zimwatch_duty_held\{duty="([^"]+)".*\} (\d)', re.MULTILINE)


class Node(msgspec.Struct, eq=False):
    address: str
    process: Process

    async def has(self) -> set[str]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.address}/metrics") as answer:
            return {duty for duty, held in _HELD.findall(await answer.text()) if held == "1"}

    async def kicks_out(self, *users: str) -> None:
        """Sends again as long as the node answers 503, as one does whose session ended while it was stopped."""
        batch = [fresh_event(user_id=user, client_id=str(uuid.uuid4()), state=0, event=4) for user in users]
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                async with session.post(f"{self.address}/v1/events", json=batch) as answer:
                    if answer.status != 503:
                        assert (await answer.json())["accepted"] == len(users)
                        return
                await asyncio.sleep(float(answer.headers["Retry-After"]))


class Outside(msgspec.Struct):
    """A receiver of alerts, and one of spans, which take nothing at first."""

    hook: Called
    collector: Receiver


@contextlib.asynccontextmanager
async def two_nodes(folder: Path) -> AsyncIterator[tuple[list[Node], Outside]]:
    """Two nodes, of which the first has the duties."""
    with databases.engine("postgresql"):
        async with listening(Called()) as hook, receiving() as collector, contextlib.AsyncExitStack() as stack:
            receiver = {"name": "ops", "type": "webhook", "url": f"{hook.url}/hook", "secret": SECRET}
            settings = {
                "ZIMWATCH_ALERTS__OFF": "kick_storm",
                "ZIMWATCH_ALERTS__GROUP_ALONE": "1000",
                "ZIMWATCH_ALERTS__MOST_PER_MINUTE": "1000",
                "ZIMWATCH_ALERTS__RECEIVERS": json.dumps([receiver | {"most_per_minute": 1_000}]),
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            }
            nodes = []
            for _ in range(2):
                nodes.append(Node(*await stack.enter_async_context(serving(folder, settings))))
                await becomes_holder(nodes[0])
            yield nodes, Outside(hook, collector)


async def becomes_holder(node: Node) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if {SENDING, "rules", "spans", "leases", "retention"} <= await node.has():
                return
            await asyncio.sleep(0.1)


def test_the_limits_hand_a_duty_over_within_ten_seconds() -> None:
    assert connections.IDLE_S + TRY_EVERY_S < HANDED_OVER_S


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_another_node_continues_what_one_did_that_ended_or_stalled(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with two_nodes(tmp_path) as ((first, second), outside):
        assert await second.has() == set()
        await second.kicks_out("alice")
        await outside.hook.wait(1, PATIENCE_S)
        # What the first node cannot deliver, and what the second one took, is left to the second.
        outside.hook.refusing(503, 1_000)
        outside.collector.failures = 1_000
        users = [f"user-{at}" for at in range(10)]
        await first.kicks_out(*users[:5])
        await second.kicks_out(*users[5:])
        await becomes(lambda: len(set(outside.hook.refused)) >= 3)
        first.process.send_signal(number)
        begun_us = steady_us()
        try:
            await becomes_holder(second)
            print(f"{number.name}: handed over after {(steady_us() - begun_us) / SECOND_US:.1f} s")  # noqa: T201
            outside.hook.refusing(503, 0)
            outside.collector.failures = 0
            await outside.hook.wait_for(
                lambda taken: {one["alert"]["user_id"] for one in taken} == {"alice", *users}, PATIENCE_S
            )
            await outside.collector.wait_for(spans=11, within_s=PATIENCE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                first.process.send_signal(signal.SIGCONT)
        if number == signal.SIGSTOP:
            await first.kicks_out("bob")
            await outside.hook.wait_for(lambda taken: "bob" in {one["alert"]["user_id"] for one in taken}, PATIENCE_S)
            assert await first.has() == set()
            await becomes_holder(second)
        else:
            await first.process.wait()
        check(outside)


def check(outside: Outside) -> None:
    """Each alert and each span kept its ids, and what was refused came again with them."""
    ids = defaultdict(set)
    for message_id, taken in zip(outside.hook.ids, outside.hook.taken, strict=True):
        ids[taken["alert"]["id"], taken["type"]].add(message_id)
    assert {len(found) for found in ids.values()} == {1}
    assert set(outside.hook.refused) <= set(outside.hook.ids)
    spans = defaultdict(set)
    for span in (*outside.collector.spans, *outside.collector.refused):
        (event_id,) = (one.value.string_value for one in span.attributes if one.key == "zim.event.id")
        spans[event_id].add((span.trace_id, span.span_id))
    assert {len(found) for found in spans.values()} == {1}
    assert outside.hook.wrong == []
