"""Reads and decodes the body of a request, within a limit."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from aiohttp import web

from sidecar.ingest import body, wire
from sidecar.ingest.wire_events import NOT_DECODED
from sidecar.web.problem import Problem

T = TypeVar("T")

SMALL_BYTES: Final = 65_536
_READ_BYTES: Final = 65_536
_PLAIN: Final = "identity"
_GZIP: Final = "gzip"


def encoding_of(request: web.Request, *, may_be_packed: bool = True) -> str:
    """``gzip`` or ``identity``; 415 for any other, and for gzip unless it ``may_be_packed``.

    A body whose signature covers its bytes is not unpacked before the signature is checked.
    """
    encoding = request.headers.get("Content-Encoding", _PLAIN).strip().lower()
    if encoding == _PLAIN or (may_be_packed and encoding == _GZIP):
        return encoding
    if may_be_packed:
        raise Problem(415, "Content-Encoding must be gzip or none", {"Accept-Encoding": _GZIP})
    raise Problem(415, "Content-Encoding must be none here", {"Accept-Encoding": _PLAIN})


async def read(request: web.Request, limit: int = SMALL_BYTES, *, may_be_packed: bool = True) -> bytes:
    """The body, unpacked; 413 past ``limit`` bytes, before anything is read where Content-Length exceeds it."""
    gzipped = encoding_of(request, may_be_packed=may_be_packed) == _GZIP
    if not gzipped and (request.content_length or 0) > limit:
        raise body.TooLargeError(limit)
    content = request.content
    if not gzipped and content.is_eof():  # it came with the headers, as most do
        raw = content.read_nowait()
        if len(raw) > limit:
            raise body.TooLargeError(limit)
        return raw
    return await body.read(content.iter_chunked(_READ_BYTES), gzipped=gzipped, limit=limit)


def decode(raw: bytes, kind: type[T]) -> T:
    """A body of JSON as ``kind``; 400 that names what is wrong with it."""
    try:
        return msgspec.json.decode(raw.removeprefix(wire.BYTE_ORDER_MARK), type=kind)
    except NOT_DECODED as error:
        raise Problem(400, f"invalid request body: {error}") from None
