"""The layout of ZEGO's Token04.

``"04"`` and base64 of: expiry in Unix seconds (int64, big-endian), length (int16), IV, length (int16), cipher text, and
in the newer layout one byte for the mode: 1 is AES-GCM, whose tag ends the cipher text, 0 is AES-CBC. Without that byte
it is AES-CBC. Source: ZEGOCLOUD's published generators, https://github.com/ZEGOCLOUD/zego_server_assistant.
``dashboard/static/token.js`` reads the same in a browser.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Final, Literal

import msgspec

from sidecar.domain.units import SECOND_US

VERSION: Final = "04"
# More than any token of ZIM has: some 300 characters, and its payload beyond.
MOST_CHARACTERS: Final = 16_384
GCM_TAG_BYTES: Final = 16
CBC_BLOCK_BYTES: Final = 16
_MODE_CBC: Final = 0
_MODE_GCM: Final = 1
# The published generators use 12 bytes; AES of the package cryptography takes these.
_GCM_IV_BYTES: Final = range(8, 129)
# The years 2000 to 2199; anything else is not an expiry.
_EARLIEST_S: Final = 946_684_800
_LATEST_S: Final = 7_258_118_400
_MS: Final = 1_000
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# The SDK reads the version of texts of more than 30 characters.
_OTHER_VERSION: Final = re.compile(r"[0-9]{2}.{29}")
_QUOTES: Final = "\"'`"

Cipher = Literal["AES-CBC", "AES-GCM"]
Flaw = Literal[
    "empty",
    "too_large",
    "no_token04",
    "other_version",
    "kit_token",
    "percent_encoded",
    "blanks",
    "url_safe",
    "not_base64",
    "cut_off",
    "bytes_left",
    "mode_unknown",
    "sizes",
    "milliseconds",
    "no_time",
]
"""Why a text is no readable Token04."""


class UnreadableError(ValueError):
    """The text is no Token04, for this flaw."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw: Flaw = flaw


class Token04(msgspec.Struct, frozen=True):
    """The parts of a token. ``content`` is encrypted; of AES-GCM, it ends with the tag."""

    expires_s: int
    iv: bytes
    content: bytes
    mode: int | None

    @property
    def cipher(self) -> Cipher:
        """The cipher that its mode stands for."""
        return "AES-GCM" if self.mode == _MODE_GCM else "AES-CBC"


def parse(text: str) -> Token04:
    """The token that somebody pasted, with blanks, quotes or line breaks around its parts. UnreadableError."""
    raw = _decoded(_in_one_line(text))
    try:
        (expires_s,) = struct.unpack_from(">q", raw)
        iv, at = _counted(raw, 8)
        content, at = _counted(raw, at)
    except struct.error:
        raise UnreadableError("cut_off") from None
    rest = raw[at:]
    if len(rest) > 1:
        raise UnreadableError("bytes_left")
    token = Token04(expires_s, iv, content, rest[0] if rest else None)
    _check_sizes(token)
    _check_expiry(expires_s)
    return token


def expires_at_us(token: object) -> int | None:
    """The expiry in microseconds since the Unix epoch, whatever follows it; None if it is no Token04."""
    if not isinstance(token, str) or not token.startswith(VERSION):
        return None
    try:
        (seconds,) = struct.unpack_from(">q", base64.b64decode(token[2:14], validate=True))
    except (binascii.Error, ValueError, struct.error):
        return None
    return int(seconds) * SECOND_US if _EARLIEST_S <= seconds < _LATEST_S else None


def pack(token: Token04) -> str:
    """The text of a token: the inverse of :func:`parse`."""
    raw = struct.pack(">q", token.expires_s)
    for part in (token.iv, token.content):
        raw += struct.pack(">h", len(part)) + part
    if token.mode is not None:
        raw += bytes([token.mode])
    return VERSION + base64.b64encode(raw).decode()


def _in_one_line(text: str) -> str:
    """Without what a copy puts around a token, and its lines joined."""
    lines = text.strip().strip(_QUOTES).replace("\r", "\n").split("\n")
    return "".join(line.strip() for line in lines)


def _decoded(text: str) -> bytes:
    if (flaw := _flaw_of(text)) is not None:
        raise UnreadableError(flaw)
    try:
        return base64.b64decode(text[len(VERSION) :], validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableError("cut_off") from None


def _flaw_of(text: str) -> Flaw | None:
    """What is wrong with the characters of a token."""
    body = text[len(VERSION) :]
    tests: tuple[tuple[bool, Flaw], ...] = (
        (not text, "empty"),
        (len(text) > MOST_CHARACTERS, "too_large"),
        (not text.startswith(VERSION), "other_version" if _OTHER_VERSION.match(text) else "no_token04"),
        ("#" in body, "kit_token"),
        ("%" in body, "percent_encoded"),
        (any(sign.isspace() for sign in body), "blanks"),
        ("-" in body or "_" in body, "url_safe"),
        (not _BASE64.fullmatch(body), "not_base64"),
        (len(body) % 4 != 0 or not body, "cut_off"),
    )
    return next((flaw for is_so, flaw in tests if is_so), None)


def _counted(raw: bytes, at: int) -> tuple[bytes, int]:
    """A length and so many bytes at this place, and the place behind them. struct.error where they are not there."""
    (length,) = struct.unpack_from(">h", raw, at)
    if length < 0:
        raise UnreadableError("sizes")
    (part,) = struct.unpack_from(f"{length}s", raw, at + 2)
    return part, at + 2 + length


def _check_sizes(token: Token04) -> None:
    if token.mode not in {None, _MODE_CBC, _MODE_GCM}:
        raise UnreadableError("mode_unknown")
    iv, content = len(token.iv), len(token.content)
    if token.cipher == "AES-GCM":
        is_right = iv in _GCM_IV_BYTES and content > GCM_TAG_BYTES
    else:
        is_right = iv == CBC_BLOCK_BYTES and content > 0 and content % CBC_BLOCK_BYTES == 0
    if not is_right:
        raise UnreadableError("sizes")


def _check_expiry(seconds: int) -> None:
    if _EARLIEST_S * _MS <= seconds < _LATEST_S * _MS:
        raise UnreadableError("milliseconds")
    if not _EARLIEST_S <= seconds < _LATEST_S:
        raise UnreadableError("no_time")
