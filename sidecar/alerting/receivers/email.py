"""E-mail over SMTP, with the standard library in a thread: a thread of mails for each alert."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Final

from sidecar.alerting.messages import Words
from sidecar.alerting.outgoing import DeliveryError, Outgoing, Proof, RefusedAddressError
from sidecar.alerting.views import moment
from sidecar.settings.alerts import EmailSettings
from sidecar.store.alert_records import Message

_TIMEOUT_S: Final = 10
_LONGEST_SUBJECT: Final = 200

Addresses = Callable[[str, int], list[str]]


class Email:
    """One mail a message, to all addresses at once."""

    def __init__(self, settings: EmailSettings, outgoing: Outgoing) -> None:
        self._settings = settings
        self._outgoing = outgoing
        self._words = Words(settings.template)

    async def send(self, message: Message, earlier: Proof | None, now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.Receiver`."""
        mail = self._mail(message, earlier, now_us)
        refused = await asyncio.to_thread(self._deliver, mail)
        proof: Proof = {"message_id": str(mail["Message-ID"])}
        return proof | ({"refused": refused} if refused else {})

    def _mail(self, message: Message, earlier: Proof | None, now_us: int) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = self._words.title(message)[:_LONGEST_SUBJECT]
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        mail["Date"] = format_datetime(moment(now_us))
        domain = parseaddr(self._settings.sender)[1].rpartition("@")[2] or "zimwatch.invalid"
        mail["Message-ID"] = f"<{message.public_id}@{domain}>"
        if earlier and "message_id" in earlier:
            mail["In-Reply-To"] = mail["References"] = earlier["message_id"]
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{self._words.title(message)}\n\n{self._words.text(message)}\n")
        return mail

    def _deliver(self, mail: EmailMessage) -> list[str]:
        """The addresses that the server refused, where it took the mail for others."""
        settings = self._settings
        try:
            with self._connected() as server:
                if settings.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if settings.username is not None:
                    server.login(settings.username, settings.password or "")
                return sorted(server.send_message(mail))
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise DeliveryError(
                "the server refused every address", permanent=all(c >= _PERMANENT for c in codes)
            ) from None
        except smtplib.SMTPResponseException as error:
            told = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise DeliveryError(f"SMTP {error.smtp_code}: {told}", permanent=error.smtp_code >= _PERMANENT) from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(f"the mail server cannot do it: {error}", permanent=True) from None
        except RefusedAddressError as error:
            raise DeliveryError(str(error), permanent=True) from None
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(f"its certificate is not good: {error.verify_message}", permanent=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(
                f"no connection: {getattr(error, 'strerror', None) or error}", permanent=False
            ) from None

    def _connected(self) -> smtplib.SMTP:
        """A connection to an address of the host that was checked; the certificate is the host's all the same."""
        settings, addresses = self._settings, self._outgoing.addresses
        if settings.tls == "tls":
            context = ssl.create_default_context()
            return _Encrypted(addresses, settings.host, settings.port, timeout=_TIMEOUT_S, context=context)
        return _Checked(addresses, settings.host, settings.port, timeout=_TIMEOUT_S)


# Where smtplib itself looks up the host; SMTP_SSL of the standard library comes in at the same place.
class _Checked(smtplib.SMTP):
    def __init__(self, addresses: Addresses, *args: Any, **more: Any) -> None:  # noqa: ANN401 - as smtplib has it
        self._addresses = addresses
        super().__init__(*args, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        failed: OSError | None = None
        for address in self._addresses(host, port):
            try:
                return super()._get_socket(address, port, timeout)  # type: ignore[misc,no-any-return]
            except OSError as error:
                failed = error
        raise failed or OSError("the name has no address")


class _Encrypted(_Checked, smtplib.SMTP_SSL):
    """TLS from the first byte on."""


# RFC 5321, section 4.2.1: 4yz may be tried again, 5yz must not.
_PERMANENT: Final = 500
