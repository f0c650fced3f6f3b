"""Routes that declare what they need: one action of the policy, or ``OPEN``.

:func:`check` refuses an application with a route that declares nothing, so that no new route is open by oversight.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from sidecar.access.policy import Action
from sidecar.errors import ZimwatchError

OPEN: Final = "open"
"""Of a route that anyone may use: it shows nothing, or checks a signature itself."""
Needed = Action | Literal["open"]


class Declared(msgspec.Struct, frozen=True):
    """What a route needs. It checks the signature of a request with the header ``signed_by`` itself."""

    needed: Needed
    signed_by: str | None = None


_declared: Final[WeakKeyDictionary[web.AbstractResource, dict[str, Declared]]] = WeakKeyDictionary()


class Route(web.AbstractRouteDef):
    """A route and what it needs."""

    def __init__(self, route: web.RouteDef, declared: Declared) -> None:
        self.route = route
        self.declared = declared

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        """Adds it to the router."""
        routes = self.route.register(router)
        for route in routes:
            if route.resource is not None:
                _declared.setdefault(route.resource, {})[self.route.method] = self.declared
        return routes


def get(path: str, handler: Handler, needed: Needed, *, allow_head: bool = True) -> Route:
    """A route for GET, and for HEAD where that is allowed."""
    return _route(hdrs.METH_GET, path, handler, Declared(needed), allow_head=allow_head)


def post(path: str, handler: Handler, needed: Needed, *, signed_by: str | None = None) -> Route:
    """A route for POST."""
    return _route(hdrs.METH_POST, path, handler, Declared(needed, signed_by))


def delete(path: str, handler: Handler, needed: Needed) -> Route:
    """A route for DELETE."""
    return _route(hdrs.METH_DELETE, path, handler, Declared(needed))


def options(path: str, handler: Handler, needed: Needed) -> Route:
    """A route for OPTIONS."""
    return _route(hdrs.METH_OPTIONS, path, handler, Declared(needed))


def declared_by(route: web.AbstractRoute) -> Declared | None:
    """What the route declared; None for one that is no :class:`Route`, such as that of an unknown path."""
    by_method = _declared.get(route.resource, {}) if route.resource is not None else {}
    return by_method.get(hdrs.METH_GET if route.method == hdrs.METH_HEAD else route.method)


def check(router: web.UrlDispatcher) -> None:
    """ZimwatchError that names every route which declares nothing."""
    silent = [
        f"{route.method} {route.resource.canonical if route.resource else route}"
        for route in router.routes()
        if declared_by(route) is None
    ]
    if silent:
        raise ZimwatchError(f"these routes do not declare what they need: {', '.join(sorted(silent))}")


def _route(method: str, path: str, handler: Handler, declared: Declared, **options: Any) -> Route:  # noqa: ANN401 - aiohttp's
    return Route(web.RouteDef(method, path, handler, options), declared)
