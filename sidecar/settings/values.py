"""The kinds of a setting's value. Each kind's description completes the sentence "<key> must be …"."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

_UNIT_US: Final = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,6})(ms|s|m|h|d)")
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
Format = Annotated[Literal["auto", "json", "console"], Meta(description="one of auto, json, console")]


def duration_us(text: str) -> int:
    """Microseconds of ``45s``, ``15m``, ``24h`` … ; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a duration such as 45s, 15m, 24h or 90d"
        raise ValueError(message)
    return int(match[1]) * _UNIT_US[match[2]]


