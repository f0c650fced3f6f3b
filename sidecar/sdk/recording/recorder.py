"""Converts one client's calls and callbacks to events of wire version 1, as the Web tap does.

Pure: the time is passed in, and there is no I/O. Of a token only the expiry is read.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from sidecar.domain import events, rfc3339, sdk_words
from sidecar.domain.token04.layout import expires_at_us
from sidecar.sdk.client.zim_client import (
    Call,
    CallEnded,
    ConnectionStateChanged,
    SdkLostError,
    TokenWillExpire,
    ZimError,
)
from sidecar.version import VERSION

WireEvent = dict[str, Any]

REPORTER: Final = {"name": "zimwatch-python", "version": VERSION}
DISCONNECTED: Final = sdk_words.STATES.index(sdk_words.DISCONNECTED)
CONNECTED: Final = sdk_words.STATES.index(sdk_words.CONNECTED)
_STILL_IN: Final = {sdk_words.STATES.index(name) for name in (sdk_words.CONNECTED, sdk_words.RECONNECTING)}
_LONGEST_TEXT: Final = 65_536  # the server's limit for one string
# The SDK's own codes of login and network: "not logged in" (6000121) and related ones.
_LOGIN_CODES: Final = range(6_000_100, 6_000_200)


def uuid7(at_us: int, rng: Random) -> uuid.UUID:
    """A version 7 UUID (RFC 9562, section 5.7) of this time, with random bits from ``rng``; times start at 1970."""
    high = max(0, at_us // 1_000) << 16 | 0x7 << 12 | rng.getrandbits(12)
    return uuid.UUID(int=high << 64 | 0b10 << 62 | rng.getrandbits(62))


def made_at_us(event: WireEvent) -> int:
    """When a recorder made an event, in whole milliseconds: its id begins with the time."""
    return (uuid.UUID(str(event["id"])).int >> 80) * 1_000


def text(value: str) -> str:
    """The text cut to the server's limit, without lone surrogates: they are not UTF-8, and the event would be lost."""
    return value[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """The device and its SDK. ``as_integers``: it reports the SDK's integers, else names in upper snake case."""

    platform: str
    sdk_name: str
    sdk_version: str
    app_version: str | None = None
    device_id: str | None = None
    as_integers: bool = True


class _Session:
    """One login, from the call of ``login`` to its end.

    ``left``: ``logout`` was called, which also ends it unless CONNECTED follows. Native SDKs give no callback for a
    logout while reconnecting.
    """

    def __init__(self, session_id: str, user_id: str | None, number: int) -> None:
        self.id = session_id
        self.user_id = user_id
        self.number = number
        self.ended = False
        self.left = False

    @property
    def live(self) -> bool:
        return not self.ended and not self.left


class Recorder:
    """Records one client. ``emit`` receives each event, which must not be changed afterwards."""

    def __init__(
        self, *, app_id: int, device: Device, at_us: int, rng: Random, emit: Callable[[WireEvent], None]
    ) -> None:
        self.state: int | None = None
        self._rng = rng
        self._emit = emit
        self._seq = 0
        self._sessions = 0
        self._session: _Session | None = None  # of the latest login; stays set after its end
        self._logins: dict[Call, tuple[_Session, bool]] = {}
        self._as_integers = device.as_integers
        self._common: WireEvent = {
            "client_id": str(uuid7(at_us, rng)),
            "app_id": app_id,
            "platform": device.platform,
            "sdk": {"name": device.sdk_name, "version": device.sdk_version},
            "app_version": device.app_version,
            "device_id": device.device_id,
            "reporter": REPORTER,
        }

    def call(self, at_us: int, change: Call | CallEnded) -> None:
        """Records the beginning or the end of a call."""
        call = change if isinstance(change, Call) else change.call
        error = change.error if isinstance(change, CallEnded) else None
        if call.method == "login":
            if isinstance(change, Call):
                self._login_called(at_us, change)
            else:
                self._login_ended(at_us, change)
        elif isinstance(change, Call):
            if call.method == "logout":
                self._record(at_us, events.LOGOUT)
                if self._session is not None:
                    self._session.left = True
        elif call.method == "renewToken":
            expires = None if error else _moment(expires_at_us(call.args[0] if call.args else None))
            self._record(at_us, events.TOKEN_RENEWED, code=error.code if error else 0, token_expires_at=expires)
        elif error is not None and error.code in _LOGIN_CODES:
            self._record(at_us, events.API_ERROR, method=text(call.method)[:256], **_failure(error, call))

    def connection_state_changed(self, at_us: int, changed: ConnectionStateChanged) -> None:
        """Records the callback ``connectionStateChanged``."""
        self.state = changed.state
        self._record(
            at_us,
            events.CONNECTION_STATE_CHANGED,
            state=self._encoded(changed.state, sdk_words.STATES),
            event=self._encoded(changed.event, sdk_words.EVENTS),
            extended_data=text(changed.extended_data),
        )
        if self._session is not None and changed.state == DISCONNECTED:
            self._session.ended = True
        elif self._session is not None and changed.state == CONNECTED:
            self._session.left = False  # the logout did not take place

    def token_will_expire(self, at_us: int, will: TokenWillExpire) -> None:
        """Records the callback ``tokenWillExpire``."""
        self._record(at_us, events.TOKEN_WILL_EXPIRE, second=will.second)

    def sdk_lost(self) -> None:
        """Ends the session, because the SDK's process died, which gives no callback. Heartbeats stop."""
        if self._session is not None:
            self._session.ended = True

    def heartbeat(self, at_us: int) -> None:
        """Records a heartbeat while logged in."""
        if self._session is not None and self._session.live and self.state is not None:
            self._record(at_us, events.HEARTBEAT, state=self._encoded(self.state, sdk_words.STATES))

    def _login_called(self, at_us: int, call: Call) -> None:
        """The SDK rejects a second login for another user (6000111), and joins one for the same user to the first."""
        user_id = text(str(call.args[0])) if call.args and call.args[0] else None
        config = call.args[1] if len(call.args) > 1 and isinstance(call.args[1], dict) else {}
        live = self._session is not None and self._session.live
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
        self._record(at_us, events.LOGIN, session, **fields)

    def _login_ended(self, at_us: int, ended: CallEnded) -> None:
        session, opened = self._logins.pop(ended.call, (self._session, False))
        if ended.error is None:
            self._record(at_us, events.LOGIN_RESULT, session, code=0, message="")
            if session is not None and self._session is not None and session.number > self._session.number:
                self._session = session
            return
        self._record(at_us, events.LOGIN_RESULT, session, **_failure(ended.error, ended.call))
        lost = isinstance(ended.error, SdkLostError)
        if session is not None and opened and (lost or self.state not in _STILL_IN):
            session.ended = True

    def _encoded(self, value: int, names: tuple[str, ...]) -> int | str:
        return value if self._as_integers or not 0 <= value < len(names) else names[value]

    def _record(self, at_us: int, kind: str, session: _Session | None = None, /, **fields: object) -> None:
        session = session or self._session
        self._seq += 1
        self._emit(
            {
                "id": str(uuid7(at_us, self._rng)),
                "type": kind,
                "occurred_at": rfc3339.text(at_us),
                "seq": self._seq,
                "session_id": session.id if session else None,
                "user_id": session.user_id if session else None,
                **self._common,
                **fields,
            }
        )


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339.text(at_us)


def _failure(error: ZimError, call: Call) -> dict[str, object]:
    """The SDK's code and message; a token in the message is masked."""
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
