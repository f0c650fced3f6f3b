"""Checks of what Zimwatch calls: the collector, the receivers of alerts, and ZEGO's server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar import telemetry
from sidecar.access.oidc import OpenIdConnect, ProviderError
from sidecar.clock import Clock
from sidecar.doctor.result import Result, note, ok, problem
from sidecar.errors import SettingsError, ZimwatchError
from sidecar.http_client import DeliveryError, HttpClient
from sidecar.ingest.server_query import ACTION, QueryFailedError, query
from sidecar.settings import Settings, secrets_by_app
from sidecar.telemetry.otlp.exporter import ExportError, create_exporter

CONNECT_S: Final = 5
_CHECK_ADDRESS: Final = "Check its address, the firewall and alerts.allowed_hosts."
_NOBODY: Final = "zimwatch-doctor"


async def collector(environ: Mapping[str, str], clock: Clock) -> Result:
    """Sends a request without spans to the collector."""
    if not telemetry.exporting(environ):
        return note("collector", "no spans are exported: OTEL_EXPORTER_OTLP_ENDPOINT is not set")
    try:
        exporter = create_exporter(environ, clock)
    except SettingsError as error:
        return problem("collector", str(error), "Correct the variable.")
    try:
        await exporter.export(b"")
    except ExportError as error:
        return problem("collector", f"it does not accept spans: {error}", "Check endpoint, headers and protocol.")
    finally:
        await exporter.close()
    return ok("collector", "it accepts spans")


async def channels(settings: Settings) -> AsyncIterator[Result]:
    """Connects to each receiver of alerts, without sending anything."""
    if not settings.alerts.receivers:
        yield note("channels", "no receiver of alerts is configured")
        return
    async with HttpClient(settings.alerts.allowed_hosts) as http:
        for one in settings.alerts.receivers:
            name = f"channel {one.name}"
            if (target := _target(one)) is None:
                yield note(name, "cannot be tried without a message", "Send it a test message on /settings.")
                continue
            try:
                await _connect(http, *target)
            except DeliveryError as error:
                yield problem(name, f"cannot be reached: {error}", _CHECK_ADDRESS)
            else:
                yield ok(name, "can be reached; a test message on /settings shows whether it accepts alerts")


async def zego(settings: Settings, clock: Clock) -> AsyncIterator[Result]:
    """Makes one query with the first secret of each app."""
    by_app = secrets_by_app(settings.zego.server_secrets)
    if not by_app:
        yield note("ZEGO's server", "it is not queried: zego.server_secrets is not set")
    async with HttpClient(settings.alerts.allowed_hosts) as http:
        for app_id, secrets in by_app.items():
            try:
                await query(http, settings.zego.server_url, (app_id, secrets[0]), [_NOBODY], clock)
            except QueryFailedError as error:
                yield problem(f"ZEGO's server, app {app_id}", str(error), f"Check the ServerSecret and {ACTION}.")
            else:
                yield ok(f"ZEGO's server, app {app_id}", "it answers, and accepts the signature")


async def provider(settings: Settings, clock: Clock) -> AsyncIterator[Result]:
    """Fetches the OpenID Connect provider's discovery document and keys."""
    if not settings.oidc.is_on:
        return
    client = OpenIdConnect(settings.oidc, clock)
    async with HttpClient(settings.alerts.allowed_hosts) as client.http:
        try:
            await client.check()
        except ProviderError as error:
            yield problem("sign-in", str(error), _CHECK_ADDRESS)
        else:
            yield ok("sign-in", "the provider's discovery document and keys can be used")


def _target(receiver: Any) -> tuple[str, int, bool] | None:  # noqa: ANN401 - settings of any receiver's type
    """Host, port and whether it speaks TLS; None where the settings do not say."""
    if (host := getattr(receiver, "host", None)) is not None:
        return host, receiver.port, False
    parts = urlsplit(getattr(receiver, "url", ""))
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return None
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), parts.scheme == "https"


async def _connect(http: HttpClient, host: str, port: int, tls: bool) -> None:  # noqa: FBT001 - of _target()
    """DeliveryError where no connection can be made, or the certificate is refused."""
    try:
        async with asyncio.timeout(CONNECT_S):
            address = (await http.blocking(http.addresses, host, port))[0]
            _, writer = await asyncio.open_connection(
                address, port, ssl=tls or None, server_hostname=host if tls else None
            )
    except TimeoutError:
        raise DeliveryError(f"no connection within {CONNECT_S} s", permanent=False) from None
    except (OSError, ZimwatchError) as error:
        raise DeliveryError(str(error), permanent=False) from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
