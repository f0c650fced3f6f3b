"""From one client's calls and callbacks to events of wire version 1, in the way that the Web tap does it.

Pure: it is told the time and makes no I/O. Of a token its expiry alone is read.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from sidecar.domain import connection, events
from sidecar.sdk.client import Call, CallEnded, ConnectionStateChanged, SdkLostError, TokenWillExpire, ZimError
from sidecar.sdk.token04 import expires_at_us

WireEvent = dict[str, Any]

DISCONNECTED: Final = connection.STATES.index(connection.DISCONNECTED)
_STILL_IN: Final = {connection.STATES.index(name) for name in (connection.CONNECTED, connection.RECONNECTING)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TEXT: Final = 65_536  # the server's limit for one string
# The SDK's own codes of login and network: "not logged in" (6000121) and its kin.
_LOGIN_CODES: Final = range(6_000_100, 6_000_200)


def uuid7(at_us: int, rng: Random) -> uuid.UUID:
    """A version 7 UUID (RFC 9562, section 5.7) of this time, its random bits drawn from ``rng``."""
    high = (at_us // 1_000) << 16 | 0x7 << 12 | rng.getrandbits(12)
    return uuid.UUID(int=high << 64 | 0b10 << 62 | rng.getrandbits(62))


def rfc3339(at_us: int) -> str:
    """``2026-11-24T01:02:03.004Z``."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value: str) -> str:
    """What can be sent: half a surrogate pair is not UTF-8, and would cost the whole event."""
    return value[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What runs the SDK. ``as_integers``: it reports the SDK's integers, else the names in upper snake case."""

    platform: str
    sdk_name: str
    sdk_version: str
    app_version: str | None = None
    device_id: str | None = None
    as_integers: bool = True


class _Session:
    """One login, from the call of ``login`` to its end."""

    def __init__(self, session_id: str, user_id: str | None, number: int) -> None:
        self.id = session_id
        self.user_id = user_id
        self.number = number
        self.ended = False


class Recorder:
    """What is known of one client. ``emit`` takes each finished event, which must then not be changed."""

    def __init__(
        self, *, app_id: int, device: Device, at_us: int, rng: Random, emit: Callable[[WireEvent], None]
    ) -> None:
        self.state: int | None = None
        self._rng = rng
        self._emit = emit
        self._seq = 0
        self._sessions = 0
        self._session: _Session | None = None  # of the newest login that may be under way; stays after its end
        self._logins: dict[Call, tuple[_Session, bool]] = {}
        self._as_integers = device.as_integers
        self._common: WireEvent = {
            "client_id": str(uuid7(at_us, rng)),
            "app_id": app_id,
            "platform": device.platform,
            "sdk": {"name": device.sdk_name, "version": device.sdk_version},
            "app_version": device.app_version,
            "device_id": device.device_id,
        }

    def call(self, at_us: int, what: Call | CallEnded) -> None:
        """A call begins or ends."""
        call = what if isinstance(what, Call) else what.call
        error = what.error if isinstance(what, CallEnded) else None
        if call.method == "login":
            if isinstance(what, Call):
                self._login_called(at_us, what)
            else:
                self._login_ended(at_us, what)
        elif isinstance(what, Call):
            if call.method == "logout":
                self._say(at_us, events.LOGOUT)
        elif call.method == "renewToken":
            expires = None if error else _moment(expires_at_us(call.args[0] if call.args else None))
            self._say(at_us, events.TOKEN_RENEWED, code=error.code if error else 0, token_expires_at=expires)
        elif error is not None and error.code in _LOGIN_CODES:
            self._say(at_us, events.API_ERROR, method=text(call.method)[:256], **_failure(error, call))

    def connection_state_changed(self, at_us: int, changed: ConnectionStateChanged) -> None:
        """The callback of that name."""
        self.state = changed.state
        self._say(
            at_us,
            events.CONNECTION_STATE_CHANGED,
            state=self._spelled(changed.state, connection.STATES),
            event=self._spelled(changed.event, connection.EVENTS),
            extended_data=text(changed.extended_data),
        )
        if changed.state == DISCONNECTED and self._session is not None:
            self._session.ended = True

    def token_will_expire(self, at_us: int, will: TokenWillExpire) -> None:
        """The callback of that name."""
        self._say(at_us, events.TOKEN_WILL_EXPIRE, second=will.second)

    def sdk_lost(self) -> None:
        """The SDK's process died: the login is gone, and no callback says so. Heartbeats stop."""
        if self._session is not None:
            self._session.ended = True

    def beat(self, at_us: int) -> None:
        """A sign of life, if anybody is logged in."""
        if self._session is not None and not self._session.ended and self.state is not None:
            self._say(at_us, events.HEARTBEAT, state=self._spelled(self.state, connection.STATES))

    def _login_called(self, at_us: int, call: Call) -> None:
        """The SDK refuses a second login for another user (6000111) and joins one for the same user to the first."""
        user_id = text(str(call.args[0])) if call.args and call.args[0] else None
        config = call.args[1] if len(call.args) > 1 and isinstance(call.args[1], dict) else {}
        live = self._session is not None and not self._session.ended
        if live and self._session is not None and self._session.user_id == user_id:
            session = self._session
        else:
            self._sessions += 1
            session = _Session(str(uuid7(at_us, self._rng)), user_id, self._sessions)
        if not live:
            self._session = session
            self.state = None
        self._logins[call] = (session, not live)
        fields = {
            "offline_login": bool(config.get("isOfflineLogin")),
            "token_expires_at": _moment(expires_at_us(config.get("token"))),
        }
        self._say(at_us, events.LOGIN, session, **fields)

    def _login_ended(self, at_us: int, ended: CallEnded) -> None:
        session, opened = self._logins.pop(ended.call, (self._session, False))
        if ended.error is None:
            self._say(at_us, events.LOGIN_RESULT, session, code=0, message="")
            if session is not None and self._session is not None and session.number > self._session.number:
                self._session = session
            return
        self._say(at_us, events.LOGIN_RESULT, session, **_failure(ended.error, ended.call))
        lost = isinstance(ended.error, SdkLostError)
        if session is not None and opened and (lost or self.state not in _STILL_IN):
            session.ended = True

    def _spelled(self, value: int, names: tuple[str, ...]) -> int | str:
        return value if self._as_integers or not 0 <= value < len(names) else names[value]

    def _say(self, at_us: int, kind: str, session: _Session | None = None, /, **fields: object) -> None:
        session = session or self._session
        self._seq += 1
        self._emit(
            {
                "id": str(uuid7(at_us, self._rng)),
                "type": kind,
                "occurred_at": rfc3339(at_us),
                "seq": self._seq,
                "session_id": session.id if session else None,
                "user_id": session.user_id if session else None,
                **self._common,
                **fields,
            }
        )


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)


def _failure(error: ZimError, call: Call) -> dict[str, object]:
    """The SDK's code and message; a token that it repeats is cut out."""
    message = error.message
    for token in _strings(call.args):
        if token.startswith("04") and token in message:
            message = message.replace(token, "<token>")
    return {"code": error.code, "message": text(message)}


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for one in inner for found in _strings(one)]
