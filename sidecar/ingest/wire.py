"""Wire version 1: a body of JSON or NDJSON becomes events, each one checked by itself.

One bad event is refused by name and kept for inspection; its neighbours are not held up. Fields that are not known
are passed over: a newer client may send more.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from sidecar.domain import events
from sidecar.domain.connection import connection_event, connection_state
from sidecar.domain.events import Event
from sidecar.errors import ZimwatchError
from sidecar.store.records import Rejected

REJECTED_BODY_BYTES: Final = 4096
USER_ID_BYTES: Final = 10_240
_INT64 = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)

Integer = Annotated[int, msgspec.Meta(ge=-_INT64 - 1, le=_INT64)]
Uuid = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Text = Annotated[str, msgspec.Meta(max_length=256)]
LongText = Annotated[str, msgspec.Meta(max_length=65_536)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class BodyError(ZimwatchError):
    """The body as a whole cannot be read; nothing of it was kept."""


class Sdk(msgspec.Struct):
    """Which client SDK the event comes from."""

    name: Text | None = None
    version: Text | None = None


class Common(msgspec.Struct, kw_only=True, tag_field="type"):
    """The fields of every type."""

    id: Uuid
    occurred_at: Moment
    client_id: Uuid
    seq: Annotated[int, msgspec.Meta(ge=1, le=_INT64)]
    app_id: Annotated[int, msgspec.Meta(ge=0, le=_INT64)]
    session_id: Uuid | None = None
    user_id: str | None = None
    platform: Text | None = None
    sdk: Sdk | None = None
    app_version: Text | None = None
    device_id: Text | None = None


class ConnectionStateChanged(Common, tag=events.CONNECTION_STATE_CHANGED):
    """A callback of onConnectionStateChanged."""

    state: Integer | Text
    event: Integer | Text
    extended_data: LongText | None = None


class TokenWillExpire(Common, tag=events.TOKEN_WILL_EXPIRE):
    """A callback of onTokenWillExpire."""

    second: Integer


class TokenRenewed(Common, tag=events.TOKEN_RENEWED):
    """The end of a call of renewToken; code 0 is success."""

    code: Integer
    token_expires_at: Moment | None = None


class Login(Common, tag=events.LOGIN):
    """The beginning of a call of login."""

    offline_login: bool
    token_expires_at: Moment | None = None


class LoginResult(Common, tag=events.LOGIN_RESULT):
    """The end of a call of login; code 0 is success."""

    code: Integer
    message: LongText | None = None


class Logout(Common, tag=events.LOGOUT):
    """A call of logout."""


class ApiError(Common, tag=events.API_ERROR):
    """A call that the SDK refused."""

    method: Text
    code: Integer
    message: LongText | None = None


class Heartbeat(Common, tag=events.HEARTBEAT):
    """A sign of life, with the SDK's present connection state."""

    state: Integer | Text | None = None


Wire = ConnectionStateChanged | TokenWillExpire | TokenRenewed | Login | LoginResult | Logout | ApiError | Heartbeat
_DETAILS: Final = ("second", "code", "message", "method", "offline_login")
_decoder: Final = msgspec.json.Decoder(Wire)
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TYPES: Final = frozenset(events.TYPES)


class Decoded(msgspec.Struct, frozen=True):
    """The events of a body with their index in it, and what was refused of it."""

    events: list[tuple[int, Event]]
    rejected: list[Rejected]


def decode(body: bytes, kind: Literal["json", "ndjson"], now_us: int) -> Decoded:
    """Decodes a body received at ``now_us``. BodyError where it cannot be taken apart into events."""
    decoded = Decoded([], [])
    for index, raw in enumerate(_lines(body) if kind == "ndjson" else _elements(body)):
        try:
            decoded.events.append((index, _event(raw, now_us)))
        except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
            text = raw.decode("utf-8", "replace")
            kept = text.encode()[:REJECTED_BODY_BYTES].decode("utf-8", "ignore")
            decoded.rejected.append(Rejected(now_us, index, _id_of(raw), _sentence(error), kept))
    return decoded


def _elements(body: bytes) -> Iterator[bytes]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    try:
        return (bytes(raw) for raw in _array.decode(body))
    except (msgspec.MsgspecError, RecursionError) as error:
        try:
            return _with_half_a_pair(text)
        except (ValueError, RecursionError):
            raise BodyError(f"the body is not a JSON array of events: {error}") from None


def _with_half_a_pair(text: str) -> Iterator[bytes]:
    """The elements of an array in which one has half a surrogate pair; ValueError where it is no array.

    JSON's grammar allows such an escape and msgspec refuses the whole array for it, whose other events are good.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    if not isinstance(found, list):
        raise ValueError("it is not an array")  # noqa: TRY004 - the one error that the caller looks for
    return (json.dumps(element).encode() for element in found)


def _lines(body: bytes) -> Iterator[bytes]:
    return (line for line in (line.strip() for line in body.split(b"\n")) if line)


def _event(raw: bytes, now_us: int) -> Event:
    wire = _decoder.decode(raw)
    if wire.user_id is not None and not 0 < len(wire.user_id.encode()) <= USER_ID_BYTES:
        raise ValueError(f"user_id must have 1 to {USER_ID_BYTES} bytes")
    fields: dict[str, Any] = {}
    if isinstance(wire, ConnectionStateChanged):
        fields["connection_state"] = connection_state(wire.state)
        fields["connection_event"] = connection_event(wire.event)
        fields["extended_data"] = wire.extended_data
    elif isinstance(wire, Heartbeat) and wire.state is not None:
        fields["connection_state"] = connection_state(wire.state)
    details = {name: getattr(wire, name) for name in _DETAILS if hasattr(wire, name)}
    if isinstance(wire, Login | TokenRenewed):
        expires = wire.token_expires_at
        details["token_expires_at_us"] = None if expires is None else _microseconds("token_expires_at", expires)
    return Event(
        id=_uuid("id", wire.id),
        type=str(wire.__struct_config__.tag),
        occurred_at_us=_microseconds("occurred_at", wire.occurred_at),
        received_at_us=now_us,
        client_id=_uuid("client_id", wire.client_id),
        seq=wire.seq,
        app_id=wire.app_id,
        session_id=None if wire.session_id is None else _uuid("session_id", wire.session_id),
        user_id=wire.user_id,
        platform=wire.platform,
        sdk_name=wire.sdk.name if wire.sdk else None,
        sdk_version=wire.sdk.version if wire.sdk else None,
        app_version=wire.app_version,
        device_id=wire.device_id,
        details=details,
        **fields,
    )


def _uuid(name: str, text: str) -> bytes:
    value = uuid.UUID(text)
    if not value.int:
        raise ValueError(f"{name} is the nil UUID, which names nothing")
    return value.bytes


def _microseconds(name: str, moment: datetime) -> int:
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        moment = _LATEST
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"{name} must lie between the years 2000 and 2199")
    return (moment - _EPOCH) // (moment.resolution)


def _sentence(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error)
    if "Invalid value" in text and "type" in text:
        return f"type is not one of {', '.join(events.TYPES)}"
    return text


def _id_of(raw: bytes) -> str | None:
    """The id of an event that was refused, where it can be read at all."""

    class OnlyId(msgspec.Struct):
        id: Any = None

    try:
        found = msgspec.json.decode(raw, type=OnlyId).id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found[:64] if isinstance(found, str) else None
