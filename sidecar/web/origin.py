"""Checks of Host and Origin.

A page on any site can reach a server on loopback, or behind a firewall, through the browser that shows it. So the Host
must be a name of this server (DNS rebinding), only its own pages may change anything (CSRF), and pages of other sites
may read nothing: whether a response is a page or an error would reveal who is a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

from sidecar.access.proxies import forwarded_host, host_of, is_loopback, same_host
from sidecar.domain.texts import Sentence
from sidecar.settings import ServerSettings, Settings
from sidecar.web.problem import Problem

# A probe sends the address of a pod or container. These two reveal nothing that a foreign page could use.
_ANY_HOST: Final = ("/livez", "/readyz")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_EVENTS: Final = "/v1/events"
_NO_ORIGIN: Final = urlsplit("")

_UNKNOWN_HOST: Final = Sentence(
    "request.unknown_host", "unknown Host; add it to server.allowed_hosts if this server should answer to it"
)
_FOREIGN_READ: Final = Sentence("request.foreign_read", "pages of other origins may link here, but not read")
_FOREIGN_ORIGIN: Final = Sentence(
    "request.foreign_origin",
    "pages of other origins may send events, but change nothing else; "
    "if this was a page of Zimwatch, set server.public_url to the address that the browser shows",
)
_NULL: Final = "null"
_NULL_ORIGIN: Final = "pages with the origin null need a token to send events"
_OTHER_PAGE: Final = "the token is not for pages of this origin; make one that is, with --origin"
_MAY_NOT_SEND: Final = "pages of this origin may not send events; add it to ingest.allowed_origins to allow them"


def is_shared(request: web.Request) -> bool:
    """Whether pages of other origins may use this address: the Web tap, and where it sends events."""
    return request.path == _EVENTS or request.path.startswith("/tap/")


def origin_is_allowed(origin: str, settings: Settings) -> bool:
    """Whether a page of this origin may send events: any on loopback, and those that the settings name."""
    if origin in settings.ingest.allowed_origins:
        return True
    parts = _split(origin)
    return parts.scheme in {"http", "https"} and is_loopback(parts.hostname)


def check_host(request: web.Request, settings: Settings) -> None:
    """421 for a Host that is no name of this server."""
    if request.path in _ANY_HOST:
        return
    server = settings.server
    host = forwarded_host(request, server) or host_of(request)
    if not _is_ours(host, server.host, server.allowed_hosts, server.public_url):
        raise Problem(421, _UNKNOWN_HOST())


@lru_cache(maxsize=64)  # clients of a server use one or two names of it
def _is_ours(host: str, bound: str, allowed: tuple[str, ...], public_url: str) -> bool:
    name = _split(f"//{host}").hostname
    ours = {one.strip("[]").lower() for one in (bound, *allowed)}
    return is_loopback(name) or name in {*ours, _split(public_url).hostname or ""}


def is_own_page(request: web.Request, server: ServerSettings) -> bool:
    """Whether a page of this server, or the browser's user, made the request.

    By Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/), which browsers send over TLS and on loopback; elsewhere
    by Origin, which is the address that they show. No script can set either.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = _split(request.headers.get("Origin", ""))
    public = urlsplit(server.public_url)
    # Behind a proxy that terminates TLS the scheme differs.
    return any(
        same_host(origin.netloc, host, origin.scheme) for host in (host_of(request), forwarded_host(request, server))
    ) or (origin.scheme == public.scheme and same_host(origin.netloc, public.netloc, origin.scheme))


def check_origin(request: web.Request, settings: Settings) -> None:
    """403 for what a page of another origin may not read or change. It may link here, as it cannot read the target."""
    headers = request.headers
    if "Sec-Fetch-Site" not in headers and (request.method in _SAFE or "Origin" not in headers):
        return
    if is_own_page(request, settings.server):
        return
    if request.method in _SAFE:
        follows_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        if not follows_link and not is_shared(request):
            raise Problem(403, _FOREIGN_READ())
    elif request.path != _EVENTS:
        raise Problem(403, _FOREIGN_ORIGIN())
    else:
        check_sender(request, settings)


def check_sender(request: web.Request, settings: Settings) -> None:
    """403 for an origin whose pages may not send events."""
    if not origin_is_allowed(request.headers.get("Origin", ""), settings):
        raise Problem(403, _MAY_NOT_SEND)


def check_page_of_token(request: web.Request, allowed: Sequence[str]) -> None:
    """403 for events of a page whose origin is not among those that the request's token is limited to, if any.

    Beside the settings, which say whether its pages may send at all. What is no browser can send any origin, or none.
    """
    sender = request.headers.get("Origin")
    if allowed and sender is not None and sender not in allowed:
        raise Problem(403, _OTHER_PAGE)


def check_page_of_no_origin(request: web.Request, *, has_token: bool) -> None:
    """403 for events with the origin null, which any page can have, unless they come with a token."""
    if request.headers.get("Origin") == _NULL and not has_token:
        raise Problem(403, _NULL_ORIGIN)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets without an IPv6 address
        return _NO_ORIGIN
