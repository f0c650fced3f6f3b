"""Webhooks, version 1, signed as in Standard Webhooks 1.0.0 (https://www.standardwebhooks.com/)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import standardwebhooks

from sidecar.alerting.payloads import moment, time_text
from sidecar.alerting.receivers.receiver import Receiver
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.units import SECOND_US
from sidecar.http_client import HttpClient, Proof
from sidecar.settings.alert_settings import ReceiverSettings, signing_secret_problem
from sidecar.settings.value_kinds import CapabilityUrl, Secret


class WebhookSettings(ReceiverSettings, frozen=True, kw_only=True, tag="webhook"):
    """Messages are signed where there is a secret."""

    url: CapabilityUrl
    secret: Secret | None = None

    def problems(self) -> Iterator[str]:
        """See :class:`sidecar.settings.alert_settings.ReceiverSettings`."""
        if (why := signing_secret_problem(self.secret)) is not None:
            yield f"secret {why}"


class Webhook(Receiver):
    """One POST per message. The same id is the same message: receivers remember the ids they have seen."""

    settings_type = WebhookSettings

    def __init__(self, settings: WebhookSettings, http: HttpClient) -> None:
        self._url = settings.url
        self._signer = None if settings.secret is None else signer(settings.secret)
        self._http = http

    async def send(self, message: Message, _earlier: Proof | None, now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        body = msgspec.json.encode(payload(message))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Zimwatch",
            "webhook-id": message.public_id,
            "webhook-timestamp": str(now_us // SECOND_US),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message.public_id, moment(now_us), body.decode())
        status, _ = await self._http.send(self._url, body, headers)
        return {"status": status}


def payload(message: Message) -> dict[str, Any]:
    """The request body; ``alerts`` has those of a digest."""
    body: dict[str, Any] = {
        "version": 1,
        "type": "alert.resolved" if message.what == "resolved" else "alert.firing",
        "timestamp": time_text(message.created_at_us),
        "alert": message.body["alert"],
    }
    if "alerts" in message.body:
        body["alerts"] = message.body["alerts"]
    return body


def signer(secret: str) -> standardwebhooks.Webhook:
    """Signs with ``whsec_`` and base64, as Standard Webhooks writes a secret, or with the bytes of any other text."""
    return standardwebhooks.Webhook(secret if secret.startswith("whsec_") else secret.encode())
