"""A Prometheus Alertmanager, API v2: it groups, silences and routes by its own settings.

It drops an alert that is not sent again, and all of them when it restarts: :mod:`sidecar.alerting.notify.resend` sends
the firing ones every 30 s. A firing alert is sent with an end one day ahead, so that none ends while Zimwatch is down;
a test message, which nothing resolves, ends after five minutes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.payloads import time_text
from sidecar.alerting.receivers.receiver import VolatileReceiver
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.outside_text import one_line
from sidecar.domain.units import DAY_US, MINUTE_US
from sidecar.http_client import HttpClient, Proof
from sidecar.settings.alert_settings import ReceiverSettings
from sidecar.settings.value_kinds import Url

_NO_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")
_SUBJECT: Final = ("app_id", "user_id", "user_hash")
_LIFETIME_US: Final = DAY_US
_TEST_LIFETIME_US: Final = 5 * MINUTE_US
_PER_REQUEST: Final = 1_000


class AlertmanagerSettings(ReceiverSettings, frozen=True, kw_only=True, tag="alertmanager"):
    """``url`` is where the pages of the Alertmanager are."""

    url: Url


class Alertmanager(VolatileReceiver):
    """A digest is sent as its single alerts."""

    settings_type = AlertmanagerSettings

    def __init__(self, settings: AlertmanagerSettings, http: HttpClient) -> None:
        self._url = f"{settings.url.rstrip('/')}/api/v2/alerts"
        self._template = MessageTemplate(settings.template)
        self._http = http
        self.sending = asyncio.Lock()

    async def send(self, message: Message, _earlier: Proof | None, now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        alerts = [self._alert(one, message, now_us) for one in _alerts_of(message)]
        async with self.sending:
            status = await self._post(alerts)
        return {"status": status, "alerts": len(alerts)}

    async def resend(self, messages: Iterable[tuple[Message, Collection[int]]], now_us: int) -> None:
        """See :class:`sidecar.alerting.receivers.receiver.VolatileReceiver`."""
        alerts = [
            self._alert(one, message, now_us)
            for message, alert_ids in messages
            for one in _alerts_of(message)
            if one["id"] in alert_ids
        ]
        for start in range(0, len(alerts), _PER_REQUEST):
            await self._post(alerts[start : start + _PER_REQUEST])

    async def _post(self, alerts: list[dict[str, Any]]) -> int:
        status, _ = await self._http.send(self._url, msgspec.json.encode(alerts), {"Content-Type": "application/json"})
        return status

    def _alert(self, alert: dict[str, Any], message: Message, now_us: int) -> dict[str, Any]:
        lifetime_us = _TEST_LIFETIME_US if alert["labels"].get("test") else _LIFETIME_US
        labels = {"alertname": alert["kind"], "severity": alert["severity"], "fingerprint": alert["fingerprint"]}
        labels |= {name: str(alert[name]) for name in _SUBJECT if alert.get(name) is not None}
        labels |= {_NO_LABEL.sub("_", name): value for name, value in alert["labels"].items() if name != "flapping"}
        return {
            "labels": {name: one_line(value) for name, value in labels.items() if value},
            "annotations": {
                "summary": one_line(alert["summary"]),
                **({"app_name": one_line(app_name)} if (app_name := message.body.get("app_name")) else {}),
                "description": self._template.text(message) if "alerts" not in message.body else alert["advice"],
                "message_id": message.public_id,
            },
            "startsAt": alert["started_at"],
            "endsAt": alert["ended_at"] or time_text(now_us + lifetime_us),
            "generatorURL": alert["url"],
        }


def _alerts_of(message: Message) -> list[dict[str, Any]]:
    return message.body.get("alerts") or [message.body["alert"]]
