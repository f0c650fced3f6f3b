"""PagerDuty, Events API v2 (https://developer.pagerduty.com/docs/events-api-v2-overview): one incident per alert."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.receivers.receiver import Receiver
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.outside_text import one_line
from sidecar.http_client import HttpClient, Proof
from sidecar.settings.alert_settings import ReceiverSettings
from sidecar.settings.value_kinds import Secret, Url

_ACTIONS: Final = {"firing": "trigger", "repeat": "trigger", "resolved": "resolve", "acknowledged": "acknowledge"}
_LONGEST_SUMMARY: Final = 1_024


class PagerDutySettings(ReceiverSettings, frozen=True, kw_only=True, tag="pagerduty"):
    """An integration of the type Events API v2."""

    routing_key: Secret
    url: Url = "https://events.pagerduty.com/v2/enqueue"


class PagerDuty(Receiver):
    """The alert's fingerprint is the incident's key, so that a repeated attempt opens no second incident."""

    settings_type = PagerDutySettings
    takes_acknowledgements = True
    keeps_alerts_open = True

    def __init__(self, settings: PagerDutySettings, http: HttpClient) -> None:
        self._url = settings.url
        self._routing_key = settings.routing_key
        self._template = MessageTemplate(settings.template)
        self._http = http

    async def send(self, message: Message, earlier: Proof | None, _now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        key = (earlier or {}).get("dedup_key") or (
            message.public_id if "alerts" in message.body else message.body["alert"]["fingerprint"]
        )
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": _ACTIONS[message.what],
            "dedup_key": key,
        }
        if event["event_action"] == "trigger":
            event |= self._details(message)
        status, _ = await self._http.send(self._url, msgspec.json.encode(event), {"Content-Type": "application/json"})
        return {"status": status, "dedup_key": key}

    def _details(self, message: Message) -> dict[str, Any]:
        alert = message.body["alert"]
        links = [{"href": alert["url"], "text": "Acknowledge or silence in Zimwatch"}]
        if message.body.get("user_url"):
            links.append({"href": message.body["user_url"], "text": "The user"})
        if message.body.get("back_office_url"):
            links.append({"href": message.body["back_office_url"], "text": "The user in the back office"})
        app_id, app_name = alert["app_id"], message.body.get("app_name")
        app = f"{one_line(app_name)} ({app_id})" if app_name else f"app {app_id}"
        return {
            "client": "Zimwatch",
            "client_url": alert["url"],
            "links": links,
            "payload": {
                "summary": one_line(alert["summary"])[:_LONGEST_SUMMARY],
                "source": app if app_id is not None else "zimwatch",
                "severity": alert["severity"],
                "timestamp": alert["started_at"],
                "component": one_line(alert["user_id"] or alert.get("user_hash") or "zim"),
                "group": str(alert["app_id"] or "zimwatch"),
                "class": alert["kind"],
                "custom_details": {
                    "text": self._template.text(message),
                    "count": alert["count"],
                    "message_id": message.public_id,
                    **{name: one_line(value) for name, value in alert["labels"].items()},
                },
            },
        }
