"""Whom alerts are sent to: one file for each kind of receiver, all with the one method below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from sidecar.alerting.outgoing import Outgoing, Proof
from sidecar.alerting.receivers.alertmanager import Alertmanager
from sidecar.alerting.receivers.apprise import Apprise
from sidecar.alerting.receivers.pagerduty import PagerDuty
from sidecar.alerting.receivers.webhook import Webhook
from sidecar.settings.alerts import (
    AlertmanagerSettings,
    AppriseSettings,
    EmailSettings,
    PagerDutySettings,
    ReceiverSettings,
    SlackSettings,
    WebhookSettings,
)
from sidecar.store.alert_records import Message

__all__ = ["TAKES_ACKNOWLEDGEMENTS", "Receiver", "receiver"]


class Receiver(Protocol):
    """Takes messages."""

    async def send(self, message: Message, earlier: Proof | None, now_us: int) -> Proof:
        """Sends it once; what the other side answered. DeliveryError where it did not take it.

        ``earlier`` is the proof of the message that this one goes on from. The same message may be sent again, because
        an answer can be lost: ``message.public_id`` is the same then, and reaches the other side.
        """


def _slack(settings: SlackSettings, outgoing: Outgoing) -> Receiver:
    # Its library is 3 MB of memory that only those who have Slack need.
    from sidecar.alerting.receivers.slack import Slack  # noqa: PLC0415

    return Slack(settings, outgoing)


def _email(settings: EmailSettings, outgoing: Outgoing) -> Receiver:
    # Half a MB of the standard library, likewise.
    from sidecar.alerting.receivers.email import Email  # noqa: PLC0415

    return Email(settings, outgoing)


_KINDS: Final[dict[type[ReceiverSettings], Callable[[Any, Outgoing], Receiver]]] = {
    WebhookSettings: Webhook,
    SlackSettings: _slack,
    PagerDutySettings: PagerDuty,
    AlertmanagerSettings: Alertmanager,
    EmailSettings: _email,
    AppriseSettings: Apprise,
}
TAKES_ACKNOWLEDGEMENTS: Final = (SlackSettings, PagerDutySettings)
"""The kinds that are told when somebody takes an alert on."""


def receiver(settings: ReceiverSettings, outgoing: Outgoing) -> Receiver:
    """The receiver that the settings describe."""
    return _KINDS[type(settings)](settings, outgoing)
