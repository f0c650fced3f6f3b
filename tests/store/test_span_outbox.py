"""The span outbox: which spans are pending, and until when."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from sidecar.domain.units import SECOND_US
from sidecar.store import (
    Store,
)
from sidecar.store.log import span_outbox
from sidecar.store.values import Backlog
from tests.support.events import BEGIN_US, Phone
from tests.support.stores import opened
from tests.support.work import counted

pytestmark = pytest.mark.both_engines("soak")


async def test_a_session_is_one_trace_whose_first_event_is_the_root(store: Store) -> None:
    alice = Phone("alice")
    alice.login(at=0)
    states = ("CONNECTING", "CONNECTED", "RECONNECTING")
    await store.append([alice.says(state, "SUCCESS", at=at) for at, state in enumerate(states)])
    spans = await store.read(span_outbox.claim, 0, 10)
    assert [span.starts_trace for span in spans] == [True, False, False]
    assert {span.trace_id for span in spans} == {alice.session_id}
    assert [(span.previous_state, span.user_status) for span in spans] == [
        (None, "not_logged_in"),
        ("CONNECTING", "online"),
        ("CONNECTED", "offline"),
    ]


async def test_a_span_is_pending_until_it_is_acknowledged(store: Store) -> None:
    alice = Phone("alice")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), alice.says("RECONNECTING", "X", at=1)])
    assert [span.position for span in await store.read(span_outbox.claim, 0, 1)] == [1]
    assert [span.position for span in await store.read(span_outbox.claim, 1, 10)] == [2]
    assert (await store.read(span_outbox.backlog)) == Backlog(2, BEGIN_US)
    await store.write(span_outbox.acknowledge, 1, 1)
    assert [span.position for span in await store.read(span_outbox.claim, 0, 10)] == [2]
    assert (await store.read(span_outbox.backlog)) == Backlog(1, BEGIN_US + SECOND_US)


async def test_without_an_exporter_earlier_spans_stay_pending_and_no_later_ones_are_added(
    tmp_path: Path,
) -> None:
    alice = Phone("alice")
    for exporting in (True, False, True):
        store = opened(tmp_path, export_spans=exporting)
        await store.append([alice.says("CONNECTED", "SUCCESS", at=0), alice.event("logout", 1)])
        assert (await store.read(span_outbox.backlog)).spans == (2 if exporting and alice.seq == 6 else 1)
        await store.close()
    store = opened(tmp_path, export_spans=True)
    assert [span.position for span in await store.read(span_outbox.claim, 0, 10)] == [1]
    await store.write(span_outbox.acknowledge, 1, 1)
    assert [span.position for span in await store.read(span_outbox.claim, 0, 10)] == [5]
    await store.write(span_outbox.acknowledge, 5, 1)
    assert (await store.read(span_outbox.claim, 0, 10), await store.read(span_outbox.backlog)) == ([], Backlog(0, None))
    await store.close()


async def test_without_an_exporter_no_span_is_pending(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    assert (await store.read(span_outbox.backlog)).spans == 0
    await store.close()


@pytest.mark.of_sqlite
async def test_the_oldest_span_is_found_at_once_however_many_other_events_lie_before_it(store: Store) -> None:
    alice, work = Phone("alice"), []
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0)])
    await store.write(span_outbox.acknowledge, 1, 1)
    for at in (1, 2):
        await store.append([alice.event("login_result", at, details={"code": 0}) for _ in range(500 * at)])
        await store.append([alice.says("CONNECTED", "SUCCESS", at=at)])

        def read(connection: sa.Connection) -> None:
            with counted(connection) as done:
                span_outbox.backlog(connection)
            work.append(done.steps)

        await store.read(read)
        assert (await store.read(span_outbox.backlog)).oldest_us == BEGIN_US + SECOND_US
    # So is the next one, once the first is acknowledged.
    await store.write(span_outbox.acknowledge, 502, 1)
    await store.read(read)
    assert (await store.read(span_outbox.backlog)) == Backlog(1, BEGIN_US + 2 * SECOND_US)
    assert max(work) < 200
