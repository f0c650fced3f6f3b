"""Everything that Apprise speaks to: Teams, Discord, Feishu, DingTalk, WeCom, Telegram, Mattermost and many more.

Apprise tells only whether it went well, so a failure is tried again. It makes its own connections: the check of
addresses does not hold for it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from sidecar.alerting.messages import Words
from sidecar.alerting.outgoing import DeliveryError, Outgoing, Proof
from sidecar.errors import SettingsError
from sidecar.settings.alerts import AppriseSettings
from sidecar.store.alert_records import Message

_TYPES: Final = {"critical": "failure", "warning": "warning", "info": "info"}


class Apprise:
    """One URL, in its own thread for the time of a message."""

    def __init__(self, settings: AppriseSettings, _outgoing: Outgoing) -> None:
        import apprise  # noqa: PLC0415 - slow to import, and needed only where it is configured

        self._words = Words(settings.template)
        self._service: Any = apprise.Apprise(
            asset=apprise.AppriseAsset(app_id="Zimwatch", app_url="", async_mode=False)
        )
        if not self._service.add(settings.url):
            raise SettingsError([f"The url of the receiver {settings.name} is none that Apprise knows."])
        # It logs addresses, which hold credentials.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)

    async def send(self, message: Message, _earlier: Proof | None, _now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.Receiver`."""
        kind = "success" if message.what == "resolved" else _TYPES[message.body["alert"]["severity"]]
        title, text = self._words.title(message), self._words.text(message)
        taken = await asyncio.to_thread(self._service.notify, body=text, title=title, notify_type=kind)
        if not taken:
            raise DeliveryError("Apprise could not deliver it", permanent=False)
        return {"taken": True}
