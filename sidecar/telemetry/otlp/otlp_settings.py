"""The settings of the OTLP exporters of spans and logs, from OpenTelemetry's own environment variables.

Specification: https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from opentelemetry.util.re import parse_env_headers

from sidecar.errors import SettingsError

Signal = Literal["traces", "logs"]
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "logs")
DEFAULT_TIMEOUT_S: Final = 10.0
_PROTOCOLS: Final = ("http/protobuf", "grpc")
_COMPRESSIONS: Final = ("none", "gzip")
_CERTIFICATES: Final = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
# It logs headers that it cannot parse, which are secrets. Here they are named by their position.
logging.getLogger(parse_env_headers.__module__).disabled = True


class OtlpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to send a signal. ``endpoint`` is the full URL."""

    signal: Signal
    protocol: str
    endpoint: str
    headers: dict[str, str]
    timeout_s: float
    gzip: bool
    certificate: str | None
    client_key: str | None
    client_certificate: str | None
    insecure: bool

    def read(self, name: str | None) -> bytes | None:
        """The content of a key or certificate file."""
        return None if name is None else Path(name).read_bytes()

    def tls(self) -> ssl.SSLContext:
        """The context for https."""
        context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate is not None:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context


def exporting(environ: Mapping[str, str]) -> bool:
    """Whether spans are exported: not without an endpoint."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name, "").strip() for name in _names("ENDPOINT", "traces"))


class _Variables(msgspec.Struct, frozen=True):
    """The variables of one signal, which take precedence over general ones."""

    environ: Mapping[str, str]
    signal: Signal

    def get(self, word: str) -> tuple[str, str]:
        """The name and the value of the variable that takes effect."""
        names = _names(word, self.signal)
        return next(((name, value) for name in names if (value := self.environ.get(name, "").strip())), (names[1], ""))


def read_otlp_settings(environ: Mapping[str, str], signal: Signal = "traces") -> OtlpSettings:
    """The settings; SettingsError names each invalid variable."""
    problems: list[str] = []
    settings = _read(_Variables(environ, signal), problems)
    if problems:
        raise SettingsError(problems)
    return settings


def _read(variables: _Variables, problems: list[str]) -> OtlpSettings:
    protocol = _one_of(variables, "PROTOCOL", _PROTOCOLS, problems)
    compression = _one_of(variables, "COMPRESSION", _COMPRESSIONS, problems)
    name, text = variables.get("TIMEOUT")
    timeout_s = DEFAULT_TIMEOUT_S
    if text:
        try:
            timeout_s = float(text)
        except ValueError:
            timeout_s = 0.0
        if not 0 < timeout_s < math.inf:
            problems.append(f"{name} is {text!r}; it must be a number of seconds above 0")
    endpoint = _endpoint(variables, protocol, problems)
    return OtlpSettings(
        signal=variables.signal,
        protocol=protocol,
        endpoint=endpoint,
        headers=_headers(variables, problems),
        timeout_s=timeout_s,
        gzip=compression == "gzip",
        certificate=variables.get("CERTIFICATE")[1] or None,
        client_key=variables.get("CLIENT_KEY")[1] or None,
        client_certificate=variables.get("CLIENT_CERTIFICATE")[1] or None,
        insecure=variables.get("INSECURE")[1].lower() == "true",
    )


def problems(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each invalid variable, and for certificates that cannot be used; of every signal."""
    found: list[str] = []
    for signal in SIGNALS:
        variables = _Variables(environ, signal)
        settings = _read(variables, found)
        try:
            settings.tls()
        except OSError as error:  # ssl.SSLError is one
            names = [variables.get(word)[0] for word in _CERTIFICATES if variables.get(word)[1]]
            found.append(
                f"the certificates for the collector cannot be used ({', '.join(names)}): {error.strerror or error}"
            )
    return list(dict.fromkeys(found))


def refuse_unusable(environ: Mapping[str, str]) -> None:
    """SettingsError that names all :func:`problems`."""
    if found := problems(environ):
        raise SettingsError(found)


def _endpoint(variables: _Variables, protocol: str, problems: list[str]) -> str:
    name, endpoint = variables.get("ENDPOINT")
    if protocol == "grpc":
        endpoint = endpoint or "http://localhost:4317"
        if not _has_host(endpoint if "://" in endpoint else f"//{endpoint}"):
            problems.append(f"{name} must be an address with a host, such as http://127.0.0.1:4317")
        return endpoint
    endpoint = endpoint or "http://localhost:4318"
    if urlsplit(endpoint).scheme not in {"http", "https"}:
        problems.append(f"{name} must be an address that begins with http:// or https://")
    elif not _has_host(endpoint):
        problems.append(f"{name} must be an address with a host, such as http://127.0.0.1:4318")
    is_whole = name == _names("ENDPOINT", variables.signal)[0]
    return endpoint if is_whole else f"{endpoint.rstrip('/')}/v1/{variables.signal}"


def _has_host(address: str) -> bool:
    """Whether it has a host, and a valid port if any."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _headers(variables: _Variables, problems: list[str]) -> dict[str, str]:
    """The headers, which are secrets: an invalid one is named by its position."""
    name, text = variables.get("HEADERS")
    headers: dict[str, str] = {}
    for position, one in enumerate(text.split(","), start=1):
        if not one.strip():
            continue
        found = parse_env_headers(one, liberal=True)
        if not found:
            problems.append(f"{name} must be name=value separated by commas; number {position} is not")
        headers.update(found)
    return headers


def _one_of(variables: _Variables, word: str, allowed: tuple[str, ...], problems: list[str]) -> str:
    """The value; the first of ``allowed`` if it is not set."""
    name, value = variables.get(word)
    if value and value not in allowed:
        problems.append(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
    return value or allowed[0]


def _names(word: str, signal: Signal) -> tuple[str, str]:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{word}", f"OTEL_EXPORTER_OTLP_{word}"
