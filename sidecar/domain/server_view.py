"""The presence of a user by ZEGO's server, and where it disagrees with what the user's devices report.

Source: ZEGOCLOUD, In-app Chat, Server APIs, "Login and logout callback" and "QueryUserOnlineState". The status of a
user follows from the devices alone; the server's view is shown beside it and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from sidecar.domain.lease import LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, Status
from sidecar.domain.texts import Sentence
from sidecar.domain.units import HOUR_US

LOGGED_OUT: Final = "logged_out"
# SubCode 660200001 of QueryUserOnlineState: logged out, or no such user; the answer is the same for both.
UNKNOWN: Final = "unknown"
ServerStatus = Literal["online", "offline", "logged_out", "unknown"]

# Position is the callback's ``action``.
ACTIONS: Final[tuple[ServerStatus, ...]] = (ONLINE, LOGGED_OUT, OFFLINE)
# The session id of a query's answer, which covers all sessions of the user.
QUERIED: Final = ""
# A callback is retried for about a minute; a session that ended longer ago than this decides nothing any more.
_ENDED_KEPT_US: Final = HOUR_US
_REPORTS_KEPT: Final = 64


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The server's latest report on one session. ``at_us`` is when it happened, ``reported_us`` when it was reported.

    Both are by the server's clock, so that reports can be put in order; ``moment_us`` is when it happened by ours.
    """

    session_id: str
    status: ServerStatus
    at_us: int
    reported_us: int = msgspec.field(name="said_us")
    again: bool = False
    reason: str | None = None
    os: str | None = None
    moment_us: int | None = None

    @property
    def order(self) -> tuple[int, int, bool, bool]:
        """Its place among the session's reports. Within one second: a login, its end, then a relogin."""
        is_online = self.status == ONLINE
        return (self.at_us, self.reported_us, is_online and self.again, not is_online)


class ServerView(msgspec.Struct, frozen=True, kw_only=True):
    """The server's view of a user. ``asked``: from the answer to a query, not from a callback."""

    status: ServerStatus
    since_us: int
    reason: str | None = None
    os: str | None = None
    asked: bool = False


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """Devices and server have reported different things since ``since_us``; ``reason`` is a sentence."""

    since_us: int
    client: Status
    server: ServerStatus
    reason: str


def add_report(reports: Iterable[ServerReport], report: ServerReport) -> tuple[ServerReport, ...]:
    """``reports`` with one more: the newest of each session, in whatever order they are added."""
    newest = {one.session_id: one for one in reports}
    before = newest.get(report.session_id)
    if before is None or report.order > before.order:
        newest[report.session_id] = report
    kept = sorted(newest.values(), key=lambda one: one.order)
    last_us = kept[-1].at_us
    return tuple(one for one in kept[-_REPORTS_KEPT:] if one.status == ONLINE or one.at_us >= last_us - _ENDED_KEPT_US)


def server_view(reports: Iterable[ServerReport]) -> ServerView | None:
    """Online if any session is, else the newest report. A query's answer overrules the older reports it denies."""
    counting = sorted(reports, key=lambda one: one.order)
    answer = next((one for one in counting if one.session_id == QUERIED), None)
    if answer is not None:
        counting.remove(answer)
        newer = [one for one in counting if one.order > answer.order]
        if answer.status != ONLINE:
            counting = newer
        if not newer and not any(one.status == ONLINE for one in counting):
            counting = [answer]
    if not counting:
        return None
    decides = next((one for one in counting if one.status == ONLINE), counting[-1])
    return ServerView(
        status=decides.status,
        since_us=decides.at_us if decides.moment_us is None else decides.moment_us,
        reason=decides.reason,
        os=decides.os,
        asked=decides is answer,
    )


def differ(client: Status, server: ServerStatus) -> bool:
    """Whether devices and server differ in the one thing that both know: whether the user is connected."""
    return (client == ONLINE) != (server == ONLINE)


REASONS: Final[dict[tuple[Status, ServerStatus], Sentence]] = {
    (ONLINE, OFFLINE): Sentence(
        "disagreement.online_offline", "A device says that it is connected, but ZEGO's server has lost its heartbeats"
    ),
    (ONLINE, LOGGED_OUT): Sentence(
        "disagreement.online_logged_out",
        "A device says that it is connected, but ZEGO's server has seen the user log out",
    ),
    (ONLINE, UNKNOWN): Sentence(
        "disagreement.online_unknown",
        "A device says that it is connected, but ZEGO's server knows of no login by this user",
    ),
    (OFFLINE, ONLINE): Sentence(
        "disagreement.offline_online",
        "The devices that report here are reconnecting, but ZEGO's server has the user connected: there may be another "
        "device without the tap",
    ),
    (NOT_LOGGED_IN, ONLINE): Sentence(
        "disagreement.not_logged_in_online",
        "No device that reports here is logged in, but ZEGO's server has the user connected: there may be another "
        "device without the tap, or reports that never arrived",
    ),
}
"""What devices and server report where they differ."""
_SILENT: Final = " The device has been silent for longer than its lease, so the server is probably right."


def disagreement(
    client: Status,
    server: ServerView | None,
    *,
    since_us: int | None,
    unconfirmed: bool,
    time: LeaseTime,
    lease_us: int,
) -> Disagreement | None:
    """The disagreement between devices and server, once it has lasted for longer than the lease.

    ``since_us``: when they began to differ, by the machine's clock and in the order in which reports arrived here.
    """
    if server is None or since_us is None or not differ(client, server.status):
        return None
    if not time.is_past(since_us + lease_us, begun_us=since_us):
        return None
    reason = f"{REASONS[client, server.status]()}." + (_SILENT if unconfirmed and client == ONLINE else "")
    return Disagreement(since_us=since_us, client=client, server=server.status, reason=reason)
