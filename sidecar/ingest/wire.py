"""Wire version 1: a body of JSON or NDJSON becomes events, each one checked by itself.

One bad event is refused by name and kept for inspection; its neighbours are not held up. Fields that are not known
are passed over: a newer client may send more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, get_args

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
_EARLIEST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_LATEST_US = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_UUID_LENGTH = 36

Integer = Annotated[int, msgspec.Meta(ge=-_INT64 - 1, le=_INT64)]
Uuid = str  # checked by _uuid: a pattern costs more than all else that is decoded
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
_TYPE_OF: Final = {kind: str(kind.__struct_config__.tag) for kind in get_args(Wire)}
_NO_DETAILS: Final[dict[str, Any]] = {}
_DETAILS: Final = ("second", "code", "message", "method", "offline_login")
_decoder: Final = msgspec.json.Decoder(Wire)
_batch: Final = msgspec.json.Decoder(list[Wire])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NIL: Final = bytes(16)
_BAD: Final = (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError)


class Decoded(msgspec.Struct, frozen=True):
    """The events of a body with their index in it, and what was refused of it."""

    events: list[tuple[int, Event]]
    rejected: list[Rejected]


def decode(body: bytes, kind: Literal["json", "ndjson"], now_us: int) -> Decoded:
    """Decodes a body received at ``now_us``. BodyError where it cannot be taken apart into events."""
    if kind == "json":
        try:
            body.decode()  # msgspec does not look at what it passes over
            ids: dict[str, bytes] = {}
            return Decoded([(index, _event(one, now_us, ids)) for index, one in enumerate(_batch.decode(body))], [])
        except _BAD:
            pass  # one by one, which finds the bad ones and keeps the others
    decoded = Decoded([], [])
    for index, raw in enumerate(_lines(body) if kind == "ndjson" else _elements(body)):
        try:
            decoded.events.append((index, _event(_decoder.decode(raw), now_us, {})))
        except _BAD as error:
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


def _event(wire: Common, now_us: int, ids: dict[str, bytes]) -> Event:
    """``ids`` remembers the clients and sessions of a batch, which are few."""
    user_id, client, session, sdk = wire.user_id, wire.client_id, wire.session_id, wire.sdk
    if user_id is not None and not 0 < len(user_id.encode()) <= USER_ID_BYTES:
        raise ValueError(f"user_id must have 1 to {USER_ID_BYTES} bytes")
    client_id = ids.get(client)
    if client_id is None:
        client_id = ids[client] = _uuid("client_id", client)
    session_id = None
    if session is not None:
        session_id = ids.get(session)
        if session_id is None:
            session_id = ids[session] = _uuid("session_id", session)
    state = change = extended_data = None
    details = _NO_DETAILS
    if type(wire) is ConnectionStateChanged:
        state, change = connection_state(wire.state), connection_event(wire.event)
        extended_data = wire.extended_data
    elif isinstance(wire, Heartbeat):
        state = None if wire.state is None else connection_state(wire.state)
    else:
        details = _details(wire)
    # By position, in the order of Event's fields: by name it takes six times as long.
    return Event(
        _uuid("id", wire.id),
        _TYPE_OF[type(wire)],
        _microseconds("occurred_at", wire.occurred_at),
        now_us,
        client_id,
        wire.seq,
        wire.app_id,
        session_id,
        user_id,
        wire.platform,
        sdk.name if sdk else None,
        sdk.version if sdk else None,
        wire.app_version,
        wire.device_id,
        state,
        change,
        extended_data,
        details,
    )


def _details(wire: Common) -> dict[str, Any]:
    details = {name: getattr(wire, name) for name in _DETAILS if hasattr(wire, name)}
    if isinstance(wire, Login | TokenRenewed):
        expires = wire.token_expires_at
        details["token_expires_at_us"] = None if expires is None else _microseconds("token_expires_at", expires)
    return details


def _uuid(name: str, text: str) -> bytes:
    if len(text) == _UUID_LENGTH and text[8:24:5] == "----":
        try:
            value = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            value = b""
        if value == _NIL:
            raise ValueError(f"{name} is the nil UUID, which names nothing")
        if len(value) == len(_NIL):  # with a space in it, it would be shorter
            return value
    raise ValueError(f"{name} is not a UUID such as 01938b5e-7c00-7000-8000-0000000000aa")


def _microseconds(name: str, moment: datetime) -> int:
    # The difference of two datetimes is exact, whatever their offsets, and cannot overflow.
    since = moment - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not _EARLIEST_US <= microseconds < _LATEST_US:
        raise ValueError(f"{name} must lie between the years 2000 and 2199")
    return microseconds


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
