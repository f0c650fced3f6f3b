"""PagerDuty, Events API v2 (https://developer.pagerduty.com/docs/events-api-v2-overview): one incident an alert."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.alerting.messages import Words
from sidecar.alerting.outgoing import Outgoing, Proof
from sidecar.settings.alerts import PagerDutySettings
from sidecar.store.alert_records import Message

_ACTIONS: Final = {"firing": "trigger", "repeat": "trigger", "resolved": "resolve", "acknowledged": "acknowledge"}
_LONGEST_SUMMARY: Final = 1_024


class PagerDuty:
    """The alert's fingerprint is the incident's key, so that an attempt repeated makes no second incident."""

    def __init__(self, settings: PagerDutySettings, outgoing: Outgoing) -> None:
        self._url = settings.url
        self._routing_key = settings.routing_key
        self._words = Words(settings.template)
        self._outgoing = outgoing

    async def send(self, message: Message, earlier: Proof | None, _now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.Receiver`."""
        key = (earlier or {}).get("dedup_key") or (
            message.public_id if "alerts" in message.body else message.body["alert"]["fingerprint"]
        )
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": _ACTIONS[message.what],
            "dedup_key": key,
        }
        if event["event_action"] == "trigger":
            event |= self._told(message)
        status, _ = await self._outgoing.send(
            self._url, msgspec.json.encode(event), {"Content-Type": "application/json"}
        )
        return {"status": status, "dedup_key": key}

    def _told(self, message: Message) -> dict[str, Any]:
        alert = message.body["alert"]
        links = [{"href": alert["url"], "text": "Acknowledge or silence in Zimwatch"}]
        if message.body.get("user_url"):
            links.append({"href": message.body["user_url"], "text": "The user"})
        return {
            "client": "Zimwatch",
            "client_url": alert["url"],
            "links": links,
            "payload": {
                "summary": alert["summary"][:_LONGEST_SUMMARY],
                "source": f"app {alert['app_id']}" if alert["app_id"] is not None else "zimwatch",
                "severity": alert["severity"],
                "timestamp": alert["started_at"],
                "component": alert["user_id"] or "zim",
                "group": str(alert["app_id"] or "zimwatch"),
                "class": alert["kind"],
                "custom_details": {
                    "text": self._words.text(message),
                    "count": alert["count"],
                    "message_id": message.public_id,
                    **alert["labels"],
                },
            },
        }
