"""Sets of apps, such as those that a principal may see."""

from __future__ import annotations

from typing import Final

AppIds = frozenset[int] | None
"""AppIDs; None is every app."""
LARGEST: Final = 2**63 - 1
"""The largest AppID that the database can hold."""
MOST: Final = 100
"""How many apps a principal may be limited to: a list of users reads the first one of each."""


def has(apps: AppIds, app_id: int | None) -> bool:
    """Whether the app is one of them; what concerns no app concerns every one."""
    return apps is None or app_id in apps


def has_all(apps: AppIds, others: AppIds) -> bool:
    """Whether all of the others are among them."""
    return apps is None or (others is not None and others <= apps)


def within(apps: AppIds, wanted: int | None) -> AppIds:
    """Those of them that are ``wanted``, None being any."""
    if wanted is None:
        return apps
    return frozenset({wanted} if has(apps, wanted) else ())


def listed(apps: frozenset[int]) -> str:
    """Them in words, such as ``7, 8``."""
    return ", ".join(str(app_id) for app_id in sorted(apps))
