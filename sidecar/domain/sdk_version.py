"""Versions of the client SDK, and how they compare."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

Version = tuple[int, int, int]

_VERSION: Final = re.compile(r"\s*v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?![\d])")


@lru_cache(maxsize=1024)
def parsed(version: str | None) -> Version | None:
    """``2.12.0`` as numbers; what follows them (``-beta.1``, ``.4567``) does not count. None if it is no version."""
    found = _VERSION.match(version or "")
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))


def is_before(version: str | None, other: Version) -> bool | None:
    """Whether a version is older than ``other``; None where it is not known."""
    known = parsed(version)
    return None if known is None else known < other
