"""Decodes single events of wire version 1."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, get_args

import msgspec

from sidecar.domain import rfc3339
from sidecar.domain.events import Event
from sidecar.domain.moment import EDGE_CLOCK_OFF_US, moment_us
from sidecar.domain.sdk_words import connection_event, connection_state
from sidecar.domain.units import SECOND_US
from sidecar.ingest.wire_types import Common, ConnectionStateChanged, Heartbeat, Wire

USER_ID_BYTES: Final = 10_240
NOT_DECODED: Final = (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UUID_LENGTH: Final = 36
_NIL: Final = bytes(16)
_TYPE_OF: Final = {kind: str(kind.__struct_config__.tag) for kind in get_args(Wire)}
TYPES: Final = tuple(_TYPE_OF.values())
# The fields of each type, beside the common ones.
_FIELDS: Final = {
    kind: tuple(name for name in kind.__struct_fields__ if name not in Common.__struct_fields__) for kind in _TYPE_OF
}
_NO_DETAILS: Final[dict[str, Any]] = {}
# What msgspec says of a time that it cannot read, whether or not there is such a time.
_NO_DATETIME: Final = "Invalid RFC3339"
_TIMES: Final = ("occurred_at", "token_expires_at", "observed_at")
_decoder: Final = msgspec.json.Decoder(Wire)
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_one(raw: bytes, now_us: int, sent_at_us: int | None, *, of_edge: bool = False) -> Event:
    """One event, even with a time that Python's datetime cannot hold. An error of ``NOT_DECODED`` otherwise."""
    try:
        return event_of(_decoder.decode(raw), now_us, sent_at_us, {}, of_edge=of_edge)
    except msgspec.ValidationError as error:
        if _NO_DATETIME not in str(error):
            raise
        fields = _fields.decode(raw)
        times = {name: us for name in _TIMES if (us := _unusual_us(fields.get(name))) is not None}
        if not times:
            raise
    placeholders = dict.fromkeys(times, msgspec.Raw(b'"2000-01-01T00:00:00Z"'))
    wire = _decoder.decode(msgspec.json.encode(fields | placeholders))
    event = event_of(wire, now_us, sent_at_us, {}, of_edge=of_edge)
    occurred_at_us = times.pop("occurred_at", event.occurred_at_us)
    observed_at_us = times.pop("observed_at", None) if of_edge else None
    if of_edge and observed_at_us is None and wire.observed_at is not None:
        observed_at_us = _microseconds(wire.observed_at)
    at_us = _moment_us(occurred_at_us, observed_at_us, now_us, sent_at_us)
    event = msgspec.structs.replace(event, occurred_at_us=occurred_at_us, moment_us=at_us)
    details = {name: times.get(name.removesuffix("_us"), value) for name, value in event.details.items()}
    return msgspec.structs.replace(event, details=details)


def _unusual_us(raw: msgspec.Raw | None) -> int | None:
    try:
        return rfc3339.microseconds(msgspec.json.decode(raw or b"", type=str))
    except (msgspec.MsgspecError, ValueError):
        return None


def _moment_us(occurred_at_us: int, observed_at_us: int | None, now_us: int, sent_at_us: int | None) -> int:
    """The moment of an event; ``observed_at_us``: as an edge settled it, by the edge's clock, which also sent."""
    if observed_at_us is None:
        return moment_us(occurred_at_us, now_us, sent_at_us)
    return moment_us(observed_at_us, now_us, sent_at_us, tolerance_us=EDGE_CLOCK_OFF_US)


def event_of(
    wire: Common, now_us: int, sent_at_us: int | None, ids: dict[str, bytes], *, of_edge: bool = False
) -> Event:
    """The event; ``ids`` caches the parsed client and session ids of a batch, which are few.

    ``of_edge``: what an edge says of the moment and of the proof is believed, and else ignored.
    """
    user_id, client, session, sdk, reporter = wire.user_id, wire.client_id, wire.session_id, wire.sdk, wire.reporter
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
    occurred_at_us = _microseconds(wire.occurred_at)
    at_us, proven = None, None
    if of_edge:
        proven = wire.proven
        if wire.observed_at is not None:
            at_us = _moment_us(occurred_at_us, _microseconds(wire.observed_at), now_us, sent_at_us)
    # By position, in the order of Event's fields: by name it takes six times as long.
    return Event(
        _uuid("id", wire.id),
        _TYPE_OF[type(wire)],
        occurred_at_us,
        now_us,
        moment_us(occurred_at_us, now_us, sent_at_us) if at_us is None else at_us,
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
        reporter.name if reporter else None,
        reporter.version if reporter else None,
        proven,
    )


def _details(wire: Common) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for name in _FIELDS[type(wire)]:
        value = getattr(wire, name)
        if name in _TIMES:
            details[f"{name}_us"] = None if value is None else _microseconds(value)
        else:
            details[name] = value
    return details


def _uuid(name: str, text: str) -> bytes:
    if len(text) == _UUID_LENGTH and text[8:24:5] == "----":
        try:
            value = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            value = b""
        if value == _NIL:
            raise ValueError(f"{name} is the nil UUID, which identifies nothing")
        if len(value) == len(_NIL):  # with a space in it, it would be shorter
            return value
    raise ValueError(f"{name} is not a UUID such as 01938b5e-7c00-7000-8000-0000000000aa")


def _microseconds(moment: datetime) -> int:
    # The difference of two datetimes is exact, whatever their offsets, and cannot overflow.
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds
