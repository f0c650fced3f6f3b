"""A logout reported by the app without a callback of the SDK ends the login, its alerts and its heartbeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.tables import alert_log
from sidecar.domain.events import HEARTBEAT
from sidecar.domain.units import SECOND_US
from sidecar.store import Store
from sidecar.store.users import as_of, user_reads
from tests.support.clocks import Machine
from tests.support.databases import url_of
from tests.support.events import APP_ID, BEGIN_US, Phone
from tests.support.running import zimwatch
from tests.support.wire import wire_event

pytestmark = pytest.mark.both_engines("soak")


async def test_a_reported_logout_while_reconnecting_ends_the_login_and_its_alerts(tmp_path: Path) -> None:
    machine = Machine()
    rules = AlertReaction(Policy(grace_us=0))
    url = url_of(tmp_path)
    store = Store.open(url, clock=machine.clock, steady=machine.steady, followers=[rules])
    phone = Phone("alice")

    async def firing() -> dict[str, int]:
        await store.tend()
        for now_us in (machine.now_us, machine.now_us + 1):  # what is due opens on the second tick
            await store.write(rules.tick, now_us, Gathered())
        return await store.read(alert_log.counts, None)

    async def happens(event: str, **fields: str) -> None:
        at = (machine.now_us - BEGIN_US) / SECOND_US
        await store.append([phone.event(event, at, **fields)])

    await store.append([phone.says("CONNECTED", "SUCCESS", 0), phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 0)])
    await happens(HEARTBEAT)
    machine.passes(40)
    await happens(HEARTBEAT)
    machine.passes(301)
    assert set(await firing()) == {"offline_too_long", "client_lost"}
    logged_out_us = machine.now_us
    await happens("logout")
    assert await firing() == {}
    # Neither a late retry of that login nor its heartbeats change anything.
    machine.passes(60)
    await happens("connection_state_changed", connection_state="RECONNECTING", connection_event="LOGIN_INTERRUPTED")
    machine.passes(60)
    seen_us = machine.now_us - 60 * SECOND_US
    await happens(HEARTBEAT)
    machine.passes(400)
    assert await firing() == {}
    found = await store.read(user_reads.user, APP_ID, "alice", store.now())
    assert found is not None
    user = found.user
    assert (user.status, user.reason, user.since_us) == ("not_logged_in", "LOGOUT", logged_out_us)
    assert (user.unconfirmed, user.last_seen_at_us) == (False, seen_us)
    then = await store.read(as_of.user_as_of, APP_ID, "alice", machine.now_us, store.now(), limit=10)
    assert then.detail is not None
    assert (then.detail.user.reason, then.detail.user.since_us) == ("LOGOUT", logged_out_us)
    await store.close()


async def test_the_page_marks_what_the_sdk_s_table_does_not_have(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        await running.send(
            [
                wire_event(seq=1, id="01938b5e-7c00-7000-8000-000000000001"),
                wire_event(seq=2, id="01938b5e-7c00-7000-8000-000000000002", type="logout"),
            ]
        )
        async with running.http.get(f"/users/{APP_ID}/alice") as page:
            text = await page.text()
        assert "Logged out, as the app reported" in text
        assert "table of states does not cover this" in text
