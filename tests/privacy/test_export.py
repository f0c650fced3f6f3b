"""An export has everything that is held of a user, in the published shape, and nothing of anybody else."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from sidecar.alerting import HOLDINGS
from sidecar.store import Store
from sidecar.store.care import user_export
from sidecar.store.care.user_data import NOT_EXPORTED
from tests.privacy.test_erase import PLANTED_IN
from tests.support import planted
from tests.support.databases import url_of
from tests.support.events import APP_ID

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/user_export.v1.json").read_text())


async def test_each_table_with_data_of_the_user_is_in_the_export_and_nobody_else_is(tmp_path: Path) -> None:
    rules = planted.reaction()
    store = Store.open(
        url_of(tmp_path),
        clock=lambda: planted.NOW_US,
        export_spans=True,
        followers=[rules],
        holdings=HOLDINGS,
    )
    phones = await planted.plant(store, rules)
    parts = [part async for part in user_export.parts(store, APP_ID, planted.ALICE, "2026-11-23T14:00:00.000Z")]
    events = await store.read(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM events").scalar_one())
    await store.close()
    exported = json.loads(b"".join(parts))
    Draft202012Validator(SCHEMA).validate(exported)
    data = exported["data"]
    assert set(data) >= PLANTED_IN - set(NOT_EXPORTED)
    assert not set(data) & set(NOT_EXPORTED)
    assert len(data["events"]) == events - 2 * planted.OTHERS - planted.FEW
    assert len({one["client_id"] for one in data["events"]}) == len(phones)
    text = json.dumps({name: rows for name, rows in data.items() if name != "alert_silences"})
    assert all(mark in text for mark in planted.MARKS)
    assert "user-0" not in text
    assert len(data["audit_log"]) == 1
    assert "dana" not in json.dumps(data["audit_log"])


async def test_an_unknown_user_has_an_empty_export(tmp_path: Path) -> None:
    store = Store.open(url_of(tmp_path), clock=lambda: planted.NOW_US, holdings=HOLDINGS)
    parts = [part async for part in user_export.parts(store, APP_ID, "nobody", "2026-11-23T14:00:00.000Z")]
    await store.close()
    assert json.loads(b"".join(parts))["data"] == {}
