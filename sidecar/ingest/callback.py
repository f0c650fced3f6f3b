"""ZEGO's server callback ``user_action``: parses and authenticates it, and turns it into an event.

Sources: ZEGOCLOUD, In-app Chat, Server APIs, "Authenticating server-to-server callbacks" and "Login and logout
callback". The signature covers the callback secret, the timestamp and the nonce **and not the rest**: so the event's id
is made from timestamp and nonce, and a repeat of them must have the same contents.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.moment import moment_us
from sidecar.domain.server_view import ACTIONS, ServerStatus
from sidecar.domain.units import SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.ingest.wire import BYTE_ORDER_MARK, BodyError
from sidecar.ingest.wire_events import USER_ID_BYTES

USER_ACTION: Final = "user_action"
# How far a signer's clock may be ahead of this machine's.
AHEAD_US: Final = 60 * SECOND_US
_LATEST_S: Final = 7_258_118_400  # the year 2200 in seconds, and above every AppID
_DIGITS: Final = 10
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:zimwatch:zego-server")

# ZEGO's documents describe some numbers as strings, and a form has only text.
Scalar = Annotated[str, msgspec.Meta(max_length=1024)] | int
_ONLINE, _LOGOUT, _OFFLINE = range(3)
_OWN_TIME: Final = {_ONLINE: "login_time", _LOGOUT: "logout_time", _OFFLINE: "offline_time"}


class CallbackRefusedError(ZimwatchError):
    """The request is not authentic, too old, or a repeat with other contents."""


class Callback(msgspec.Struct, kw_only=True):
    """The fields of a callback, as received."""

    appid: Scalar
    event: str
    timestamp: Scalar
    nonce: Scalar
    signature: str
    user_id: Scalar | None = None
    os: Scalar | None = None
    action: Scalar | None = None
    session_id: Scalar | None = None
    login_time: Scalar | None = None
    relogin: Scalar | None = None
    logout_time: Scalar | None = None
    logout_reason: Scalar | None = None
    offline_time: Scalar | None = None


def read(body: bytes) -> Callback:
    """A callback from JSON, URL-encoded JSON or a form; BodyError where it is none of these or lacks a field."""
    try:
        text = body.removeprefix(BYTE_ORDER_MARK).decode().strip()
        if text[:3].lower() == "%7b":
            text = unquote_plus(text, errors="strict")
        if text.startswith("{"):
            return msgspec.json.decode(text, type=Callback)
        fields = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=64, errors="strict")
        return msgspec.convert(dict(fields), Callback)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
        raise BodyError(
            f"the body is not one of ZEGO's callbacks, as JSON, URL-encoded JSON or a form: {error}"
        ) from None


def signature(secret: str, timestamp: str, nonce: str) -> str:
    """SHA-1, in hexadecimal, of the three sorted as strings and joined."""
    joined = "".join(sorted((secret, timestamp, nonce)))
    return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


def check(callback: Callback, secrets: Mapping[int, tuple[str, ...]], *, now_us: int, window_us: int) -> int:
    """The AppID of an authentic and recent callback; CallbackRefusedError for any other.

    Neither the error nor its timing reveals whether an app has a secret here.
    """
    app_id = _number("appid", callback.appid)
    sent_s = _number("timestamp", callback.timestamp)
    given = callback.signature.lower().encode(errors="replace")
    own = secrets.get(app_id, ())
    # As many comparisons for every app, whether it has one secret, several or none.
    tried = [*own, *[""] * (max(map(len, secrets.values()), default=1) - len(own))]
    expected = [signature(secret, str(callback.timestamp), str(callback.nonce)) for secret in tried]
    matches = [hmac.compare_digest(one.encode(), given) for one in expected]
    if not any(matches[: len(own)]):
        raise CallbackRefusedError("the signature matches no callback secret of this app")
    age_us = now_us - sent_s * SECOND_US
    if not -AHEAD_US <= age_us <= window_us:
        way, most = ("old", "zego.callback_window allows") if age_us > 0 else ("ahead", f"{AHEAD_US // SECOND_US} s")
        raise CallbackRefusedError(f"the timestamp is {abs(age_us) // SECOND_US} seconds {way}, more than {most}")
    return app_id


def event_of(callback: Callback, app_id: int, *, now_us: int) -> Event:
    """The event of a checked ``user_action``; a repeat gives the same event, except for the time of receipt."""
    user_id = "" if callback.user_id is None else str(callback.user_id)
    if not 0 < len(user_id.encode()) <= USER_ID_BYTES:
        raise BodyError(f"user_id must have 1 to {USER_ID_BYTES} bytes")
    if callback.action is None:
        raise BodyError("action is missing")
    sent_s = _number("timestamp", callback.timestamp)
    action = _number("action", callback.action)
    status = ACTIONS[action] if action < len(ACTIONS) else None
    relogin = str(callback.relogin or "0").strip() == "1"
    at_s = sent_s
    # A relogin may carry the time of the first login, so that the callback's own time is closer.
    if (name := _OWN_TIME.get(action)) and not (action == _ONLINE and relogin):
        at_s = _number(name, getattr(callback, name) or 0) or sent_s
    details: dict[str, Any] = {"action": status or str(action), "status": status, "said_at_us": sent_s * SECOND_US}
    for name in ("os", "session_id", "logout_reason"):
        value = getattr(callback, name)
        if value is not None and str(value).strip():
            details["zego_session_id" if name == "session_id" else name] = str(value).strip()
    if relogin:
        details["relogin"] = True
    for name in _OWN_TIME.values():
        if seconds := _number(name, getattr(callback, name) or 0):
            details[f"{name}_us"] = seconds * SECOND_US
    key = f"{app_id}/{sent_s}/{callback.nonce}"
    return server_event(key, app_id, user_id, at_us=at_s * SECOND_US, now_us=now_us, seq=sent_s, details=details)


def server_event(
    key: str, app_id: int, user_id: str, *, at_us: int, now_us: int, seq: int, details: dict[str, Any]
) -> Event:
    """A report of ZEGO's server about a user. ``key`` gives the id; all events of a user share a ``client_id``."""
    return Event(
        id=uuid.uuid5(_NAMESPACE, f"event/{key}").bytes,
        type=SERVER_USER_ACTION,
        occurred_at_us=at_us,
        received_at_us=now_us,
        moment_us=moment_us(at_us, now_us),
        client_id=uuid.uuid5(_NAMESPACE, f"user/{app_id}/{user_id}").bytes,
        seq=max(seq, 1),
        app_id=app_id,
        user_id=user_id,
        details=details,
    )


def answer_event(app_id: int, user_id: str, status: ServerStatus, *, now_us: int) -> Event:
    """The event of an answer to ``QueryUserOnlineState``, about all sessions of the user."""
    details = {"action": status, "status": status, "said_at_us": now_us, "asked": True}
    key = f"asked/{app_id}/{user_id}/{now_us}"
    return server_event(key, app_id, user_id, at_us=now_us, now_us=now_us, seq=now_us // SECOND_US, details=details)


def same(one: Event, other: Event) -> bool:
    """Whether two events are equal, except for the time of receipt."""
    receipt = {"received_at_us": 0, "moment_us": 0}
    return msgspec.structs.replace(one, **receipt) == msgspec.structs.replace(other, **receipt)


def _number(name: str, value: Scalar) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) < _LATEST_S):
        raise BodyError(f"{name} must be a whole number below {_LATEST_S}, not {text[:40]!r}")
    return int(text)
