"""Expressions of SQL with their values."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.domain.app_ids import AppIds


class Condition(msgspec.Struct, frozen=True):
    """An expression of SQL over a row, with its values."""

    sql: str = "TRUE"
    values: tuple[Any, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"({self.sql}) AND ({other.sql})", (*self.values, *other.values))


EVERY: Final = Condition()
_NONE: Final = Condition("FALSE")


def in_apps(apps: AppIds, column: str = "app_id") -> Condition:
    """That the column is one of these apps."""
    if apps is None:
        return EVERY
    return Condition(f"{column} IN ({', '.join('?' * len(apps))})", tuple(sorted(apps))) if apps else _NONE
