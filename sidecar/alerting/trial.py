"""A test message to one receiver, so that whoever sets it up sees it arrive before it matters."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from sidecar.alerting.outgoing import Outgoing, Proof
from sidecar.alerting.receivers import receiver
from sidecar.alerting.views import alert_view
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.kinds import CLIENT_LOST
from sidecar.settings.alerts import AlertmanagerSettings, AlertSettings, PagerDutySettings
from sidecar.store.alert_records import Message

SUMMARY: Final = "This is a test message of Zimwatch: nothing is wrong"
# These keep what fires until they are told that it is over.
_REMEMBER: Final = (PagerDutySettings, AlertmanagerSettings)


async def try_receiver(alerts: AlertSettings, name: str, base: str, now_us: int) -> Proof:
    """Sends it once, past queue and record; what the receiver answered. DeliveryError where it did not take it.

    KeyError where the settings have no such receiver. ``base`` is where the dashboard is.
    """
    settings = {one.name: one for one in alerts.receivers}[name]
    outgoing = Outgoing(alerts.allowed_hosts)
    try:
        taker = receiver(settings, outgoing)
        message = _message(name, base, now_us)
        proof = await taker.send(message, None, now_us)
        if isinstance(settings, _REMEMBER):
            over = msgspec.structs.replace(
                message, what="resolved", body=message.body | {"end_reason": "it was a test"}
            )
            await taker.send(over, proof, now_us)
        return proof
    finally:
        await outgoing.close()


def _message(name: str, base: str, now_us: int) -> Message:
    public_id = f"msg_test_{uuid.uuid4().hex}"
    alert = Alert(
        id=0,
        kind=CLIENT_LOST,
        fingerprint=public_id,
        severity="info",
        subject=Subject(),
        started_at_us=now_us,
        opened_at_us=now_us,
        summary=SUMMARY,
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
