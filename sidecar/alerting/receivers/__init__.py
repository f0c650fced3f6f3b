"""Receivers of alerts. Each module is one type: its settings, its checks and how it sends.

A new type is a module with a :class:`sidecar.alerting.receivers.receiver.Receiver`, and its class in ``_TYPES``.
"""

from __future__ import annotations

from typing import Final

from sidecar.alerting.receivers.alertmanager import Alertmanager
from sidecar.alerting.receivers.apprise import Apprise
from sidecar.alerting.receivers.email import Email
from sidecar.alerting.receivers.pagerduty import PagerDuty
from sidecar.alerting.receivers.receiver import Receiver, VolatileReceiver
from sidecar.alerting.receivers.slack import Slack
from sidecar.alerting.receivers.webhook import Webhook
from sidecar.http_client import HttpClient
from sidecar.settings.alert_settings import ReceiverSettings

__all__ = ["RECEIVERS", "RECEIVER_SETTINGS", "Receiver", "VolatileReceiver", "receiver_of"]

_TYPES: Final[tuple[type[Receiver], ...]] = (Webhook, Apprise, Slack, PagerDuty, Alertmanager, Email)

RECEIVERS: Final = {str(one.settings_type.__struct_config__.tag): one for one in _TYPES}
"""By the type in the settings."""
RECEIVER_SETTINGS: Final = {name: one.settings_type for name, one in RECEIVERS.items()}
"""For :func:`sidecar.settings.load`."""


def receiver_of(settings: ReceiverSettings, http: HttpClient) -> Receiver:
    """The receiver that the settings describe."""
    return RECEIVERS[settings.type_name](settings, http)
