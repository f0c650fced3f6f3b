"""Reads a request's body and inflates it, never holding more than the limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Final

from sidecar.errors import ZimwatchError
from sidecar.ingest.wire import BodyError

_GZIP: Final = 16 + zlib.MAX_WBITS


class TooLargeError(ZimwatchError):
    """The body is larger than ``ingest.max_body_bytes`` once it is decompressed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes after decompression")


async def read(chunks: AsyncIterator[bytes], *, gzipped: bool, limit: int) -> bytes:
    """The whole body, inflated; TooLargeError past ``limit`` bytes, BodyError where the gzip is broken or cut off."""
    inflate = zlib.decompressobj(_GZIP) if gzipped else None
    body = bytearray()
    async for chunk in chunks:
        data = chunk
        while data:
            if inflate is None:
                body += data
                data = b""
            else:
                try:
                    body += inflate.decompress(data, limit + 1 - len(body))
                except zlib.error as error:
                    raise BodyError(f"the body is not gzip: {error}") from None
                data = inflate.unconsumed_tail
                if inflate.eof and inflate.unused_data:
                    # A gzip file may have several members, one after the other (RFC 1952, section 2.2).
                    data, inflate = inflate.unused_data, zlib.decompressobj(_GZIP)
            if len(body) > limit:
                raise TooLargeError(limit)
    if inflate is not None and not inflate.eof:
        raise BodyError("the gzip is cut off")
    return bytes(body)
