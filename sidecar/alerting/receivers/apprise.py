"""Services that Apprise supports: Teams, Discord, Feishu, DingTalk, WeCom, Telegram, Mattermost and many more.

Apprise reports only success or failure, so every failure is retried. It opens its own connections: the host of its URL
is checked right before, and redirects are not followed, but the connection is not pinned to the checked address.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from sidecar.address_guard import AddressGuard, RefusedAddressError
from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.receivers.receiver import Receiver
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.outside_text import unmarked
from sidecar.errors import SettingsError
from sidecar.http_client import DeliveryError, HttpClient, Proof
from sidecar.settings.alert_settings import ReceiverSettings
from sidecar.settings.value_kinds import Secret

_TYPES: Final = {"critical": "failure", "warning": "warning", "info": "info"}


class AppriseSettings(ReceiverSettings, frozen=True, kw_only=True, tag="apprise"):
    """A URL of Apprise, which may have credentials in any part: all of it is secret."""

    url: Secret


class Apprise(Receiver):
    """One URL of Apprise, called in a worker thread."""

    settings_type = AppriseSettings

    def __init__(self, settings: AppriseSettings, http: HttpClient) -> None:
        self._http = http
        self._template = MessageTemplate(settings.template, unmarked)
        self._service = service_of(settings)

    @classmethod
    def problems(cls, settings: AppriseSettings, _guard: AddressGuard) -> Iterator[str]:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        if settings.url:
            try:
                service_of(settings)
            except SettingsError as error:
                yield f"url: {error.problems[0]}"

    async def send(self, message: Message, _earlier: Proof | None, _now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        kind = "success" if message.what == "resolved" else _TYPES[message.body["alert"]["severity"]]
        title, text = self._template.title(message), self._template.text(message)
        if not await self._http.blocking(self._notify, title, text, kind):
            raise DeliveryError("Apprise could not deliver it", permanent=False)
        return {"taken": True}

    def _notify(self, title: str, text: str, kind: str) -> bool:
        for service in self._service:
            # The URL of a self-hosted service names its host; in any other the host may be part of a secret.
            host = getattr(service, "smtp_host", None) or (service.host if "host" in service.template_tokens else None)
            if host:
                try:
                    self._http.addresses(host, service.port or 0)
                except RefusedAddressError as error:
                    raise DeliveryError(str(error), permanent=True) from None
                except OSError as error:
                    raise DeliveryError(f"no connection: {error.strerror or error}", permanent=False) from None
        return bool(self._service.notify(body=text, title=title, notify_type=kind, body_format="text"))


def service_of(settings: AppriseSettings) -> Any:  # noqa: ANN401 - Apprise has no types
    """The service of the URL; SettingsError where Apprise does not know it."""
    import apprise  # noqa: PLC0415 - slow to import, and needed only where it is configured

    service = apprise.Apprise(
        asset=apprise.AppriseAsset(app_id="Zimwatch", app_url="", async_mode=False, http_redirects=False)
    )
    # It logs URLs, which contain credentials.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    if not service.add(settings.url):
        raise SettingsError([f"The url of the receiver {settings.name} is of no kind that Apprise knows."])
    for one in service:
        one.redirects = False  # a URL may ask for them
        # Mail is HTML otherwise.
        one.notify_format = apprise.NotifyFormat.TEXT
    return service
