"""The name of a browser, from its User-Agent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dashboard.text.language import gettext as _

# In this order: most browsers also claim to be those after them, and most systems too.
_BROWSERS: Final = (
    (("Edg",), "Edge"),
    (("OPR/",), "Opera"),
    (("SamsungBrowser/",), "Samsung Internet"),
    (("Firefox/", "FxiOS/"), "Firefox"),
    (("Chrome/", "CriOS/"), "Chrome"),
    (("Safari/",), "Safari"),
)
_SYSTEMS: Final = (
    (("iPhone",), "iPhone"),
    (("iPad",), "iPad"),
    (("Android",), "Android"),
    (("Windows",), "Windows"),
    (("Mac OS X",), "macOS"),
    (("CrOS",), "ChromeOS"),
    (("Linux",), "Linux"),
)


def browser_name(user_agent: str) -> str:
    """``Chrome on Windows``; the whole text where it names no known browser and system."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser is None or system is None:
        return user_agent
    return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}


def _first(names: Iterable[tuple[tuple[str, ...], str]], user_agent: str) -> str | None:
    return next((name for marks, name in names if any(mark in user_agent for mark in marks)), None)
