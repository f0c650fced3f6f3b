"""Where spans go: what OpenTelemetry's own environment variables say of the collector.

Specification: https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from opentelemetry.util.re import parse_env_headers

from sidecar.errors import SettingsError

DEFAULT_TIMEOUT_S: Final = 10.0
_PROTOCOLS: Final = ("http/protobuf", "grpc")
_COMPRESSIONS: Final = ("none", "gzip")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to send, as the environment has it. ``endpoint`` is a whole address."""

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
        """The content of a file of keys."""
        return None if name is None else Path(name).read_bytes()

    def tls(self) -> ssl.SSLContext:
        """The context for https."""
        context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate is not None:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context


def exporting(environ: Mapping[str, str]) -> bool:
    """Whether spans are wanted anywhere: without an endpoint nothing is exported, and nothing piles up."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name, "").strip() for name in _names("ENDPOINT"))


def target_from(environ: Mapping[str, str]) -> Target:
    """What the variables say; SettingsError for one that cannot be meant. Those for traces go before those for all."""
    problems: list[str] = []
    protocol = _one_of(environ, "PROTOCOL", _PROTOCOLS, problems)
    compression = _one_of(environ, "COMPRESSION", _COMPRESSIONS, problems)
    name, text = _told(environ, "TIMEOUT")
    timeout_s = DEFAULT_TIMEOUT_S
    if text:
        try:
            timeout_s = float(text)
        except ValueError:
            problems.append(f"{name} is {text!r}; it must be a number of seconds")
    endpoint = _endpoint(environ, protocol, problems)
    if problems:
        raise SettingsError(problems)
    return Target(
        protocol=protocol,
        endpoint=endpoint,
        headers=dict(parse_env_headers(_told(environ, "HEADERS")[1], liberal=True)),
        timeout_s=timeout_s,
        gzip=compression == "gzip",
        certificate=_told(environ, "CERTIFICATE")[1] or None,
        client_key=_told(environ, "CLIENT_KEY")[1] or None,
        client_certificate=_told(environ, "CLIENT_CERTIFICATE")[1] or None,
        insecure=_told(environ, "INSECURE")[1].lower() == "true",
    )


def refuse_unusable(environ: Mapping[str, str]) -> None:
    """SettingsError where the variables cannot be meant, or name certificates that cannot be used."""
    target = target_from(environ)
    try:
        target.tls()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError([f"the certificates for the collector cannot be used: {error}"]) from None


def _endpoint(environ: Mapping[str, str], protocol: str, problems: list[str]) -> str:
    name, endpoint = _told(environ, "ENDPOINT")
    if protocol == "grpc":
        return endpoint or "http://localhost:4317"
    endpoint = endpoint or "http://localhost:4318"
    if urlsplit(endpoint).scheme not in {"http", "https"}:
        problems.append(f"{name} must be an address that begins with http:// or https://")
    return endpoint if "TRACES" in name else endpoint.rstrip("/") + "/v1/traces"


def _one_of(environ: Mapping[str, str], word: str, allowed: tuple[str, ...], problems: list[str]) -> str:
    """The value, the first of ``allowed`` where there is none."""
    name, value = _told(environ, word)
    if value and value not in allowed:
        problems.append(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
    return value or allowed[0]


def _told(environ: Mapping[str, str], word: str) -> tuple[str, str]:
    """The name of the variable that counts, and what it says."""
    names = _names(word)
    return next(((name, value) for name in names if (value := environ.get(name, "").strip())), (names[1], ""))


def _names(word: str) -> tuple[str, str]:
    return f"OTEL_EXPORTER_OTLP_TRACES_{word}", f"OTEL_EXPORTER_OTLP_{word}"
