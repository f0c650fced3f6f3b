"""A Prometheus Alertmanager, API v2: it groups, silences and routes on by its own settings.

It forgets an alert that is not sent again, so that each is sent with an end far off, and with its true end when it
is over.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from sidecar.alerting.messages import Words
from sidecar.alerting.outgoing import Outgoing, Proof
from sidecar.alerting.views import time_text
from sidecar.settings.alerts import AlertmanagerSettings
from sidecar.store.alert_records import Message

_NO_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")
_FAR_OFF_US: Final = 30 * 86_400_000_000


class Alertmanager:
    """A digest is sent as the alerts that it is made of."""

    def __init__(self, settings: AlertmanagerSettings, outgoing: Outgoing) -> None:
        self._url = f"{settings.url.rstrip('/')}/api/v2/alerts"
        self._words = Words(settings.template)
        self._outgoing = outgoing

    async def send(self, message: Message, _earlier: Proof | None, now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.Receiver`."""
        told = [self._alert(one, message, now_us) for one in message.body.get("alerts") or [message.body["alert"]]]
        status, _ = await self._outgoing.send(
            self._url, msgspec.json.encode(told), {"Content-Type": "application/json"}
        )
        return {"status": status, "alerts": len(told)}

    def _alert(self, alert: dict[str, Any], message: Message, now_us: int) -> dict[str, Any]:
        labels = {"alertname": alert["kind"], "severity": alert["severity"], "fingerprint": alert["fingerprint"]}
        labels |= {name: str(alert[name]) for name in ("app_id", "user_id") if alert[name] is not None}
        labels |= {_NO_LABEL.sub("_", name): value for name, value in alert["labels"].items() if name != "flapping"}
        return {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {
                "summary": alert["summary"],
                "description": self._words.text(message) if "alerts" not in message.body else alert["advice"],
                "message_id": message.public_id,
            },
            "startsAt": alert["started_at"],
            "endsAt": alert["ended_at"] or time_text(now_us + _FAR_OFF_US),
            "generatorURL": alert["url"],
        }
