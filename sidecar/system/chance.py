"""Randomness that is no secret: jitter, and unpredictable ids that anyone may see."""

from __future__ import annotations

from random import Random, SystemRandom
from typing import Final
from uuid import UUID

CHANCE: Final[Random] = SystemRandom()


def random_uuid(chance: Random) -> UUID:
    """A UUID of version 4."""
    return UUID(int=chance.getrandbits(128), version=4)
