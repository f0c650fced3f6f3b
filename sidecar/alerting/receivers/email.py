"""E-mail over SMTP, sent by the standard library in a worker thread. The mails about one alert form a thread."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Annotated, Final, Literal

from msgspec import Meta

from sidecar.address_guard import AddressGuard
from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.payloads import moment
from sidecar.alerting.receivers.receiver import Receiver, refusals
from sidecar.alerting.tables.alert_values import Message
from sidecar.http_client import HttpClient, Proof
from sidecar.settings.alert_settings import ReceiverSettings
from sidecar.settings.value_kinds import (
    Addresses,
    Host,
    Port,
    Secret,
    Text,
)

_LONGEST_SUBJECT: Final = 200


class EmailSettings(ReceiverSettings, frozen=True, kw_only=True, tag="email"):
    """A mail server. With a user name there must be a password, and TLS."""

    host: Host
    port: Port = 587
    sender: Text
    to: Addresses
    username: Text | None = None
    password: Secret | None = None
    tls: Annotated[Literal["starttls", "tls", "none"], Meta(description="one of starttls, tls, none")] = "starttls"

    def problems(self) -> Iterator[str]:
        """See :class:`sidecar.settings.alert_settings.ReceiverSettings`."""
        if self.username is not None:
            if self.password is None:
                yield "password is missing: there is a username."
            if self.tls == "none":
                yield "tls must not be none where there is a username."


class Email(Receiver):
    """One mail per message, to all addresses at once."""

    settings_type = EmailSettings

    def __init__(self, settings: EmailSettings, http: HttpClient) -> None:
        self._settings = settings
        self._http = http
        self._template = MessageTemplate(settings.template)

    @classmethod
    def problems(cls, settings: EmailSettings, guard: AddressGuard) -> Iterator[str]:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        yield from refusals("host", settings.host and f"smtp://{settings.host}", guard)

    async def send(self, message: Message, earlier: Proof | None, now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`."""
        mail = self._mail(message, earlier, now_us)
        refused = await self._http.blocking(self._deliver, mail)
        proof: Proof = {"message_id": str(mail["Message-ID"])}
        return proof | ({"refused": refused} if refused else {})

    def _mail(self, message: Message, earlier: Proof | None, now_us: int) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = self._template.title(message)[:_LONGEST_SUBJECT]
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        mail["Date"] = format_datetime(moment(now_us))
        domain = parseaddr(self._settings.sender)[1].rpartition("@")[2] or "zimwatch.invalid"
        mail["Message-ID"] = f"<{message.public_id}@{domain}>"
        if earlier and "message_id" in earlier:
            mail["In-Reply-To"] = mail["References"] = earlier["message_id"]
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{self._template.title(message)}\n\n{self._template.text(message)}\n")
        return mail

    def _deliver(self, mail: EmailMessage) -> list[str]:
        from sidecar.alerting.receivers.smtp import deliver  # noqa: PLC0415 - see there

        return deliver(self._settings, self._http.addresses, mail)
