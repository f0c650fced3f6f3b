"""The path prefix of ``server.public_url``: the application sees paths without it.

Some proxies strip the prefix and some pass it on; both lead to the same page.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from yarl import URL

OWN_NAMES: Final = frozenset(
    {
        *("account", "accounts", "alerts", "audit", "audit.csv", "audit.json", "erasures"),
        *("findings", "first-account", "hand-off", "language", "live", "livez", "metrics"),
        *("openapi.json", "readyz", "rejected", "set-password", "settings", "sign-in", "sign-out"),
        *("silences", "static", "tap", "token", "tokens", "user-data", "users"),
        *("users.csv", "users.json", "users.parquet", "v1", "wall", "watches"),
    }
)
"""The first segments of this server's paths."""


def strip_prefix(server: web.Server | None, prefix: str) -> None:
    """Removes ``prefix``, which ends without a slash, from the requests to ``server``."""
    if server is None or not prefix:
        return
    make = server.request_factory

    def make_request(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:  # noqa: ANN401 - aiohttp's own
        return make(without_prefix(message, prefix), *rest)

    server.request_factory = make_request


def without_prefix(message: RawRequestMessage, prefix: str) -> RawRequestMessage:
    """The message as it would be at the root of the host."""
    path = message.url.raw_path
    if path != prefix and not path.startswith(f"{prefix}/"):
        return message
    url = URL.build(
        scheme=message.url.scheme,
        authority=message.url.raw_authority,
        path=path.removeprefix(prefix) or "/",
        query_string=message.url.raw_query_string,
        encoded=True,
    )
    return message._replace(path=str(url), url=url)


def prefix_problem(prefix: str) -> str | None:
    """Why ``prefix`` cannot be used: it is ambiguous where it begins as a path of this server does."""
    first = prefix.partition("/")[2].partition("/")[0]
    if first not in OWN_NAMES:
        return None
    return f"The path of server.public_url must not begin with /{first}, which is an address of Zimwatch's own."
