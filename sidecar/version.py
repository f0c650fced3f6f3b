"""The version of this Zimwatch, which the package takes from here, and the commit that it was built of."""

from __future__ import annotations

VERSION = "1.0.0"


def build() -> str:
    """Such as ``1.0.0+0123456789ab``; ``make wheel`` puts the commit beside this file, and a source tree has none."""
    try:
        with open(f"{__file__.rpartition('/')[0]}/commit.txt", encoding="ascii") as file:  # noqa: PTH123 - see cli
            commit = file.read().strip()
    except OSError:
        return VERSION
    return f"{VERSION}+{commit}"
