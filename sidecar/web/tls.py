"""TLS by certificate files: their checks, and a context that follows them while connections are open.

A new pair that is broken is not used: the one before stays, and a metric shows it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from opentelemetry import metrics
from opentelemetry.metrics import Observation

from sidecar.clock import Clock
from sidecar.domain.units import SECOND_US
from sidecar.settings import ServerSettings

LOOK_S: Final = 10.0
_CERT, _KEY = "server.tls_cert", "server.tls_key"

_log = structlog.stdlib.get_logger(__name__)
# Of the pair in use: whether the files have a broken one, and when it ends in Unix seconds.
_state: dict[str, float] = {}
_meter = metrics.get_meter("zimwatch")


def _observed(name: str) -> Iterator[Observation]:
    if name in _state:
        yield Observation(_state[name])


_meter.create_observable_gauge(
    "zimwatch.tls.broken",
    [lambda _: _observed("broken")],
    description="1 while the certificate files have a pair that cannot be used, and the one before is",
)
_meter.create_observable_gauge(
    "zimwatch.tls.ends", [lambda _: _observed("ends")], unit="s", description="When the certificate in use expires"
)


def problems(server: ServerSettings) -> list[str]:
    """Why the files cannot be used, a sentence each; none without TLS."""
    given = {_CERT: server.tls_cert, _KEY: server.tls_key}
    if not any(given.values()):
        return []
    found = [f"{key} must be given, as the other of {_CERT} and {_KEY} is." for key in given if not given[key]]
    read = {key: content for key, path in given.items() if path and (content := _content(key, path, found)) is not None}
    public = [made(read[key], given[key], found) for key, made in _PUBLIC.items() if key in read]
    if len(set(public) - {None}) > 1:
        found.append(f"{_KEY} is not the key of the certificate in {_CERT}.")
    return found


def _content(key: str, path: str, found: list[str]) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        found.append(f"{key} cannot be read from {path}: {error.strerror}.")
        return None


def _of_certificate(content: bytes, path: str | None, found: list[str]) -> bytes | None:
    try:
        return _bytes_of(x509.load_pem_x509_certificates(content)[0].public_key())
    except ValueError:
        found.append(f"{_CERT} must be a certificate in PEM, and {path} has none.")
        return None


def _of_key(content: bytes, path: str | None, found: list[str]) -> bytes | None:
    try:
        return _bytes_of(serialization.load_pem_private_key(content, None).public_key())
    except TypeError:
        found.append(f"{_KEY} must be a key without a passphrase, and that in {path} has one.")
    except ValueError:
        found.append(f"{_KEY} must be a private key in PEM, and {path} has none.")
    return None


def _bytes_of(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


_PUBLIC: Final = {_CERT: _of_certificate, _KEY: _of_key}


def warnings(server: ServerSettings, now_us: int) -> Iterator[str]:
    """What does not keep the files from being used; for files without :func:`problems`."""
    if server.tls_cert is None:
        return
    certificate = x509.load_pem_x509_certificates(Path(server.tls_cert).read_bytes())[0]
    now = datetime.fromtimestamp(now_us / SECOND_US, UTC)
    if now > certificate.not_valid_after_utc:
        yield f"the certificate in {_CERT} expired on {certificate.not_valid_after_utc:%Y-%m-%d}."
    elif now < certificate.not_valid_before_utc:
        yield f"the certificate in {_CERT} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}."


class Certificate:
    """The pair of files in use. ``context`` is for a listening socket: each new connection gets the newest pair."""

    def __init__(self, server: ServerSettings, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._seen = self._stamp()
        self._current = self._loaded()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Called for each ClientHello, also without a server name. The context of this connection alone is replaced.
        self.context.sni_callback = self._choose

    async def watch(self) -> None:
        """Looks for other files every :data:`LOOK_S`, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.refresh()

    async def follow(self, _changed: frozenset[str]) -> None:
        """Looks for other files when the settings are read again."""
        self.refresh()

    def refresh(self) -> None:
        """Takes over the files, if they are others; a broken pair is logged, and looked at again once it changes."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        if found := problems(self._server):
            _state["broken"] = 1.0
            _log.error("the new certificate is not used, and the one before stays", problems=found)
            return
        try:
            self._current = self._loaded()
        except (OSError, ValueError) as error:  # changed again since it was checked, or refused by OpenSSL
            _state["broken"] = 1.0
            _log.error("the new certificate is not used, and the one before stays", problems=[str(error)])
            return
        _log.info("the certificate was read again", certificate=self._server.tls_cert)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        cert, key = self._server.tls_cert or "", self._server.tls_key or ""
        context.load_cert_chain(cert, key, password=str)  # an empty passphrase, instead of a question at the terminal
        for warning in warnings(self._server, self._clock()):
            _log.warning(warning)
        ends = x509.load_pem_x509_certificates(Path(cert).read_bytes())[0].not_valid_after_utc
        _state.update(broken=0.0, ends=ends.timestamp())
        return context

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _stamp(self) -> tuple[object, ...]:
        """What differs once the files do; their links are followed, as a mounted secret is one."""
        return tuple(_stamp_of(path) for path in (self._server.tls_cert, self._server.tls_key))


def _stamp_of(path: str | None) -> object:
    try:
        found = Path(path or "").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
