"""The settings: their definitions, their sources, and the problems of given values."""

from sidecar.settings.alert_settings import AlertSettings
from sidecar.settings.assertion_settings import AssertionSettings
from sidecar.settings.convert import MASK, without_password
from sidecar.settings.forward_settings import ForwardSettings
from sidecar.settings.load import KEYS, Loaded, environment_name, load, read, value_of
from sidecar.settings.provider_settings import ForwardAuthSettings, GroupSettings, OidcSettings
from sidecar.settings.sections import (
    AppsSettings,
    BackupSettings,
    CanarySettings,
    DashboardSettings,
    DatabaseSettings,
    ExportSettings,
    IngestSettings,
    LeaseSettings,
    LogSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    SignInSettings,
    TelemetrySettings,
    ZegoSettings,
)
from sidecar.settings.sources import with_sources
from sidecar.settings.value_kinds import duration_us, is_on_server, secrets_by_app, wait_us

__all__ = [
    "KEYS",
    "MASK",
    "AlertSettings",
    "AppsSettings",
    "AssertionSettings",
    "BackupSettings",
    "CanarySettings",
    "DashboardSettings",
    "DatabaseSettings",
    "ExportSettings",
    "ForwardAuthSettings",
    "ForwardSettings",
    "GroupSettings",
    "IngestSettings",
    "LeaseSettings",
    "Loaded",
    "LogSettings",
    "OidcSettings",
    "RetentionSettings",
    "ServerSettings",
    "Settings",
    "SignInSettings",
    "TelemetrySettings",
    "ZegoSettings",
    "duration_us",
    "environment_name",
    "is_on_server",
    "load",
    "read",
    "secrets_by_app",
    "value_of",
    "wait_us",
    "with_sources",
    "without_password",
]
