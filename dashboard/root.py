"""The path prefix that a proxy puts before the dashboard, such as ``/zimwatch``.

Templates and views write addresses from the root of the host; :func:`rooted` puts the path before all of them at once,
so that no link is forgotten.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

_root: ContextVar[str] = ContextVar("root", default="")
# Untrusted text has its "<" escaped. A tag has at most one of these attributes; two slashes would begin a host.
_OWN_ADDRESS: Final = re.compile(r'(<[a-z][^<>]*?\s(?:href|src|action|formaction|hx-sse:connect)=")(?=/(?!/))')


def set_root(path: str) -> None:
    """Sets the path for this task and those that it starts; ``path`` has no slash at its end."""
    _root.set(path)


def root() -> str:
    """The path; empty at the root of the host."""
    return _root.get()


def rooted(html: str) -> str:
    """``html`` with its own addresses below the path."""
    path = _root.get()
    return _OWN_ADDRESS.sub(rf"\g<1>{path}", html) if path else html
