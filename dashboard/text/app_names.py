"""What the apps are called on the pages: the names of the settings, set for each request."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from sidecar import access
from sidecar.domain.apps import Apps

_UNNAMED: Final = Apps()
_apps: ContextVar[Apps] = ContextVar("apps", default=_UNNAMED)


def set_apps(apps: Apps) -> None:
    """Sets the names for this task and those that it starts."""
    _apps.set(apps)


def apps() -> Apps:
    """The names of the apps that the principal may see, and the addresses of their users in the back office."""
    principal = access.current()
    own = None if principal is None else principal.apps
    return _apps.get() if own is None else _apps.get().of(own)
