"""Real tokens for tests: encrypted as ZEGOCLOUD's generators do it, with whatever content a test wants."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from sidecar.domain.token04.layout import Token04, pack

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
