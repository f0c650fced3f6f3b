"""Test messages: one message to one receiver, to see it arrive before it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sidecar.alerting.payloads import alert_view
from sidecar.alerting.receivers import receiver_of
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.texts import verbatim
from sidecar.http_client import HttpClient, Proof
from sidecar.settings.alert_settings import AlertSettings
from sidecar.system.chance import CHANCE, random_uuid

SUMMARY: Final = "This is a test message of Zimwatch: nothing is wrong"


async def send_test_message(
    alerts: AlertSettings, name: str, base: str, now_us: int, http: Callable[[Sequence[str]], HttpClient] = HttpClient
) -> Proof:
    """Sends it once, without queue and record; returns the receiver's answer. DeliveryError if it was not accepted.

    KeyError where the settings have no such receiver. ``base`` is the URL of the dashboard. Where the alert stays open
    until it is resolved, a second message resolves it.
    """
    settings = {one.name: one for one in alerts.receivers}[name]
    async with http(alerts.allowed_hosts) as calls:
        receiver = receiver_of(settings, calls)
        message = _message(name, base, now_us)
        proof = await receiver.send(message, None, now_us)
        if receiver.keeps_alerts_open:
            resolved = msgspec.structs.replace(
                message, what="resolved", body=message.body | {"end_reason": "it was a test"}
            )
            await receiver.send(resolved, proof, now_us)
        return proof


def _message(name: str, base: str, now_us: int) -> Message:
    public_id = f"msg_test_{random_uuid(CHANCE).hex}"
    alert = Alert(
        id=0,
        kind=ClientLost.kind,
        fingerprint=public_id,
        severity="info",
        subject=Subject(),
        started_at_us=now_us,
        opened_at_us=now_us,
        summary=verbatim(SUMMARY),
        labels={"test": "true"},
    )
    body: dict[str, Any] = {
        "alert": alert_view(alert, base) | {"advice": "There is nothing to do.", "url": f"{base}/settings"},
        "user_url": None,
        "end_reason": None,
        "acknowledged_by": None,
        "lasted": "",
    }
    return Message(
        id=0,
        public_id=public_id,
        receiver=name,
        what="firing",
        alert_id=None,
        answers=None,
        alerts=1,
        body=body,
        state="pending",
        attempts=0,
        created_at_us=now_us,
        due_at_us=now_us,
        tried_at_us=None,
        sent_at_us=None,
        error=None,
        proof=None,
    )
