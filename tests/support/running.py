"""The whole of Zimwatch, as its composition root builds it, in the test's own event loop and on a free port."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from sidecar import app
from sidecar.reload import Reload
from sidecar.settings import (
    KEYS,
    AlertSettings,
    AppsSettings,
    AssertionSettings,
    BackupSettings,
    DashboardSettings,
    DatabaseSettings,
    ExportSettings,
    ForwardAuthSettings,
    ForwardSettings,
    GroupSettings,
    IngestSettings,
    LeaseSettings,
    Loaded,
    OidcSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    SignInSettings,
    TelemetrySettings,
    ZegoSettings,
)
from sidecar.store import Store
from sidecar.system import processes
from sidecar.system.processes import Start
from tests.support.accounts import weak_hasher
from tests.support.clocks import Machine
from tests.support.databases import url_of

FOR_YEARS = "36500d"


class Zimwatch(msgspec.Struct, frozen=True):
    """A running Zimwatch: ``http`` knows its address."""

    url: str
    store: Store
    http: aiohttp.ClientSession

    async def send(self, body: Any, query: str = "", **headers: str) -> tuple[int, Any]:
        """Posts a body (bytes as they are, the rest as JSON) to the ingest call: status and answer."""
        data = io.BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.http.post(f"/v1/events{query}", data=data, headers=given) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and answer of a read call."""
        async with self.http.get(path, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@contextlib.asynccontextmanager
async def zimwatch(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    max_body_bytes: int = 1_048_576,
    zego: ZegoSettings | None = None,
    machine: Machine | None = None,
    start: Start = processes.start,
    port: int = 0,
    server: ServerSettings | None = None,
    dashboard: DashboardSettings | None = None,
    alerts: AlertSettings | None = None,
    leases: LeaseSettings | None = None,
    apps: tuple[int, ...] = (),
    named: AppsSettings | None = None,
    allowed_origins: tuple[str, ...] = (),
    sign_in: SignInSettings | None = None,
    assertions: tuple[AssertionSettings, ...] = (),
    oidc: OidcSettings | None = None,
    forward_auth: ForwardAuthSettings | None = None,
    groups: GroupSettings | None = None,
    a_minute: Mapping[str, int] | None = None,
    backups: BackupSettings | None = None,
    telemetry: TelemetrySettings | None = None,
    forward: ForwardSettings | None = None,
) -> AsyncIterator[Zimwatch]:
    """Runs on ``folder/zimwatch.db``, by the real clocks or those of ``machine``, until the context ends.

    On any free port unless it is given one. Events of a fixed day are kept and exported however long ago that is.
    Without ``alerts`` no rule joins in because time went by: these events are old, and whether the next second comes in
    the middle of a test is chance. ``a_minute``: the limits of tokens, addresses and users.
    """
    limits: dict[str, Any] = {f"{limit}_events_a_minute": most for limit, most in (a_minute or {}).items()}
    settings = Settings(
        server=msgspec.structs.replace(server or ServerSettings(), port=port),
        sign_in=sign_in or SignInSettings(),
        oidc=oidc or OidcSettings(),
        forward_auth=forward_auth or ForwardAuthSettings(),
        groups=groups or GroupSettings(),
        database=DatabaseSettings(url=url_of(folder)),
        ingest=IngestSettings(
            max_body_bytes=max_body_bytes,
            apps=apps,
            allowed_origins=allowed_origins,
            assertions=assertions,
            **limits,
        ),
        apps=named or AppsSettings(),
        zego=zego or ZegoSettings(),
        dashboard=dashboard or DashboardSettings(),
        alerts=alerts or AlertSettings(offline_too_long="0s"),
        leases=leases or LeaseSettings(),
        retention=RetentionSettings(events=FOR_YEARS, alerts=FOR_YEARS, rejected=FOR_YEARS),
        backups=backups or BackupSettings(),
        export=ExportSettings(max_age=FOR_YEARS),
        telemetry=telemetry or TelemetrySettings(),
        forward=forward or ForwardSettings(),
    )
    reload = Reload(Loaded(settings, dict.fromkeys(KEYS, "default")))
    system = app.System(start=start, hasher=weak_hasher)
    if machine is not None:
        system = msgspec.structs.replace(system, clock=machine.clock, steady=machine.steady)
    async with (
        app.running(settings, environ or {}, system=system, reload=reload) as served,
        aiohttp.ClientSession(served.url, auto_decompress=True) as http,
    ):
        yield Zimwatch(served.url, served.store, http)
