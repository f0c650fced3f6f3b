"""Creates fake tokens, which are well formed for the SDK and which no server accepts."""

from __future__ import annotations

from random import Random
from typing import Final

from sidecar.domain.token04.layout import CBC_BLOCK_BYTES, Token04, pack
from sidecar.domain.units import SECOND_US

_CIPHER_BYTES: Final = 128


def made_up(expires_us: int, rng: Random) -> str:
    """A fake token: well formed for the SDK, with a random cipher, so that it contains no secret."""
    return pack(Token04(expires_us // SECOND_US, rng.randbytes(CBC_BLOCK_BYTES), rng.randbytes(_CIPHER_BYTES), None))
