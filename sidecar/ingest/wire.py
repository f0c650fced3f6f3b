"""Wire version 1: decodes a body of JSON or NDJSON into events, each checked by itself.

An invalid event is rejected and kept for inspection, and the others are accepted. Unknown fields are ignored, as a
newer client may send more.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable, Sized
from typing import Any, Final, Literal

import msgspec

from sidecar.domain.events import Event
from sidecar.errors import ZimwatchError
from sidecar.ingest.redaction import known_fields
from sidecar.ingest.wire_events import NOT_DECODED, TYPES, decode_one, event_of
from sidecar.ingest.wire_types import INT64_MOST, Wire
from sidecar.store.values import Rejected

REJECTED_BODY_BYTES: Final = 4096
EVENTS_MOST: Final = 10_000
# .NET and PowerShell write one before UTF-8; a parser may ignore it (RFC 8259, section 8.1).
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_INT_DIGITS: Final = 4_000
_batch: Final = msgspec.json.Decoder(list[Wire])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])


class BodyError(ZimwatchError):
    """The body as a whole cannot be read, and none of it was stored."""


class TooManyError(ZimwatchError):
    """The body has more than ``EVENTS_MOST`` events, and none of it was stored."""

    def __init__(self) -> None:
        super().__init__(f"a request has at most {EVENTS_MOST} events; send the rest in further requests")


class Decoded(msgspec.Struct):
    """The valid events of a body with their index in it, the rejected ones, and the assertion before them, if any."""

    events: list[tuple[int, Event]]
    rejected: list[Rejected]
    assertion: str | None = None


def decode(
    body: bytes,
    kind: Literal["json", "ndjson"],
    now_us: int,
    *,
    sent_at_us: int | None = None,
    of_edge: bool = False,
    check_app: Callable[[int], None] = lambda _: None,
) -> Decoded:
    """Decodes a body received at ``now_us``. ``check_app`` raises ValueError for an app whose events are not accepted.

    ``sent_at_us`` is the sender's clock when it sent, if known; ``of_edge``: the sender is an edge, which is believed
    about moments and proofs. The first element or line may be an assertion instead of an event: ``{"assertion": "…"}``.
    BodyError where the body cannot be split into events, TooManyError where these are more than a request may have.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    if kind == "json":
        try:
            body.decode()  # msgspec does not validate what it skips
            ids: dict[str, bytes] = {}
            batch = _batch.decode(body)
            _refuse_too_many(batch)
            decoded = Decoded(
                [(at, event_of(one, now_us, sent_at_us, ids, of_edge=of_edge)) for at, one in enumerate(batch)], []
            )
            for app_id in dict.fromkeys(event.app_id for _, event in decoded.events):
                check_app(app_id)
            return decoded  # noqa: TRY300 - an app may be refused, too
        except NOT_DECODED:
            pass  # decoded one by one, to keep the valid ones
    parts = _lines(body) if kind == "ndjson" else _elements(body)
    decoded = Decoded([], [])
    for index, raw in enumerate(parts):
        if index == 0 and (assertion := _assertion(raw)) is not None:
            decoded.assertion = assertion
            continue
        try:
            event = decode_one(raw, now_us, sent_at_us, of_edge=of_edge)
            check_app(event.app_id)
            decoded.events.append((index, event))
        except NOT_DECODED as error:
            decoded.rejected.append(_rejected(raw, index, error, now_us))
    return decoded


def _refuse_too_many(parts: Sized) -> None:
    if len(parts) > EVENTS_MOST:
        raise TooManyError


def _elements(body: bytes) -> Iterable[bytes]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    try:
        found = _array.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        try:
            return _with_half_a_pair(text)
        except (ValueError, RecursionError):
            raise BodyError(f"the body is not a JSON array of events: {error}") from None
    _refuse_too_many(found)
    return (bytes(raw) for raw in found)


def _with_half_a_pair(text: str) -> Iterable[bytes]:
    """The elements of an array in which one has half a surrogate pair; ValueError where it is no array.

    JSON's grammar allows such an escape; msgspec refuses the whole array for it, valid events among it.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    def whole(number: str) -> object:
        # More digits than Python converts: [] is invalid in every field, so that only its event is rejected.
        return int(number) if len(number) <= _INT_DIGITS else []

    found = json.loads(text, parse_constant=refuse, parse_int=whole)
    if not isinstance(found, list):
        raise ValueError("it is not an array")  # noqa: TRY004 - the one error that the caller handles
    _refuse_too_many(found)
    return (json.dumps(element).encode() for element in found)


def _lines(body: bytes) -> list[bytes]:
    """The lines that are not blank. Concatenated files may have a byte order mark in the middle."""
    lines: list[bytes] = []
    for line in io.BytesIO(body):
        if stripped := line.strip().removeprefix(BYTE_ORDER_MARK):
            lines.append(stripped)
            _refuse_too_many(lines)
    return lines


def _sentence(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error)
    if "Invalid value" in text and "type" in text:
        return f"type is not one of {', '.join(TYPES)}"
    return text


class _First(msgspec.Struct):
    """What precedes the events where a request cannot have a header of its own (``sendBeacon``)."""

    assertion: str
    type: Any = None


_first: Final = msgspec.json.Decoder(_First)


def _assertion(raw: bytes) -> str | None:
    try:
        first = _first.decode(raw)
    except NOT_DECODED:
        return None
    return first.assertion if first.type is None else None


class _Named(msgspec.Struct):
    id: Any = None
    app_id: Any = None


_named: Final = msgspec.json.Decoder(_Named)


def rejected_event(event: Event, index: int, error: str, body: bytes) -> Rejected:
    """A valid event that is not accepted; ``body`` is its JSON."""
    return Rejected(
        received_at_us=event.received_at_us,
        index=index,
        event_id=str(uuid.UUID(bytes=event.id)),
        error=error,
        body=body[:REJECTED_BODY_BYTES].decode("utf-8", "ignore"),
        app_id=event.app_id,
    )


def _rejected(raw: bytes, index: int, error: Exception, now_us: int) -> Rejected:
    """A rejected event, with its id and app where they can be read."""
    try:
        named = _named.decode(raw)
    except NOT_DECODED:
        named = _Named()
    is_app = type(named.app_id) is int and 0 <= named.app_id <= INT64_MOST
    text = known_fields(raw[:REJECTED_BODY_BYTES].decode("utf-8", "replace"))
    return Rejected(
        now_us,
        index,
        named.id[:64] if isinstance(named.id, str) else None,
        _sentence(error),
        text.encode()[:REJECTED_BODY_BYTES].decode("utf-8", "ignore"),
        named.app_id if is_app else None,
    )
