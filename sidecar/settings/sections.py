"""The sections of the settings but ``alerts``: each setting with its type and default."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sidecar.domain import app_ids
from sidecar.domain.apps import Apps
from sidecar.domain.lease import Leases
from sidecar.domain.outside_text import one_line
from sidecar.domain.units import MINUTE_US
from sidecar.settings.alert_settings import AlertSettings
from sidecar.settings.assertion_settings import AssertionSettings, problems_of
from sidecar.settings.forward_settings import ForwardSettings
from sidecar.settings.provider_settings import ForwardAuthSettings, GroupSettings, OidcSettings
from sidecar.settings.value_kinds import (
    AppDurations,
    AppId,
    AppIds,
    AppNames,
    AppSecrets,
    AtLeastOne,
    BodyBytes,
    CapabilityUrl,
    Connections,
    Count,
    DatabaseUrl,
    Duration,
    EpisodeKinds,
    EventsAMinute,
    FileBytes,
    FilePath,
    FolderPath,
    Format,
    Host,
    Hosts,
    HttpUrl,
    Keys,
    Level,
    Live,
    LogKinds,
    Networks,
    Origins,
    Port,
    PublicUrl,
    Secret,
    SocketUrl,
    TraceUrl,
    UserId,
    UserIds,
    UserUrl,
    Wait,
    WaitingBytes,
    duration_us,
    is_on_server,
    wait_us,
)


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Zimwatch listens, and how people reach it.

    ``allowed_hosts``: accepted values of Host beside loopback, ``host`` and the host of ``public_url``.
    ``trusted_proxies``: the peers whose headers about the client are used. Beyond ``max_connections`` idle ones are
    closed; ``max_connections_per_client`` counts only with trusted proxies, by which clients are known. With
    ``tls_cert`` and ``tls_key``, files in PEM, it speaks TLS itself.
    """

    host: Host = "127.0.0.1"
    port: Port = 8790
    public_url: PublicUrl = ""
    allowed_hosts: Live[Hosts] = ()
    trusted_proxies: Live[Networks] = ()
    max_connections: Connections = 2_000
    max_connections_per_client: Connections = 256
    header_timeout: Duration = "10s"
    body_timeout: Duration = "30s"
    tls_cert: FilePath | None = None
    tls_key: FilePath | None = None

    @property
    def scheme(self) -> str:
        """``https`` where it speaks TLS itself."""
        return "http" if self.tls_cert is None else "https"

    @property
    def path(self) -> str:
        """The path of ``public_url`` without a slash at its end; empty for the root of a host."""
        return urlsplit(self.public_url).path.rstrip("/")

    def problems(self) -> list[str]:
        """What a pattern cannot check."""
        problems = []
        try:
            urlsplit(self.public_url).port  # noqa: B018 - reading it is what checks it
        except ValueError:
            problems.append("server.public_url must have an IPv6 address in its brackets and a port up to 65535.")
        for text in self.trusted_proxies:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                problems.append(f"server.trusted_proxies must be IP addresses and networks, and {text} is neither.")
        return problems


class SignInSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a browser stays signed in: without a request, and at most."""

    idle: Live[Duration] = "12h"
    lifetime: Live[Duration] = "7d"


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which database holds everything."""

    url: DatabaseUrl = "sqlite:///zimwatch.db"

    @property
    def is_on_server(self) -> bool:
        """Whether it is a PostgreSQL server's, and no file."""
        return is_on_server(self.url)


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``POST /v1/events`` accepts. ``max_body_bytes`` counts after decompression.

    With ``max_waiting_bytes`` of bodies in the queue for a commit, or once the oldest has waited for ``max_waiting``,
    requests get 503. ``apps``: the apps whose events are accepted, beside those that tokens and other settings name;
    while it is empty, the first 100 are learned. ``assertions``: by which key an app's backend vouches for its users.
    ``…_events_a_minute``: of one ingest token, one address, one user.
    """

    max_body_bytes: Live[BodyBytes] = 1_048_576
    allowed_origins: Live[Origins] = ()
    apps: Live[AppIds] = ()
    max_waiting_bytes: WaitingBytes = 67_108_864
    max_waiting: Duration = "5s"
    token_events_a_minute: Live[EventsAMinute] = 600_000
    address_events_a_minute: Live[EventsAMinute] = 60_000
    user_events_a_minute: Live[EventsAMinute] = 3_000
    assertions: Live[tuple[AssertionSettings, ...]] = ()

    def problems(self) -> list[str]:
        """Contradictions of the keys of apps."""
        return list(problems_of(self.assertions))


_APP_ID: Final = re.compile(r"0|[1-9][0-9]{0,18}")


def _wrong_app_ids(setting: str, given: Iterable[str]) -> list[str]:
    """A sentence for each key of a table that is no AppID."""
    return [
        f"{setting}: {one!r} is no AppID, which is a whole number up to {app_ids.LARGEST}."
        for one in given
        if not _APP_ID.fullmatch(one) or int(one) > app_ids.LARGEST
    ]


_APP_NAME_MOST: Final = 60


def _is_app_name(name: str) -> bool:
    """No whole number, because a name can be typed where an AppID can."""
    is_shown = name == name.strip() and name == one_line(name)
    return 0 < len(name) <= _APP_NAME_MOST and is_shown and not name.isdecimal()


class AppsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What people call the apps, and the address of a user in their own back office."""

    names: AppNames = {}
    user_url_template: UserUrl | None = None

    def apps(self) -> Apps:
        """The same by AppID."""
        return Apps({int(app_id): name for app_id, name in self.names.items()}, self.user_url_template)

    def problems(self) -> list[str]:
        """Each AppID and name that is none; names that two apps have; and a template without its placeholder."""
        counted = Counter(name.casefold() for name in self.names.values())
        problems = _wrong_app_ids("apps.names", self.names)
        for app_id, name in self.names.items():
            if not _is_app_name(name):
                problems.append(
                    f"apps.names: {name!r} cannot be the name of app {app_id}: it must have 1 to 60 visible characters,"
                    " no blank at its ends, and not be a whole number."
                )
            elif counted[name.casefold()] > 1:
                problems.append(f"apps.names gives the name {name!r} to app {app_id} and to another one.")
        if self.user_url_template is not None and "{user_id}" not in self.user_url_template:
            problems.append("apps.user_url_template must be the address of a user, with {user_id} in it.")
        return problems


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a client may be silent before its user is unconfirmed: one that sends heartbeats, one that never has.

    ``heartbeats_per_second``: past it the server has clients send heartbeats less often, and wait longer for them.
    """

    heartbeat: Duration = "45s"
    silent: Duration = "24h"
    heartbeats_per_second: AtLeastOne = 500

    def leases(self) -> Leases:
        """The leases in microseconds."""
        return Leases(
            heartbeat_us=duration_us(self.heartbeat),
            silent_us=duration_us(self.silent),
            heartbeats_per_second=self.heartbeats_per_second,
        )


class ZegoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """ZEGO's server: its callbacks, and the queries to it. A secret names its app."""

    callback_secrets: Live[AppSecrets] = ()
    callback_window: Live[Duration] = "5m"
    server_secrets: AppSecrets = ()
    server_url: HttpUrl = "https://zim-api.zego.im/"
    query_every: Duration = "1m"


class CanarySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The account that Zimwatch itself logs in, to see whether ZIM can be reached. Off without an account.

    ``token_command`` is a program and its arguments, run without a shell. ``network`` replaces every server of
    ZEGOCLOUD's, for tests.
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
        """What is missing, and contradictions."""
        if not self.is_on:
            return []
        given = {"canary.app_id": self.app_id, "canary.user_id": self.user_id}
        problems = [f"{key} must be given for the canary to log in." for key, value in given.items() if value is None]
        if (self.token_command is None) == (self.token_url is None):
            problems.append("canary.token_command or canary.token_url must be given, and not both.")
        return problems


class PrivacySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How what leaves Zimwatch names users, and the keys of ``extended_data`` whose values are not stored."""

    user_id_in_telemetry: UserIds = "plain"
    redact_extended_data: Keys = ()

    @property
    def is_plain(self) -> bool:
        """Whether users are named by their ids."""
        return self.user_id_in_telemetry == "plain"

    def problems(self) -> list[str]:
        """More keys than each event may be compared with."""
        most = 100
        many = len(self.redact_extended_data) > most
        return [f"privacy.redact_extended_data has more than {most} keys."] if many else []


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long events, alerts, rejected events and the audit log are kept.

    ``apps``: for how long the events of some apps are, if shorter. Above the size ``max_bytes`` the oldest events and
    alerts are deleted.
    """

    events: Duration = "30d"
    alerts: Duration = "30d"
    rejected: Duration = "30d"
    audit: Duration = "365d"
    apps: AppDurations = {}
    max_bytes: FileBytes = 10_737_418_240

    def problems(self) -> list[str]:
        """What is no AppID, and apps that are to be kept for longer than others."""
        return _wrong_app_ids("retention.apps", self.apps) + [
            f"retention.apps: {kept} of app {app_id} must not be longer than retention.events."
            for app_id, kept in self.apps.items()
            if duration_us(kept) > duration_us(self.events)
        ]


class BackupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Backups that Zimwatch makes by itself: every so often, into ``folder``. Off without a folder.

    At most ``keep`` good ones stay, none older than ``keep_for`` but the newest.
    """

    folder: FolderPath | None = None
    every: Duration = "24h"
    keep: AtLeastOne = 7
    keep_for: Duration = "30d"

    def problems(self, overdue_after: Wait) -> list[str]:
        """Contradictions, also with ``alerts.backup_overdue``."""
        if self.folder is None:
            return []
        problems = []
        every_us, overdue_us = duration_us(self.every), wait_us(overdue_after)
        if every_us < MINUTE_US:
            problems.append("backups.every must be 1m at least.")
        if duration_us(self.keep_for) < every_us:
            problems.append("backups.keep_for must not be shorter than backups.every.")
        if 0 < overdue_us <= every_us:
            problems.append("alerts.backup_overdue must be longer than backups.every, or 0s.")
        return problems


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a span is offered to a collector that does not accept it."""

    max_age: Live[Duration] = "7d"


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported beside the span of each change."""

    duration_spans: EpisodeKinds = ()
    log_events: LogKinds = ()


class DashboardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the pages. The template has ``{trace_id}``, ``{start_ms}`` and ``{end_ms}``."""

    trace_url_template: TraceUrl | None = None


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Logs to stderr. ``auto`` is JSON unless stderr is a terminal.

    ``requests_a_minute``: lines of each route, and of each status of errors; the requests beyond are summed up in one.
    """

    level: Level = "info"
    format: Format = "auto"
    requests_a_minute: Count = 60


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, but those of OpenTelemetry, which are its own environment variables.

    Those marked as ``Live``, or in a section that is, may change while Zimwatch runs: see :mod:`sidecar.settings.live`.
    """

    server: ServerSettings = ServerSettings()
    sign_in: SignInSettings = SignInSettings()
    oidc: OidcSettings = OidcSettings()
    forward_auth: ForwardAuthSettings = ForwardAuthSettings()
    groups: Live[GroupSettings] = GroupSettings()
    database: DatabaseSettings = DatabaseSettings()
    ingest: IngestSettings = IngestSettings()
    apps: Live[AppsSettings] = AppsSettings()
    leases: LeaseSettings = LeaseSettings()
    zego: ZegoSettings = ZegoSettings()
    canary: CanarySettings = CanarySettings()
    privacy: PrivacySettings = PrivacySettings()
    retention: Live[RetentionSettings] = RetentionSettings()
    backups: Live[BackupSettings] = BackupSettings()
    export: ExportSettings = ExportSettings()
    forward: ForwardSettings = ForwardSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    dashboard: DashboardSettings = DashboardSettings()
    alerts: Live[AlertSettings] = AlertSettings()
    logs: Live[LogSettings] = LogSettings()

    def sign_in_problems(self) -> list[str]:
        """What is missing in ``oidc``, ``forward_auth`` and ``groups``, and contradictions."""
        return [
            *self.groups.problems(),
            *self.oidc.problems(self.groups),
            *self.forward_auth.problems(self.server.trusted_proxies, self.groups),
        ]
