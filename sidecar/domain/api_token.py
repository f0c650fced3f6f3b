"""The form of an API token's secret, by which people, programs and secret scanners recognise one.

``zw_<scope>_<43 random characters>_<checksum>``, of letters and digits: the checksum is the CRC-32 of everything before
its underscore, in six digits of base 62. So a secret that was copied wrongly is recognised without a look-up, and a
scanner can tell a secret from text that only resembles one.
"""

from __future__ import annotations

import re
from typing import Final
from zlib import crc32

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARACTERS: Final = 43
"""Of 62 each: 256 bits."""
_FORM: Final = re.compile(r"zw_(?:ingest|read|write|forward)_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")
PATTERN: Final = _FORM.pattern
"""For secret scanners."""
_BEGINS: Final = re.compile(r"zw_(?:ingest|read|write|forward)_")
# Secrets of tokens before version 1: "zw_" and 43 characters of URL-safe base 64, which may look like any of these.
_FORMER_CHARACTERS: Final = 46
_CHECKSUM_DIGITS: Final = 6
_HINT_RANDOM: Final = 4


def secret_of(scope: str, random: str) -> str:
    """The secret of these random characters."""
    body = f"zw_{scope}_{random}"
    return f"{body}_{_checksum(body)}"


def hint_of(secret: str) -> str:
    """The first characters of a secret, to recognise it by; the others have 232 bits."""
    return secret[: secret.rindex("_") - RANDOM_CHARACTERS + _HINT_RANDOM]


def is_mistyped(secret: str) -> bool:
    """Whether it begins as a secret does, and was never one: a part is missing, or a character is wrong."""
    if not _BEGINS.match(secret) or len(secret) == _FORMER_CHARACTERS:
        return False
    body, _, checksum = secret.rpartition("_")
    return not _FORM.fullmatch(secret) or _checksum(body) != checksum


def _checksum(body: str) -> str:
    number, digits = crc32(body.encode()), ""
    for _ in range(_CHECKSUM_DIGITS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
