"""ZEGO's Token04: its expiry can be read by anyone, and a made-up one can be written that no server accepts.

``"04"`` and base64 of: expiry in Unix seconds (int64, big-endian), length (int16), IV, length (int16), cipher.
Source: ZEGOCLOUD's published token generators.
"""

from __future__ import annotations

import base64
import binascii
import struct
from random import Random
from typing import Final

VERSION: Final = "04"
_SECOND_US: Final = 1_000_000
_IV_BYTES: Final = 16
_CIPHER_BYTES: Final = 128
# 2000 to 2199: what lies outside is no expiry but noise.
_EARLIEST_S: Final = 946_684_800
_LATEST_S: Final = 7_258_118_400


def expires_at_us(token: object) -> int | None:
    """When the token ends, microseconds since the Unix epoch; None where it is no Token04."""
    if not isinstance(token, str) or not token.startswith(VERSION):
        return None
    try:
        (seconds,) = struct.unpack_from(">q", base64.b64decode(token[2:14], validate=True))
    except (binascii.Error, ValueError, struct.error):
        return None
    return int(seconds) * _SECOND_US if _EARLIEST_S <= seconds < _LATEST_S else None


def made_up(expires_us: int, rng: Random) -> str:
    """A token that the SDK takes for well formed and no server accepts; its cipher is random, so no secret is in it."""
    content = struct.pack(">q", expires_us // _SECOND_US)
    for length in (_IV_BYTES, _CIPHER_BYTES):
        content += struct.pack(">h", length) + rng.randbytes(length)
    return VERSION + base64.b64encode(content).decode()
