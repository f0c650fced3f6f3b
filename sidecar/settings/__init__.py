"""The settings: what there is to set, where it is read from, and what is wrong with what was given."""

from sidecar.settings.alerts import AlertSettings
from sidecar.settings.convert import MASK, without_password
from sidecar.settings.load import KEYS, Loaded, environment_name, load, value_of
from sidecar.settings.sections import (
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
    ZegoSettings,
)
from sidecar.settings.values import duration_us, secrets_by_app, wait_us

__all__ = [
    "KEYS",
    "MASK",
    "AlertSettings",
    "CanarySettings",
    "DashboardSettings",
    "DatabaseSettings",
    "ExportSettings",
    "IngestSettings",
    "LeaseSettings",
    "Loaded",
    "LogSettings",
    "RetentionSettings",
    "ServerSettings",
    "Settings",
    "ZegoSettings",
    "duration_us",
    "environment_name",
    "load",
    "secrets_by_app",
    "value_of",
    "wait_us",
    "without_password",
]
