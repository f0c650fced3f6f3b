"""A request as its client made it, before any proxies: scheme, host, path prefix, client address.

Anyone can send a header. Forwarding headers are trusted only from peers in ``server.trusted_proxies``; that a header
shows a proxy is believed of anyone, as it only takes rights away.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from sidecar.settings import ServerSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_AUTHORITY_ENDS: Final = re.compile("[/?#]")
_HOST_LONGEST: Final = 300
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
# Headers of proxies, load balancers, tunnels and content delivery networks; a direct browser or SDK sends none of them.
_PROXY_HEADERS: Final = frozenset(
    {
        "client-ip",
        "do-connecting-ip",
        "forwarded",
        "front-end-https",
        "proxy-client-ip",
        "proxy-connection",
        "remote-user",
        "true-client-ip",
        "via",
        "x-cdn",
        "x-client-ip",
        "x-cloud-trace-context",
        "x-cluster-client-ip",
        "x-host",
        "x-ingress-path",
        "x-request-start",
        "x-rewrite-url",
        "x-scheme",
        "x-script-name",
        "x-url-scheme",
    }
)
_X_FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
_PROXY_PREFIXES: Final = (
    "akamai-",
    "ali-cdn-",
    "cdn-",
    "cf-",
    "cloudfront-",
    "fastly-",
    "fly-",
    "incap-",
    "ngrok-",
    "ssl-client-",
    "tailscale-",
    "wl-proxy-",
    "x-akamai-",
    "x-amz-cf-",
    "x-amzn-",
    "x-appengine-",
    "x-arr-",
    "x-auth-request-",
    "x-authentik-",
    "x-azure-",
    "x-envoy-",
    "x-forward",
    "x-goog-",
    "x-nginx-",
    "x-original-",
    "x-proxy",
    "x-real-",
    "x-remote-",
    "x-ssl-",
    "x-sucuri-",
    "x-varnish",
    "x-vercel-",
)


class PublicRequest(msgspec.Struct, frozen=True):
    """``host`` is as in a Host header, in lower case; empty where the request has no valid one.

    ``prefix`` is the path of ``server.public_url``, without a slash at its end. ``client`` is the nearest address that
    is no trusted proxy; None for a peer without one, such as a Unix socket. ``through_proxy``: a proxy shows.
    """

    scheme: str
    host: str
    prefix: str
    client: Address | None
    through_proxy: bool

    @property
    def url(self) -> str:
        """The address of the dashboard for the client, without a slash at its end."""
        return f"{self.scheme}://{self.host}{self.prefix}"


def public_request(request: web.BaseRequest, server: ServerSettings) -> PublicRequest:
    """The request as its client made it. ``server.public_url`` overrides headers."""
    peer = address(request.remote or "")
    trusted = is_trusted(peer, server)
    forwarded = _Forwarded.by(request, peer, server) if trusted else _Forwarded(client=peer)
    public = urlsplit(server.public_url)
    return PublicRequest(
        scheme=public.scheme or forwarded.scheme or request.scheme,
        host=_as_host(public.netloc) or forwarded.host or host_of(request),
        prefix=public.path.rstrip("/"),
        client=forwarded.client,
        through_proxy=trusted or shows_proxy(request),
    )


def known_client(request: web.BaseRequest, server: ServerSettings) -> Address | None:
    """The address of the client; None where proxies that are not trusted hide it.

    With trusted proxies every other peer is taken for the client, whatever its headers claim.
    """
    peer = address(request.remote or "")
    if is_trusted(peer, server):
        client = public_request(request, server).client
        return None if is_trusted(client, server) else client
    return None if not server.trusted_proxies and shows_proxy(request) else peer


def host_of(request: web.BaseRequest) -> str:
    """The requested host in lower case; empty where there is none, several, or an invalid one.

    It is that of the request line, if any, else the Host header (RFC 9112, section 3.2.2).
    """
    given = request.headers.getall("Host", ())
    if _names_host(request):
        given = [_AUTHORITY_ENDS.split(request.raw_path.partition("://")[2], maxsplit=1)[0]]
    return _as_host(given[0]) if len(given) == 1 else ""


def forwarded_host(request: web.BaseRequest, server: ServerSettings) -> str:
    """The host that the client requested, according to a trusted proxy; empty without one."""
    if not server.trusted_proxies:
        return ""
    peer = address(request.remote or "")
    return _Forwarded.by(request, peer, server).host if is_trusted(peer, server) else ""


def shows_proxy(request: web.BaseRequest) -> bool:
    """Whether there is any sign of a proxy. The absence of one proves nothing."""
    # nginx uses HTTP/1.0 for its upstreams by default; browsers and SDKs have not for decades. A whole address on the
    # request line is meant for a proxy.
    if request.version < (1, 1) or _names_host(request):
        return True
    # Some programs write and read headers with underscores.
    names = (name.lower().replace("_", "-") for name in request.headers)
    return any(name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIXES) for name in names)


def _names_host(request: web.BaseRequest) -> bool:
    """Whether the request line has more than a path, or the ``*`` of OPTIONS."""
    return not request.raw_path.startswith(("/", "*"))


def is_trusted(peer: Address | None, server: ServerSettings) -> bool:
    """Whether the peer is one of ``server.trusted_proxies``."""
    return peer is not None and any(
        peer in network for network in _networks(server.trusted_proxies) if network.version == peer.version
    )


def address(text: str) -> Address | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:80``, ``::1`` or ``[::1]:80``; None for anything else.

    An IPv4 address that a socket for both families shows as ``::ffff:192.0.2.1`` is the IPv4 address.
    """
    text = text.strip()
    bracketed = text.startswith("[")
    if bracketed:
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return found.ipv4_mapped or found
    return None if bracketed else found


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is a name of this machine that nobody can redirect."""
    name = (host or "").strip("[]").lower()
    found = address(name)
    return found.is_loopback if found else name == "localhost" or name.endswith(".localhost")


def same_host(one: str, other: str, scheme: str) -> bool:
    """Whether two hosts are equal under ``scheme``, whose default port may be left out."""
    port = _DEFAULT_PORTS.get(scheme, "")
    return bool(one) and one.lower().removesuffix(port) == other.lower().removesuffix(port)


class _Forwarded(msgspec.Struct, frozen=True):
    """The client according to proxies."""

    client: Address | None
    scheme: str = ""
    host: str = ""

    @classmethod
    def by(cls, request: web.BaseRequest, peer: Address | None, server: ServerSettings) -> _Forwarded:
        """From X-Forwarded-*, else from Forwarded (RFC 7239): a proxy that sets one may pass on a client's other."""
        headers = request.headers
        if "Forwarded" not in headers or any(name in headers for name in _X_FORWARDED):
            hops = ",".join(headers.getall("X-Forwarded-For", ())).split(",")
            scheme, host = headers.get("X-Forwarded-Proto", ""), headers.get("X-Forwarded-Host", "")
        else:
            hops = [one.get("for", "") for one in request.forwarded]
            scheme = next((one["proto"] for one in request.forwarded if "proto" in one), "")
            host = next((one["host"] for one in request.forwarded if "host" in one), "")
        scheme = scheme.partition(",")[0].strip().lower()
        return cls(
            client=_nearest(hops, peer, server),
            scheme=scheme if scheme in _DEFAULT_PORTS else "",
            host=_as_host(host.partition(",")[0].strip()),
        )


def _nearest(hops: list[str], peer: Address | None, server: ServerSettings) -> Address | None:
    """The last hop that is no trusted proxy. Each proxy appends its own peer; earlier hops may be forged."""
    nearest = peer
    for hop in reversed(hops):
        found = address(hop)
        if found is None:
            break
        nearest = found
        if not is_trusted(found, server):
            break
    return nearest


@lru_cache(maxsize=64)
def _as_host(text: str) -> str:
    if len(text) > _HOST_LONGEST or not _HOST.fullmatch(text):
        return ""
    return text.lower() if not text.startswith("[") or address(text) else ""


@lru_cache(maxsize=16)
def _networks(listed: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in listed)
