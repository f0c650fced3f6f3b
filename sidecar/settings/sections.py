"""The sections of the settings, but for the alerts': what there is to set, of which kind, and its default."""

from __future__ import annotations

import msgspec

from sidecar.domain.lease import Leases
from sidecar.settings.alerts import AlertSettings
from sidecar.settings.values import (
    BodyBytes,
    DatabaseUrl,
    Duration,
    Format,
    Host,
    Hosts,
    Level,
    Origins,
    Port,
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
    """What ``POST /v1/events`` takes. The limit holds after decompression."""

    max_body_bytes: BodyBytes = 1_048_576
    allowed_origins: Origins = ()


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a client may be silent before its user is unconfirmed: one that sends heartbeats, one that never has."""

    heartbeat: Duration = "45s"
    silent: Duration = "24h"

    def leases(self) -> Leases:
        """The same in microseconds."""
        return Leases(heartbeat_us=duration_us(self.heartbeat), silent_us=duration_us(self.silent))


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
    alerts: AlertSettings = AlertSettings()
    logs: LogSettings = LogSettings()
