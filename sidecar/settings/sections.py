"""The sections of the settings, but for the alerts': what there is to set, of which kind, and its default."""

from __future__ import annotations

import msgspec

from sidecar.domain.lease import Leases
from sidecar.settings.alerts import AlertSettings
from sidecar.settings.values import (
    AppId,
    AppSecrets,
    BodyBytes,
    CapabilityUrl,
    DatabaseUrl,
    Duration,
    FileBytes,
    Format,
    Host,
    Hosts,
    HttpUrl,
    Level,
    Origins,
    Port,
    Secret,
    SocketUrl,
    TraceUrl,
    UserId,
    WaitingBytes,
    duration_us,
)


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Zimwatch listens. ``allowed_hosts``: names it answers to beside loopback and ``host`` itself."""

    host: Host = "127.0.0.1"
    port: Port = 8790
    allowed_hosts: Hosts = ()


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which database holds everything."""

    url: DatabaseUrl = "sqlite:///zimwatch.db"


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``POST /v1/events`` takes. The limit holds after decompression.

    Past ``max_waiting_bytes`` of bodies that wait for their commit, or when the oldest has waited for ``max_waiting``,
    senders are told to come back.
    """

    max_body_bytes: BodyBytes = 1_048_576
    allowed_origins: Origins = ()
    max_waiting_bytes: WaitingBytes = 67_108_864
    max_waiting: Duration = "5s"


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a client may be silent before its user is unconfirmed: one that sends heartbeats, one that never has."""

    heartbeat: Duration = "45s"
    silent: Duration = "24h"

    def leases(self) -> Leases:
        """The same in microseconds."""
        return Leases(heartbeat_us=duration_us(self.heartbeat), silent_us=duration_us(self.silent))


class ZegoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """ZEGO's own server: what it may tell Zimwatch, and what Zimwatch asks it. Secrets name the app they are of."""

    callback_secrets: AppSecrets = ()
    callback_window: Duration = "5m"
    server_secrets: AppSecrets = ()
    server_url: HttpUrl = "https://zim-api.zego.im/"
    query_every: Duration = "1m"


class CanarySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The account that Zimwatch itself logs in, to see whether ZIM can be reached. Off while nothing is given.

    ``token_command`` is a program and its arguments, run without a shell. ``network`` stands for every server of
    ZEGOCLOUD's, for a rehearsal.
    """

    app_id: AppId | None = None
    user_id: UserId | None = None
    token_command: Secret | None = None
    token_url: CapabilityUrl | None = None
    login_timeout: Duration = "15s"
    retry: Duration = "1m"
    network: SocketUrl | None = None

    @property
    def is_on(self) -> bool:
        """Whether an account is given."""
        return any((self.app_id, self.user_id, self.token_command, self.token_url))

    def problems(self) -> list[str]:
        """What is missing, or one too many."""
        if not self.is_on:
            return []
        given = {"canary.app_id": self.app_id, "canary.user_id": self.user_id}
        problems = [f"{key} must be given for the canary to log in." for key, value in given.items() if value is None]
        if (self.token_command is None) == (self.token_url is None):
            problems.append("canary.token_command or canary.token_url must be given, and not both.")
        return problems


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long events, alerts and rejected events are kept, and how large the database may become: the oldest go."""

    events: Duration = "30d"
    alerts: Duration = "30d"
    rejected: Duration = "30d"
    max_bytes: FileBytes = 10_737_418_240


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a span is offered to a collector that does not take it."""

    max_age: Duration = "7d"


class DashboardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages are told. The template's ``{trace_id}``, ``{start_ms}`` and ``{end_ms}`` are filled in."""

    trace_url_template: TraceUrl | None = None


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to stderr. ``auto`` is JSON unless stderr is a terminal."""

    level: Level = "info"
    format: Format = "auto"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of Zimwatch's own. OpenTelemetry's come from its own environment variables."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    ingest: IngestSettings = IngestSettings()
    leases: LeaseSettings = LeaseSettings()
    zego: ZegoSettings = ZegoSettings()
    canary: CanarySettings = CanarySettings()
    retention: RetentionSettings = RetentionSettings()
    export: ExportSettings = ExportSettings()
    dashboard: DashboardSettings = DashboardSettings()
    alerts: AlertSettings = AlertSettings()
    logs: LogSettings = LogSettings()
