"""What ZEGO's server says of a user, beside what the user's devices say, and where the two disagree.

Source: ZEGOCLOUD, In-app Chat, Server APIs, "Login and logout callback" and "QueryUserOnlineState". The status of a
user follows from the devices alone; the server's view stands beside it and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from sidecar.domain.lease_time import LeaseTime
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, Status

LOGGED_OUT: Final = "logged_out"
# SubCode 660200001 of QueryUserOnlineState: logged out, or no such user; the server does not tell which.
UNKNOWN: Final = "unknown"
ServerStatus = Literal["online", "offline", "logged_out", "unknown"]

# Position is the callback's ``action``.
ACTIONS: Final[tuple[ServerStatus, ...]] = (ONLINE, LOGGED_OUT, OFFLINE)
# The session under which an answer to a question is kept: it was about all of the user's sessions.
ASKED: Final = ""
# A callback is retried for about a minute; what ended longer ago than this decides nothing any more.
_ENDED_KEPT_US: Final = 3_600_000_000
_WORDS_KEPT: Final = 64


class ServerWord(msgspec.Struct, frozen=True, kw_only=True):
    """The server's last word on one of its sessions. ``said_us`` is when it said so; ``at_us`` when it happened."""

    session_id: str
    status: ServerStatus
    at_us: int
    said_us: int
    again: bool = False
    reason: str | None = None
    os: str | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """Where it stands among the words on its session. In one second a login comes before its end, not a relogin."""
        return (self.at_us, self.said_us, (2 if self.again else 0) if self.status == ONLINE else 1)


class ServerView(msgspec.Struct, frozen=True, kw_only=True):
    """The server's view of a user. ``asked``: it answered a question, and did not tell by itself."""

    status: ServerStatus
    since_us: int
    reason: str | None = None
    os: str | None = None
    asked: bool = False


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """Devices and server have said different things since ``since_us``; ``reason`` is a sentence."""

    since_us: int
    client: Status
    server: ServerStatus
    reason: str


def heard(words: Iterable[ServerWord], word: ServerWord) -> tuple[ServerWord, ...]:
    """``words`` with one more: the newest on each session, whatever the order they are heard in."""
    newest = {one.session_id: one for one in words}
    before = newest.get(word.session_id)
    if before is None or word.order > before.order:
        newest[word.session_id] = word
    kept = sorted(newest.values(), key=lambda one: one.order)
    last_us = kept[-1].at_us
    return tuple(one for one in kept[-_WORDS_KEPT:] if one.status == ONLINE or one.at_us >= last_us - _ENDED_KEPT_US)


def server_view(words: Iterable[ServerWord]) -> ServerView | None:
    """Online if any session is, else the newest word. An answer to a question overrules the older words it denies."""
    told = sorted(words, key=lambda one: one.order)
    asked = next((one for one in told if one.session_id == ASKED), None)
    if asked is not None:
        told.remove(asked)
        newer = [one for one in told if one.order > asked.order]
        if asked.status != ONLINE:
            told = newer
        if not newer and not any(one.status == ONLINE for one in told):
            told = [asked]
    if not told:
        return None
    decides = next((one for one in told if one.status == ONLINE), told[-1])
    return ServerView(
        status=decides.status, since_us=decides.at_us, reason=decides.reason, os=decides.os, asked=decides is asked
    )


def differ(client: Status, server: ServerStatus) -> bool:
    """Whether devices and server differ in the one thing that both can tell: whether the user is connected."""
    return (client == ONLINE) != (server == ONLINE)


_SAYS: Final[dict[tuple[Status, ServerStatus], str]] = {
    (ONLINE, OFFLINE): "A device says that it is connected, but ZEGO's server has lost its heartbeats.",
    (ONLINE, LOGGED_OUT): "A device says that it is connected, but ZEGO's server has seen the user log out.",
    (ONLINE, UNKNOWN): "A device says that it is connected, but ZEGO's server knows of no login by this user.",
    (OFFLINE, ONLINE): "The devices that report here are reconnecting, but ZEGO's server has the user connected: "
    "there may be another device without the tap.",
    (NOT_LOGGED_IN, ONLINE): "No device that reports here is logged in, but ZEGO's server has the user connected: "
    "there may be another device without the tap, or reports that never arrived.",
}
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
    """What devices and server disagree in, once that has lasted for longer than the lease.

    ``since_us``: from when on the two differed, by the machine's clock and the order in which they were heard here.
    """
    if server is None or since_us is None or not differ(client, server.status):
        return None
    if not time.is_past(since_us + lease_us, begun_us=since_us):
        return None
    reason = _SAYS[client, server.status] + (_SILENT if unconfirmed and client == ONLINE else "")
    return Disagreement(since_us=since_us, client=client, server=server.status, reason=reason)
