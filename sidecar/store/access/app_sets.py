"""Sets of apps in a column: ids in ascending order with commas between them, NULL for every app."""

from __future__ import annotations


def stored(apps: frozenset[int] | None) -> str | None:
    """The set as it is in the column."""
    return None if apps is None else ",".join(map(str, sorted(apps)))


def read(text: str | None) -> frozenset[int] | None:
    """The set that is in the column."""
    return None if text is None else frozenset(map(int, filter(None, text.split(","))))
