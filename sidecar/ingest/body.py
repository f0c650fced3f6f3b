"""Reads a request's body and decompresses it, within limits on memory and on work."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Final

from sidecar.errors import ZimwatchError
from sidecar.ingest.wire import BodyError

_GZIP: Final = 16 + zlib.MAX_WBITS
# A gzip file may have several members (RFC 1952, section 2.2); each costs a decompressor, even an empty one. Programs
# that compress in blocks of 64 KiB create 16 for a MiB.
MEMBERS_MOST: Final = 64
# Batches of events shrink to a 20th at most, since each has an id of its own. Past the first bytes, a much higher ratio
# is an attack.
RATIO_MOST: Final = 200
RATIO_FREE_BYTES: Final = 65_536


class TooLargeError(ZimwatchError):
    """The body is larger than the limit, as it was sent or once it is decompressed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes after decompression")


class TooDenseError(ZimwatchError):
    """The body is a decompression bomb."""

    def __init__(self) -> None:
        super().__init__(
            f"the body has more than {MEMBERS_MOST} gzip members, or more than {RATIO_MOST} times its size after"
            " decompression"
        )


class BodyTimeoutError(ZimwatchError):
    """The body did not arrive within ``server.body_timeout``; raised by the chunks of :func:`read`."""

    def __init__(self) -> None:
        super().__init__("the body did not arrive in time")


async def read(chunks: AsyncIterator[bytes], *, gzipped: bool, limit: int) -> bytes:
    """The whole body, decompressed. BodyError where the gzip is invalid or cut off.

    TooLargeError past ``limit`` bytes, TooDenseError past the ratio or number of members of honest senders. The
    connection bounds the time.
    """
    if gzipped:
        return await _inflated(chunks, limit)
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise TooLargeError(limit)
    return bytes(body)


async def _inflated(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    # Random bytes grow when compressed: by 5 bytes a block of some KiB or more, and the file's header.
    sent, sent_most = 0, limit + limit // 256 + 1_024
    unpacked = _Unpacked(limit)
    async for chunk in chunks:
        sent += len(chunk)
        if sent > sent_most:
            raise TooLargeError(limit)
        unpacked.feed(chunk, max(RATIO_FREE_BYTES, RATIO_MOST * sent))
    return unpacked.whole()


class _Unpacked:
    """The decompressed bytes of a gzip file's members so far."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._body = bytearray()
        self._members = 1
        self._inflate = zlib.decompressobj(_GZIP)

    def feed(self, data: bytes, dense: int) -> None:
        """Decompresses ``data``. TooDenseError past ``dense`` bytes in all."""
        most = min(self._limit, dense)
        while data:
            if self._inflate.eof:
                self._members += 1
                self._inflate = zlib.decompressobj(_GZIP)
            try:
                self._body += self._inflate.decompress(data, most + 1 - len(self._body))
            except zlib.error as error:
                raise BodyError(f"the body is not valid gzip: {error}") from None
            if len(self._body) > self._limit:
                raise TooLargeError(self._limit)
            if len(self._body) > most or self._members > MEMBERS_MOST:
                raise TooDenseError
            data = self._inflate.unconsumed_tail or self._inflate.unused_data

    def whole(self) -> bytes:
        if not self._inflate.eof:
            raise BodyError("the gzip is cut off")
        return bytes(self._body)
