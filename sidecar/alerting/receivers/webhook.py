"""A webhook of yours, version 1, signed as Standard Webhooks has it (https://www.standardwebhooks.com/, 1.0.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec

from sidecar.alerting.outgoing import Outgoing, Proof
from sidecar.alerting.views import time_text
from sidecar.settings.alerts import WebhookSettings
from sidecar.store.alert_records import Message


class Webhook:
    """One POST a message. Whoever receives it keeps the ids it has seen: the same id is the same message."""

    def __init__(self, settings: WebhookSettings, outgoing: Outgoing) -> None:
        self._url = settings.url
        self._key = None if settings.secret is None else key_of(settings.secret)
        self._outgoing = outgoing

    async def send(self, message: Message, _earlier: Proof | None, now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.Receiver`."""
        body = msgspec.json.encode(payload(message))
        headers = {"Content-Type": "application/json", "User-Agent": "Zimwatch"}
        headers |= signature_headers(self._key, message.public_id, now_us // 1_000_000, body)
        status, _ = await self._outgoing.send(self._url, body, headers)
        return {"status": status}


def payload(message: Message) -> dict[str, Any]:
    """The body; ``alerts`` holds those of a digest."""
    told: dict[str, Any] = {
        "version": 1,
        "type": "alert.resolved" if message.what == "resolved" else "alert.firing",
        "timestamp": time_text(message.created_at_us),
        "alert": message.body["alert"],
    }
    if "alerts" in message.body:
        told["alerts"] = message.body["alerts"]
    return told


def key_of(secret: str) -> bytes:
    """``whsec_`` and base64, as Standard Webhooks writes it, or the bytes of any other text."""
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()


def signature_headers(key: bytes | None, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers; the signature is left out where there is no key."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if key is not None:
        headers["webhook-signature"] = signature(key, message_id, timestamp_s, body)
    return headers


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
