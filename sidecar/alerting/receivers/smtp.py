"""Delivers a mail over SMTP, by a connection to an address that the address guard has checked. Blocking.

Apart from :mod:`sidecar.alerting.receivers.email`, because only those who send mail need half a MB of smtplib.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final

from sidecar.address_guard import RefusedAddressError
from sidecar.domain.outside_text import one_line
from sidecar.http_client import DeliveryError

if TYPE_CHECKING:
    from sidecar.alerting.receivers.email import EmailSettings

_TIMEOUT_S: Final = 10
# RFC 5321, section 4.2.1: 4yz is temporary, 5yz is permanent.
_PERMANENT: Final = 500

Lookup = Callable[[str, int], list[str]]


def deliver(settings: EmailSettings, addresses: Lookup, mail: EmailMessage) -> list[str]:
    """Sends the mail; returns the addresses that the server refused, if it accepted the mail for others."""
    try:
        with _connected(settings, addresses) as server:
            if settings.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.username is not None:
                server.login(settings.username, settings.password or "")
            return sorted(server.send_message(mail))
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        raise DeliveryError("the server refused every address", permanent=all(c >= _PERMANENT for c in codes)) from None
    except smtplib.SMTPResponseException as error:
        reply = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise DeliveryError(
            f"SMTP {error.smtp_code}: {one_line(reply)}", permanent=error.smtp_code >= _PERMANENT
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError(f"the mail server does not support it: {error}", permanent=True) from None
    except RefusedAddressError as error:
        raise DeliveryError(str(error), permanent=True) from None
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(f"TLS certificate verification failed: {error.verify_message}", permanent=True) from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"no connection: {getattr(error, 'strerror', None) or error}", permanent=False) from None


def _connected(settings: EmailSettings, addresses: Lookup) -> smtplib.SMTP:
    """A connection to a checked address of the host; the certificate is verified for the host's name."""
    if settings.tls == "tls":
        context = ssl.create_default_context()
        return _Encrypted(addresses, settings.host, settings.port, timeout=_TIMEOUT_S, context=context)
    return _Checked(addresses, settings.host, settings.port, timeout=_TIMEOUT_S)


# Replaces the name look-up of smtplib, which SMTP_SSL uses too.
class _Checked(smtplib.SMTP):
    def __init__(self, addresses: Lookup, *args: Any, **more: Any) -> None:  # noqa: ANN401 - as smtplib has it
        self._addresses = addresses
        super().__init__(*args, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: TID251 - smtplib's own
        failed: OSError | None = None
        for address in self._addresses(host, port):
            try:
                return super()._get_socket(address, port, timeout)  # type: ignore[misc,no-any-return]
            except OSError as error:
                failed = error
        raise failed or OSError("the name has no address")


class _Encrypted(_Checked, smtplib.SMTP_SSL):
    """TLS from the first byte on."""
