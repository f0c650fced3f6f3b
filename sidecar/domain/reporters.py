"""Our taps and ports, which send events, and which of their versions is older than the server's.

They are released together with the server, under its version. An app that sends through an old one has an old copy:
most often a cached script, or a release that was made before the update.
"""

from __future__ import annotations

import re
from typing import Final

OURS: Final = frozenset(
    {
        "zim-tap",
        "zimwatch-python",
        "zimwatch-android",
        "zimwatch-cpp",
        "zimwatch-flutter",
        "zimwatch-ios",
        "zimwatch-react-native",
        "zimwatch-unity",
    }
)
_VERSION: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")


def is_outdated(name: str | None, version: str | None, current: str) -> bool:
    """Whether a reporter is one of ours and older than ``current``. Versions that are not ours are not judged."""
    if name not in OURS or version is None or not _VERSION.fullmatch(version):
        return False
    return _numbers(version) < _numbers(current)


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
