"""Reads the expiry of ZEGO's Token04, and creates fake tokens that no server accepts.

``"04"`` and base64 of: expiry in Unix seconds (int64, big-endian), length (int16), IV, length (int16), cipher.
Source: ZEGOCLOUD's published token generators.
"""

from __future__ import annotations

import base64
import binascii
import struct
from random import Random
from typing import Final

from sidecar.domain.units import SECOND_US

VERSION: Final = "04"
_IV_BYTES: Final = 16
_CIPHER_BYTES: Final = 128
# The years 2000 to 2199; anything else is not an expiry.
_EARLIEST_S: Final = 946_684_800
_LATEST_S: Final = 7_258_118_400


def expires_at_us(token: object) -> int | None:
    """The expiry in microseconds since the Unix epoch; None if it is no Token04."""
    if not isinstance(token, str) or not token.startswith(VERSION):
        return None
    try:
        (seconds,) = struct.unpack_from(">q", base64.b64decode(token[2:14], validate=True))
    except (binascii.Error, ValueError, struct.error):
        return None
    return int(seconds) * SECOND_US if _EARLIEST_S <= seconds < _LATEST_S else None


def made_up(expires_us: int, rng: Random) -> str:
    """A fake token: well formed for the SDK, with a random cipher, so that it contains no secret."""
    content = struct.pack(">q", expires_us // SECOND_US)
    for length in (_IV_BYTES, _CIPHER_BYTES):
        content += struct.pack(">h", length) + rng.randbytes(length)
    return VERSION + base64.b64encode(content).decode()
