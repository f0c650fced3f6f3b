"""Paths of this server: that of a user's page, and validation of those that browsers send back."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

# Browsers read a backslash as a slash, drop tabs and line breaks, and read two slashes as the start of a host.
_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*")
# Browsers and proxies change these in a path even when percent-encoded: nginx turns a%2F%2Fb into a//b and then a/b,
# Apache refuses it.
_CHANGED_IN_A_PATH: Final = re.compile(r"[/\\%\x00]")


def user_path(app_id: int, user_id: str) -> str:
    """The path of a user's page. An id that would not survive in a path is in the query."""
    if user_id in {".", ".."} or _CHANGED_IN_A_PATH.search(user_id):
        return f"/users/{app_id}/?{urlencode({'id': user_id})}"
    return f"/users/{app_id}/{quote(user_id, safe='')}"


def safe_path(text: str, otherwise: str = "/") -> str:
    """``text`` if browsers can only resolve it to this server: a path with an optional query and fragment.

    Else ``otherwise``. Characters beyond ASCII have to be percent-encoded, as browsers send them.
    """
    return text if _PATH.fullmatch(text) and "//" not in text.partition("?")[0].partition("#")[0] else otherwise
