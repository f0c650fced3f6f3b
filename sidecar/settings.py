"""Reads the settings, weakest source first: defaults, a TOML file, the environment, the command line.

A wrong or unknown setting is never passed over: :func:`load` names every one of them in a single error.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from sidecar.domain.lease import Leases
from sidecar.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_FILE: Final = "zimwatch.toml"
PREFIX: Final = "ZIMWATCH_"
MASK: Final = "********"

_UNIT_US: Final = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,6})(ms|s|m|h|d)")
# A Kubernetes Service called "zimwatch" puts these into every pod's environment; they are nobody's settings.
_KUBERNETES: Final = re.compile(
    r"ZIMWATCH_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")

# A description completes the sentence "<key> must be …".
Port = Annotated[int, Meta(ge=0, le=65_535, description="a port from 0 (any free one) to 65535")]
Host = Annotated[str, Meta(pattern=r"^[^\s/]+$", description="a host name or an IP address to listen on")]
HostName = Annotated[str, Meta(pattern=r"^[^\s/:]+$|^\[[0-9A-Fa-f:.]+\]$")]
Hosts = Annotated[tuple[HostName, ...], Meta(description="a list of host names, without scheme or port")]
Origin = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]*://[^/\s]+$")]
Origins = Annotated[tuple[Origin, ...], Meta(description="a list of origins such as https://app.example.com, no path")]
DatabaseUrl = Annotated[str, Meta(pattern=r"^sqlite:///[^?#]+$", description="sqlite:/// and the path of a file")]
BodyBytes = Annotated[int, Meta(ge=1_024, le=1 << 30, description="a number of bytes from 1024 to 1073741824")]
Duration = Annotated[
    str,
    Meta(pattern=rf"^{_DURATION.pattern}$", description="a duration such as 500ms, 45s, 15m, 24h or 90d"),
]
Level = Annotated[
    Literal["debug", "info", "warning", "error"],
    Meta(description="one of debug, info, warning, error"),
]
Secret = Annotated[str, Meta(min_length=1, description="a secret, not empty", extra={"secret": True})]
AppSecret = Annotated[str, Meta(pattern=r"^[0-9]{1,10}:\S+$")]
AppSecrets = Annotated[
    tuple[AppSecret, ...],
    Meta(description="a list of AppID:secret, such as 1234567890:0123abcd", extra={"secret": True}),
]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^/\s?#]+/?[^\s?#]*$", description="an http or https URL, no query")]
AppId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="a ZEGO AppID, a whole number")]
UserId = Annotated[str, Meta(min_length=1, description="a user id, not empty")]
SecretUrl = Annotated[
    str, Meta(pattern=r"^https?://[^\s]+$", description="an http or https address", extra={"secret": True})
]
SocketUrl = Annotated[str, Meta(pattern=r"^wss?://[^\s]+$", description="a ws or wss address")]
TraceUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s]*\{trace_id\}[^\s]*$",
        description="the address of a trace, such as https://jaeger.example.com/trace/{trace_id}",
    ),
]
Format = Annotated[Literal["auto", "json", "console"], Meta(description="one of auto, json, console")]


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
    token_url: SecretUrl | None = None
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
    dashboard: DashboardSettings = DashboardSettings()
    logs: LogSettings = LogSettings()


class Loaded(msgspec.Struct, frozen=True):
    """The settings in force, and the source of each ``section.key``. A ``secret`` one came from a file."""

    settings: Settings
    sources: dict[str, str]
    secret: frozenset[str] = frozenset()

    def is_secret(self, key: str) -> bool:
        """Whether the value must not be shown: by its kind, or because it came from a file of secrets."""
        return key in self.secret or any((meta.extra or {}).get("secret") for meta in _metas(_HINTS[key]))

    def shown(self) -> Iterator[tuple[str, str, str]]:
        """Key, value as TOML would have it, source; fit to be printed: what is secret is masked."""
        for key, source in self.sources.items():
            value = value_of(self.settings, key)
            text = msgspec.json.encode(value).decode()
            hidden = value is not None and self.is_secret(key)
            yield key, f'"{MASK}"' if hidden else without_password(text), source


class _Given(msgspec.Struct, frozen=True):
    """A value before it is checked. ``as_text``: it was text to begin with (environment), so "8790" is a number."""

    value: object
    source: str
    as_text: bool = False


def _metas(hint: Any) -> Iterator[Meta]:  # noqa: ANN401 - a type hint may be anything
    """The Metas of an annotated type, also inside of ``… | None``."""
    yield from (meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta))
    for inner in getattr(hint, "__args__", ()):
        yield from _metas(inner)


def _hints() -> dict[str, Any]:
    return {
        f"{section}.{key}": hint
        for section, struct in get_type_hints(Settings).items()
        for key, hint in get_type_hints(struct, include_extras=True).items()
    }


_HINTS: Final = _hints()
KEYS: Final = tuple(_HINTS)
"""Every setting as ``section.key``."""


def duration_us(text: str) -> int:
    """Microseconds of ``45s``, ``15m``, ``24h`` … ; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a duration such as 45s, 15m, 24h or 90d"
        raise ValueError(message)
    return int(match[1]) * _UNIT_US[match[2]]


def secrets_by_app(listed: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """``AppID:secret`` by AppID. An app may have several, so that one can take the place of another in time."""
    found: dict[int, tuple[str, ...]] = {}
    for text in listed:
        app_id, _, secret = text.partition(":")
        found[int(app_id)] = (*found.get(int(app_id), ()), secret)
    return found


def environment_name(key: str) -> str:
    """``server.port`` → ``ZIMWATCH_SERVER__PORT``."""
    return PREFIX + key.replace(".", "__").upper()


def without_password(text: str) -> str:
    """The text with the password of a URL in it masked."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def value_of(settings: Settings, key: str) -> object:
    """The value of ``section.key``."""
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Loaded:
    """Settings from every source; ``path`` None means ``./zimwatch.toml`` if there is one.

    ``overrides`` is the command line, by ``section.key``; None there means not given. Raises SettingsError that
    names each wrong or unknown key, and gives no value away.
    """
    problems: list[str] = []
    secret: set[str] = set()
    given: dict[str, _Given] = {}
    given |= _from_file(path, problems)
    given |= _from_environment(environ, problems, secret)
    given |= {key: _Given(value, "command line") for key, value in overrides.items() if value is not None}
    values: dict[str, dict[str, Any]] = {section: {} for section in get_type_hints(Settings)}
    for key, found in given.items():
        section, name = key.split(".")
        try:
            values[section][name] = _converted(key, found)
        except msgspec.ValidationError:
            problems.append(f"{key} must be {_expected(key)} ({found.source}).")
    if problems:
        raise SettingsError(problems)
    settings = msgspec.convert(values, Settings)
    if problems := settings.canary.problems():
        raise SettingsError(problems)
    sources = {key: given[key].source if key in given else "default" for key in KEYS}
    return Loaded(settings, sources, frozenset(secret))


def _expected(key: str) -> str:
    return next(str(meta.description) for meta in _metas(_HINTS[key]) if meta.description)


def _converted(key: str, found: _Given) -> object:
    value = found.value
    if found.as_text and isinstance(value, str) and get_origin(getattr(_HINTS[key], "__origin__", None)) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    return msgspec.convert(value, _HINTS[key], strict=not found.as_text)


def _from_file(path: Path | None, problems: list[str]) -> dict[str, _Given]:
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.exists():
            return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"The settings file {path} cannot be read: {error.strerror}.")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"The settings file {path} is not TOML: {error}.")
        return {}
    given: dict[str, _Given] = {}
    for section, table in tables.items():
        if section not in get_type_hints(Settings):
            problems.append(f"{section} is not a section of the settings ({path}).")
        elif not isinstance(table, dict):
            problems.append(f"{section} must be a table, written [{section}] ({path}).")
        else:
            given |= {f"{section}.{name}": _Given(value, str(path)) for name, value in table.items()}
    for key in [key for key in given if key not in _HINTS]:
        problems.append(f"{key} is not a setting ({path}).")
        del given[key]
    return given


def _from_environment(environ: Mapping[str, str], problems: list[str], secret: set[str]) -> dict[str, _Given]:
    names = {environment_name(key): key for key in KEYS}
    files = {f"{name}_FILE": key for name, key in names.items()}
    given: dict[str, _Given] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or _KUBERNETES.fullmatch(name):
            continue
        if name in names:
            given[names[name]] = _Given(text, name, as_text=True)
        elif name in files and name.removesuffix("_FILE") in environ:
            problems.append(f"{files[name]} is given twice: by {name} and by {name.removesuffix('_FILE')}.")
        elif name in files:
            try:
                content = Path(text).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{files[name]} cannot be read from the file in {name}: {error}.")
            else:
                given[files[name]] = _Given(content, name, as_text=True)
                secret.add(files[name])
        else:
            problems.append(f"{name} is not a setting of the environment; their names are {PREFIX}SECTION__KEY.")
    return given
