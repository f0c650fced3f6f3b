"""The kinds of alerts, how grave each is, and which connection event causes which."""

from __future__ import annotations

from typing import Final, Literal, get_args

from sidecar.domain import connection

Kind = Literal[
    "kicked_out",
    "token_expiring",
    "token_expired",
    "login_timeout",
    "unregistered",
    "offline_too_long",
    "kick_ping_pong",
    "reconnect_storm",
    "kick_storm",
    "client_lost",
    "export_stalled",
]
Severity = Literal["info", "warning", "critical"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the least grave on."""

KICKED_OUT: Final = "kicked_out"
TOKEN_EXPIRING: Final = "token_expiring"  # noqa: S105 - a kind of alert, not a password
TOKEN_EXPIRED: Final = "token_expired"  # noqa: S105 - same
LOGIN_TIMEOUT: Final = "login_timeout"
UNREGISTERED: Final = "unregistered"
OFFLINE_TOO_LONG: Final = "offline_too_long"
KICK_PING_PONG: Final = "kick_ping_pong"
RECONNECT_STORM: Final = "reconnect_storm"
KICK_STORM: Final = "kick_storm"
CLIENT_LOST: Final = "client_lost"
EXPORT_STALLED: Final = "export_stalled"

SEVERITY: Final[dict[Kind, Severity]] = {
    KICKED_OUT: "critical",
    TOKEN_EXPIRING: "warning",
    TOKEN_EXPIRED: "critical",
    LOGIN_TIMEOUT: "warning",
    UNREGISTERED: "critical",
    OFFLINE_TOO_LONG: "warning",
    KICK_PING_PONG: "critical",
    RECONNECT_STORM: "critical",
    KICK_STORM: "critical",
    CLIENT_LOST: "info",
    EXPORT_STALLED: "critical",
}

# The connection events that log a user out for a reason that somebody should hear of.
CAUSED_BY: Final[dict[str, Kind]] = {
    connection.KICKED_OUT: KICKED_OUT,
    connection.TOKEN_EXPIRED: TOKEN_EXPIRED,
    connection.LOGIN_TIMEOUT: LOGIN_TIMEOUT,
    connection.UNREGISTERED: UNREGISTERED,
}
# Over when the user is online again.
ENDED_ONLINE: Final = frozenset({KICKED_OUT, TOKEN_EXPIRED, LOGIN_TIMEOUT, UNREGISTERED})
# What a storm speaks for: while it fires, nobody is called for these of its app.
HELD_BY_STORM: Final[dict[Kind, frozenset[Kind]]] = {
    KICK_STORM: frozenset({KICKED_OUT, KICK_PING_PONG}),
    RECONNECT_STORM: frozenset({OFFLINE_TOO_LONG, CLIENT_LOST}),
}
STORM_OVER: Final[dict[Kind, Kind]] = {kind: storm for storm, kinds in HELD_BY_STORM.items() for kind in kinds}
