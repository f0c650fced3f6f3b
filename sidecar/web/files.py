"""Files of the package over HTTP: read once, compressed once, and not sent again to a client that has them."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Final

from aiohttp import web

from sidecar.web.compression import ENCODING, GZIP, LEAST_BYTES, accepts_gzip, gzipped

# For a file at an address that has its digest.
FOR_EVER: Final = "public, max-age=31536000, immutable"


class File:
    """A file's content. ``digest`` identifies it, also in an address."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.content = content
        self._media_type = media_type
        self.digest = hashlib.sha256(content).hexdigest()[:16]

    @cached_property
    def _packed(self) -> bytes | None:
        """The gzip file; made for the first client that accepts one."""
        return gzipped(self.content) if len(self.content) > LEAST_BYTES else None

    def response(self, request: web.Request, cache_control: str) -> web.Response:
        """The file, compressed for a client that accepts it; 304 for one that has it."""
        headers = {"ETag": f'W/"{self.digest}"', "Cache-Control": cache_control, "Vary": ENCODING}
        if any(tag.value in {self.digest, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = self.content
        if accepts_gzip(request.headers) and (packed := self._packed) is not None:
            body, headers["Content-Encoding"] = packed, GZIP
        return web.Response(body=body, headers=headers, content_type=self._media_type, charset="utf-8")
