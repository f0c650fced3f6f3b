"""Decrypts the content of a Token04 with a ServerSecret, whose characters are the key."""

from __future__ import annotations

from typing import Final

from sidecar.domain.token04.layout import CBC_BLOCK_BYTES, Token04

_KEY_BYTES: Final = 32


def key_of(secret: str) -> bytes | None:
    """The key that the characters of a ServerSecret are; None if it has another length than a ServerSecret."""
    key = secret.encode(errors="replace")
    return key if len(key) == _KEY_BYTES else None


def decrypted(token: Token04, key: bytes) -> bytes | None:
    """The content; None where it cannot have been encrypted with this key.

    AES-GCM proves that it was, and that nothing of it was changed. AES-CBC proves neither: one wrong key in 256 gives
    bytes too, and they have to make sense.
    """
    # 50 ms and 9 MB, which only those who have a secret and a token to check need.
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415

    if token.cipher == "AES-GCM":
        try:
            opened: bytes = AESGCM(key).decrypt(token.iv, token.content, None)
        except InvalidTag:
            return None
        return opened
    decryptor = Cipher(algorithms.AES(key), modes.CBC(token.iv)).decryptor()
    unpadder = PKCS7(CBC_BLOCK_BYTES * 8).unpadder()
    try:
        content: bytes = unpadder.update(decryptor.update(token.content) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None
    return content
