"""What messages and chats call an app, and where they lead to."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.notify.test_message import _message
from sidecar.alerting.payloads import message_body
from sidecar.alerting.receivers.pagerduty import PagerDutySettings
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.apps import Apps
from sidecar.domain.texts import verbatim
from sidecar.settings import AlertSettings, AppsSettings
from tests.support.called import ROUTING_KEY, SECRET, Called, listening
from tests.support.running import zimwatch
from tests.support.wire import fresh_event

APP = 1234567890
APPS = Apps({APP: "Prod chat"}, "https://office.example.com/{app_id}/{user_id}")
NAMED = AppsSettings(names={str(APP): "Prod chat"}, user_url_template=APPS.user_url_template)


def alert(app_id: int | None = APP, user_id: str | None = "carol/1") -> Alert:
    return Alert(
        id=1,
        kind="kicked_out",
        fingerprint="f",
        severity="critical",
        subject=Subject(app_id, user_id),
        started_at_us=0,
        opened_at_us=0,
        summary=verbatim("carol was kicked out"),
        labels={},
    )


def said(*alerts: Alert, apps: Apps = APPS, template: str | None = None) -> tuple[str, str]:
    """The title and the text of a message."""
    body = message_body("firing", alerts, "https://z", apps, "g", is_digest=len(alerts) > 1, now_us=0)
    message = msgspec.structs.replace(_message("r", "https://z", 0), body=body)
    made = MessageTemplate(template)
    return made.title(message), made.text(message)


def test_a_message_names_the_app_and_leads_to_the_back_office() -> None:
    title, text = said(alert())
    assert title == "CRITICAL (Prod chat): carol was kicked out"
    assert "App: Prod chat (1234567890)\n" in text
    assert "Back office: https://office.example.com/1234567890/carol%2F1\n" in text


def test_a_digest_names_the_app_that_all_have() -> None:
    assert said(alert(), alert())[0].startswith("CRITICAL (Prod chat): 2 alerts")
    assert said(alert(), alert(7))[0].startswith("CRITICAL: 2 alerts")


@pytest.mark.parametrize("of", [alert(7), alert(None, None)])
def test_without_a_name_and_a_template_a_message_is_as_before(of: Alert) -> None:
    title, text = said(of, apps=Apps())
    assert title == "CRITICAL: carol was kicked out"
    assert "App:" not in text
    assert "office" not in text


def test_a_template_has_both() -> None:
    assert said(alert(), template="{{ app_name }} {{ back_office_url }}")[1] == (
        "Prod chat https://office.example.com/1234567890/carol%2F1"
    )


async def test_what_programs_get_is_as_before_and_pagerduty_shows_the_name(tmp_path: Path) -> None:
    async with listening(Called()) as hook:
        alerts = AlertSettings(
            receivers=(
                WebhookSettings(name="ops", url=f"{hook.url}/hook", secret=SECRET),
                PagerDutySettings(name="pager", routing_key=ROUTING_KEY, url=f"{hook.url}/v2/enqueue"),
            )
        )
        async with zimwatch(tmp_path, alerts=alerts, named=NAMED) as running:
            await running.send([fresh_event(user_id="carol", client_id=str(uuid.uuid4()), state=0, event=4)])
            taken = await hook.wait(2)
    (event,) = (one for one in taken if "payload" in one)
    assert event["payload"]["source"] == "Prod chat (1234567890)"
    assert {"href": f"https://office.example.com/{APP}/carol", "text": "The user in the back office"} in event["links"]
    assert hook.wrong == []


async def test_a_chat_names_the_app_and_leads_to_the_back_office(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, named=NAMED) as running:

        async def answer(line: str) -> Any:
            async with running.http.post("/v1/chatops", json={"text": line}) as response:
                return (await response.json())["text"]

        await running.send([fresh_event(user_id="carol")])
        first = await answer("status carol")
        assert first.startswith("carol of Prod chat (1234567890) is online")
        assert "https://office.example.com/1234567890/carol" in first
        await running.send([fresh_event(user_id="carol", app_id=7), fresh_event(user_id="dave", app_id=7)])
        assert "carol of 7 is online" in await answer("status carol")
        assert (await answer("status dave")).startswith("dave is online")
