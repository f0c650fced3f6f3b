"""What leaves Zimwatch names users as ``privacy.user_id_in_telemetry`` says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
import structlog
from jsonschema import Draft202012Validator

from sidecar import logs
from sidecar.alerting import policy_of
from sidecar.alerting.receivers.webhook import WebhookSettings, payload
from sidecar.alerting.tables import message_rows
from sidecar.alerting.tables.alert_schema import alert_messages
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain import texts
from sidecar.domain.alerts.alert import Subject, fingerprint
from sidecar.domain.user_naming import Mode, UserNaming
from sidecar.settings import AlertSettings, LogSettings, Settings
from sidecar.settings.sections import PrivacySettings
from sidecar.store import mapping
from sidecar.store.access import pseudonyms
from tests.privacy.test_erase import erased, opened
from tests.support import planted
from tests.support.called import WEBHOOK_SCHEMA
from tests.support.events import APP_ID
from tests.support.planted import ALICE


def messages(connection: sa.Connection) -> list[Message]:
    sql = f"SELECT {mapping.columns(alert_messages)} FROM alert_messages ORDER BY id"
    return [message_rows.message_of(row) for row in connection.exec_driver_sql(sql)]


def views(found: list[Message]) -> Iterator[dict[str, Any]]:
    """Each alert in the messages."""
    for one in found:
        yield from one.body.get("alerts") or [one.body["alert"]]


@pytest.mark.parametrize("mode", ["plain", "hash", "off"])
async def test_a_message_about_each_alert_of_a_user_has_what_the_setting_says(tmp_path: Path, mode: Mode) -> None:
    rules = planted.reaction(mode)
    store = opened(tmp_path, rules)
    await planted.plant(store, rules)
    found = await store.read(messages)
    naming = await store.read(pseudonyms.naming, mode)
    known = await store.read(lambda c: c.exec_driver_sql("SELECT id, fingerprint FROM alerts").all())
    assert any("alerts" in one.body for one in found)
    texts_sent = [msgspec.json.encode(one.body).decode() for one in found]
    assert any(ALICE in text for text in texts_sent) == (mode == "plain")
    assert any("user-0" in text for text in texts_sent) == (mode == "plain")
    hashed = UserNaming("hash", naming.key).hash(APP_ID, ALICE) or ""
    assert any(hashed in text for text in texts_sent) == (mode == "hash")
    of_one = [view for view in views(found) if view.get("user_hash") == hashed]
    assert all(f"user {hashed} " in view["summary"] for view in of_one if view["kind"] == "kicked_out")
    assert ({view["fingerprint"] for view in views(found)} <= {row[1] for row in known}) == (mode == "plain")
    check = Draft202012Validator(WEBHOOK_SCHEMA)
    for one in found:
        check.validate(payload(one))
    await erased(store)
    left = await store.read(messages)
    gone = {row[0] for row in known} - {
        row[0] for row in await store.read(lambda c: c.exec_driver_sql("SELECT id FROM alerts").all())
    }
    assert gone
    assert not gone & {view["id"] for view in views(left)}
    assert not any(hashed in msgspec.json.encode(one.body).decode() for one in left)
    await store.close()


def test_a_fingerprint_cannot_be_compared_with_that_of_an_id() -> None:
    key = b"k" * 32
    known = fingerprint("kicked_out", Subject(APP_ID, ALICE))
    hashed, off = UserNaming("hash", key), UserNaming("off", key)
    assert UserNaming().fingerprint(known, 1) == known
    assert hashed.fingerprint(known, 1) == hashed.fingerprint(known, 2) != known
    assert len({off.fingerprint(known, 1), off.fingerprint(known, 2), known}) == 3


def test_a_text_of_an_older_version_names_no_user_either() -> None:
    text = UserNaming("off", b"").text(texts.verbatim(f"{ALICE} was kicked out"), APP_ID, ALICE)
    assert str(text) == "a user was kicked out"


def test_a_receiver_names_users_as_the_setting_says_unless_it_has_its_own() -> None:
    ops, desk = (WebhookSettings(name=name, url="http://127.0.0.1:1/") for name in ("ops", "desk"))
    receivers = (ops, msgspec.structs.replace(desk, user_ids="plain"))
    settings = Settings(privacy=PrivacySettings(user_id_in_telemetry="off"), alerts=AlertSettings(receivers=receivers))
    assert policy_of(settings).user_ids == {"ops": "off", "desk": "plain"}


async def failing_task() -> None:
    task = asyncio.create_task(asyncio.sleep(0), name="some task")
    await task
    context = {"message": "Task exception was never retrieved", "exception": KeyError(ALICE), "future": task}
    asyncio.get_running_loop().call_exception_handler(context)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("quotes", [True, False])
async def test_logs_have_the_message_of_an_error_in_plain_alone(form: Any, *, quotes: bool) -> None:
    stream = io.StringIO()
    logs.configure(LogSettings(format=form), stream, quotes_errors=quotes)
    log = structlog.stdlib.get_logger("sidecar")
    try:
        dict[str, int]()[ALICE]
    except KeyError as error:
        log.exception("failed", problem=str(error))
        log.warning("failed", problem=f"it failed: {error}", exc_info=error)
        logging.getLogger("aiohttp.server").exception("failed")
    await failing_task()
    written = stream.getvalue()
    assert (ALICE in written) == quotes
    assert written.count("KeyError") >= 3
    if not quotes and form == "json":
        lines = [json.loads(line) for line in written.splitlines()]
        assert len(lines) == 4
        assert all("test_user_naming.py" in line["error_at"][0] for line in lines[:3])
