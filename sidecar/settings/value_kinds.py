"""The types of settings. The description of each completes the sentence "<key> must be …"."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeVar

from msgspec import Meta

from sidecar.domain import app_ids, edges
from sidecar.domain.episodes import KINDS, LOG_KINDS, Kind, LogKind
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US, MS_US, SECOND_US
from sidecar.domain.user_naming import Mode

_UNIT_US: Final = {"ms": MS_US, "s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,6})(ms|s|m|h|d)")
_NONE: Final = "0s"

T = TypeVar("T")
Live = Annotated[T, Meta(extra={"live": True})]
"""A setting, or a section, that may change while Zimwatch runs: it is read each time that it is used."""

Port = Annotated[int, Meta(ge=0, le=65_535, description="a port from 0 (any free one) to 65535")]
Host = Annotated[str, Meta(pattern=r"^[^\s/]+\Z", description="a host name or an IP address to listen on")]
HostName = Annotated[str, Meta(pattern=r"^[^\s/:]+\Z|^\[[0-9A-Fa-f:.]+\]\Z")]
Hosts = Annotated[tuple[HostName, ...], Meta(description="a list of host names, without scheme or port")]
# A browser sends "null" for a page without an origin: a file, a sandboxed frame, some WebViews.
Origin = Annotated[str, Meta(pattern=r"^([a-z][a-z0-9+.-]*://[^/\s]+|null)\Z")]
Origins = Annotated[
    tuple[Origin, ...], Meta(description="a list of origins such as https://app.example.com, no path, or null")
]
Networks = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?\Z")], ...],
    Meta(description="a list of IP addresses and networks such as 127.0.0.1 or 10.0.0.0/8"),
]
PublicUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?)?\Z",
        description="a URL such as https://ops.example.com/zimwatch, no user, query or percent-encoding, or empty",
    ),
]
_ON_SERVER: Final = "postgresql://"
DatabaseUrl = Annotated[
    str,
    Meta(
        pattern=rf"^(sqlite:///[^?#]+|{_ON_SERVER}[^\s]+)\Z",
        description="sqlite:/// and the path of a file, or postgresql:// with a host and a database",
    ),
]
BodyBytes = Annotated[int, Meta(ge=1_024, le=1 << 30, description="a number of bytes from 1024 to 1073741824")]
WaitingBytes = Annotated[
    int, Meta(ge=1_048_576, le=1 << 34, description="a number of bytes from 1048576 to 17179869184")
]
FileBytes = Annotated[int, Meta(ge=1_048_576, le=1 << 50, description="a number of bytes, 1048576 at least")]
Duration = Annotated[
    str,
    Meta(pattern=rf"^{_DURATION.pattern}\Z", description="a duration such as 500ms, 45s, 15m, 24h or 90d"),
]
Wait = Annotated[
    str,
    Meta(pattern=rf"^({_NONE}|{_DURATION.pattern})\Z", description="a duration such as 0s, 45s, 15m or 24h"),
]
LogKinds = Annotated[tuple[LogKind, ...], Meta(description=f"a list out of {', '.join(LOG_KINDS)}")]
EpisodeKinds = Annotated[tuple[Kind, ...], Meta(description=f"a list out of {', '.join(KINDS)}")]
Level = Annotated[
    Literal["debug", "info", "warning", "error"],
    Meta(description="one of debug, info, warning, error"),
]
Secret = Annotated[str, Meta(min_length=1, description="a secret, not empty", extra={"secret": True})]
Count = Annotated[int, Meta(ge=0, le=1_000_000, description="a whole number from 0 to 1000000")]
EventsAMinute = Annotated[
    int, Meta(ge=0, le=1_000_000_000, description="a whole number from 0 (no limit) to 1000000000")
]
AtLeastOne = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]
Connections = Annotated[int, Meta(ge=8, le=1_000_000, description="a whole number from 8 to 1000000")]
Share = Annotated[float, Meta(ge=0, le=1, description="a share from 0 to 1")]
Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", description="a name of letters, digits, . _ -")
]
EdgeName = Annotated[
    str, Meta(pattern=edges.NAME_PATTERN, description="a name of up to 63 letters, digits, . _ -, such as a host's")
]
FilePath = Annotated[str, Meta(min_length=1, description="the path of a file")]
FolderPath = Annotated[str, Meta(min_length=1, description="the path of a folder")]
Text = Annotated[str, Meta(min_length=1, description="text, not empty")]
Url = Annotated[str, Meta(pattern=r"^https?://[^/\s]\S*\Z", description="an http:// or https:// URL")]
# A URL by which anyone may call: its path and query are secret, its host is not.
CapabilityUrl = Annotated[
    str, Meta(pattern=r"^https?://[^/\s]\S*\Z", description="an http:// or https:// URL", extra={"secret": "path"})
]
CapabilityUrlOrNone = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^/\s]\S*)?\Z",
        description="an http:// or https:// URL, or empty",
        extra={"secret": "path"},
    ),
]
Addresses = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[^\s@,]+@[^\s@,]+\Z")], ...],
    Meta(min_length=1, description="a list of e-mail addresses, at least one"),
]
AppSecret = Annotated[str, Meta(pattern=r"^[0-9]{1,10}:\S+\Z")]
AppSecrets = Annotated[
    tuple[AppSecret, ...],
    Meta(description="a list of AppID:secret, such as 1234567890:0123abcd", extra={"secret": True}),
]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^/\s?#][^\s?#]*\Z", description="an http or https URL, no query")]
AppId = Annotated[int, Meta(ge=1, le=app_ids.LARGEST, description="a ZEGO AppID, a whole number")]
AppIds = Annotated[
    tuple[Annotated[int, Meta(ge=0, le=app_ids.LARGEST)], ...], Meta(description="a list of ZEGO AppIDs, whole numbers")
]
AppDurations = Annotated[
    dict[str, Duration],
    Meta(description='a table of AppIDs and durations, such as 1234567890 = "7d"'),
]
AppNames = Annotated[
    dict[str, str],
    Meta(description='a table of AppIDs and names up to 60 characters, such as 1234567890 = "Prod chat"'),
]
UserUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#{}]+[/?#]([^\s{}]|\{app_id\}|\{user_id\})*\Z",
        description="the address of a user, such as https://office.example.com/users/{app_id}/{user_id}, "
        "with no other braces and none in the host",
    ),
]
UserId = Annotated[str, Meta(min_length=1, description="a user id, not empty")]
SocketUrl = Annotated[str, Meta(pattern=r"^wss?://[^\s]+\Z", description="a ws or wss address")]
TraceUrl = Annotated[
    str,
    Meta(
        pattern=r"^(?=\S*$)https?://.*\{trace_id\}",
        description="the address of a trace, such as https://jaeger.example.com/trace/{trace_id}",
    ),
]
UserIds = Annotated[Mode, Meta(description="one of plain, hash, off")]
Keys = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
    Meta(description="a list of keys of 1 to 100 characters"),
]
Format = Annotated[Literal["auto", "json", "console"], Meta(description="one of auto, json, console")]


def is_on_server(database_url: str) -> bool:
    """Whether the database is a PostgreSQL server's, and no file."""
    return database_url.startswith(_ON_SERVER)


def duration_us(text: str) -> int:
    """Microseconds of ``45s``, ``15m``, ``24h`` … ; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a duration such as 45s, 15m, 24h or 90d"
        raise ValueError(message)
    return int(match[1]) * _UNIT_US[match[2]]


def wait_us(text: str) -> int:
    """The same, but ``0s`` is 0 microseconds."""
    return 0 if text == _NONE else duration_us(text)


def secrets_by_app(listed: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """The secrets of ``AppID:secret`` by AppID. An app may have several, so that one can be replaced without a gap."""
    found: dict[int, tuple[str, ...]] = {}
    for text in listed:
        app_id, _, secret = text.partition(":")
        found[int(app_id)] = (*found.get(int(app_id), ()), secret)
    return found
