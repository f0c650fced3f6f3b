"""Real tokens for tests: encrypted as ZEGOCLOUD's generators do it, with whatever content a test wants."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from sidecar.domain.token04.layout import MOST_CHARACTERS, Token04, pack

SECRET = "0123456789abcdef0123456789abcdef"
OTHER_SECRET = "zimwatch-test-secret-of-32-chars"
GCM_IV = b"twelve bytes"
CBC_IV = b"sixteen bytes iv"


def content(app_id: int, user_id: str, ctime: int, expire: int, **more: Any) -> dict[str, Any]:
    return {"app_id": app_id, "user_id": user_id, "nonce": 7, "ctime": ctime, "expire": expire, "payload": ""} | more


def encrypted(of: bytes, secret: str, mode: int | None) -> tuple[bytes, bytes]:
    """The IV, and the content as encrypted by AES-GCM for mode 1, else by AES-CBC."""
    key = secret.encode()
    if mode == 1:
        return GCM_IV, AESGCM(key).encrypt(GCM_IV, of, None)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(CBC_IV)).encryptor()
    return CBC_IV, encryptor.update(padder.update(of) + padder.finalize()) + encryptor.finalize()


def made(of: dict[str, Any] | bytes, *, expire: int | None = None, secret: str = SECRET, mode: int | None = 1) -> str:
    """A token with this content: an object, or the bytes themselves. ``expire`` as in the content."""
    raw = of if isinstance(of, bytes) else json.dumps(of).encode()
    seconds = expire if expire is not None else json.loads(raw)["expire"]
    return pack(Token04(seconds, *encrypted(raw, secret, mode), mode))


AT_S = 1_796_067_000
GOOD = made(content(1, "alice", AT_S, AT_S + 3_600))
# Among its characters are a + and a /, as in most tokens.
_PLUS = pack(Token04(AT_S, b"i" * 12, bytes(range(256)), 1))


def layout(expires_s: int = AT_S, iv: bytes = b"i" * 12, sealed: bytes = b"c" * 32, rest: bytes = b"\x01") -> str:
    raw = struct.pack(f">qh{len(iv)}sh{len(sealed)}s", expires_s, len(iv), iv, len(sealed), sealed) + rest
    return "04" + base64.b64encode(raw).decode()


# Texts that are no token, and what is wrong with each.
FLAWED = [
    ("", "empty"),
    (" \n ", "empty"),
    ("''", "empty"),
    ("04" + "A" * MOST_CHARACTERS, "too_large"),
    ("hello", "no_token04"),
    ("eyJhbGciOiJIUzI1NiJ9.e30.x", "no_token04"),
    ("0", "no_token04"),
    ("断线", "no_token04"),
    ("\ud800", "no_token04"),
    ("\x00\x01", "no_token04"),
    ("03" + GOOD[2:], "other_version"),
    ("05" + GOOD[2:], "other_version"),
    ("01", "no_token04"),
    ("01A", "no_token04"),
    ("03" + GOOD[2:30], "no_token04"),
    ("03" + GOOD[2:31], "other_version"),
    (GOOD + "#eyJ1c2VySUQiOiJhIn0=", "kit_token"),
    (_PLUS.replace("+", "%2B"), "percent_encoded"),
    (_PLUS.replace("+", " "), "blanks"),
    (GOOD[:20] + "\t" + GOOD[20:], "blanks"),
    (_PLUS.replace("+", "-").replace("/", "_"), "url_safe"),
    (GOOD[:9] + "!" + GOOD[10:], "not_base64"),
    (GOOD[:9] + "=" + GOOD[10:], "not_base64"),
    (GOOD[:9] + "é" + GOOD[10:], "not_base64"),
    ("04", "cut_off"),
    ("04AAAA", "cut_off"),
    (GOOD.rstrip("=")[:-1], "cut_off"),
    (GOOD[:14], "cut_off"),
    (GOOD[:42], "cut_off"),
    (layout(rest=b"\x01\x01"), "bytes_left"),
    (layout(rest=b"\x02"), "mode_unknown"),
    (layout(rest=b"\xff"), "mode_unknown"),
    (layout(iv=b"i" * 7), "sizes"),
    (layout(iv=b"i" * 129), "sizes"),
    (layout(sealed=b"c" * 16), "sizes"),
    (layout(iv=b"i" * 12, rest=b""), "sizes"),
    (layout(iv=b"i" * 16, sealed=b"c" * 33, rest=b"\x00"), "sizes"),
    (layout(iv=b"i" * 16, sealed=b"", rest=b""), "sizes"),
    ("04" + base64.b64encode(struct.pack(">qh", AT_S, -1) + b"x" * 60).decode(), "sizes"),
    (layout(AT_S * 1_000), "milliseconds"),
    (layout(0), "no_time"),
    (layout(-1), "no_time"),
    (layout(2**63 - 1), "no_time"),
]
