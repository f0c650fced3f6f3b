"""The one HTTP client for the addresses of the settings: receivers, ZEGO's server, the canary's tokens.

A name is resolved once, each of its addresses is checked (:mod:`sidecar.address_guard`), and the connection is made to
just those. Redirects are not followed, responses are read up to a limit, and proxies of the environment are not used.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from sidecar.address_guard import BAD_URL, AddressGuard, RefusedAddressError
from sidecar.domain.outside_text import one_line
from sidecar.domain.retry import retry_after_us
from sidecar.domain.texts import Sentence, Text
from sidecar.errors import ZimwatchError
from sidecar.system.threads import THREADS, Threads, run_in

P = ParamSpec("P")
T = TypeVar("T")

BLOCKING_CALLS: Final = 8
TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=5)
_REASON_CHARACTERS: Final = 300
_BODY_BYTES: Final = 4_096
_RETRIED: Final = frozenset({408, 425, 429})

NO_ANSWER: Final = Sentence("delivery.no_answer", "no answer within 10 s")
NO_CONNECTION: Final = Sentence("delivery.no_connection", "no connection: %(why)s")
NO_REDIRECT: Final = Sentence(
    "delivery.no_redirect", "HTTP %(status)s: a redirect is not followed; set the final address"
)

Proof = dict[str, Any]
"""What is kept of a receiver's response: a status, an id of its own."""


class DeliveryError(ZimwatchError):
    """A request failed. ``permanent``: trying the same again cannot help."""

    def __init__(self, message: str | Text, *, permanent: bool, retry_after_us: int | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after_us = retry_after_us


class _CheckingResolver(AbstractResolver):
    """Resolves a name only if each of its addresses may be called."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            self._guard.check(host, one["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Answer(msgspec.Struct, frozen=True):
    """A response. ``body`` is as it was received, cut where ``is_whole`` is false."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return _is_success(self.status)


class HttpClient:
    """Created in the running event loop; close it at the end, or use it as a context."""

    def __init__(
        self,
        allowed_hosts: Sequence[str] = (),
        *,
        threads: Threads = THREADS,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        self._pool = threads.pool("zimwatch-calls", BLOCKING_CALLS)
        self._guard = AddressGuard(allowed_hosts)
        connector = aiohttp.TCPConnector(resolver=_CheckingResolver(self._guard), limit_per_host=8)
        # Nothing is decompressed, so that a small response cannot become a large one.
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=False,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()
        self._pool.shutdown(wait=False)

    async def blocking(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs ``call``, which blocks and connects by itself, to :meth:`addresses`, in a thread."""
        return await run_in(self._pool, call, *args, **kwargs)

    def check(self, url: str) -> None:
        """DeliveryError where the address in ``url`` must not be called; a name is checked when it is resolved."""
        if (why := self._guard.refusal(url)) is not None:
            raise DeliveryError(why, permanent=True)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a name, for libraries that connect by themselves. Blocks until the name is resolved.

        RefusedAddressError unless all of them may be called.
        """
        infos = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)  # noqa: TID251 - of the HttpClient
        found = [str(info[4][0]) for info in infos]
        for one in found:
            self._guard.check(host, one)
        return found

    async def request(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        params: Sequence[tuple[str, str]] = (),
        most_bytes: int = _BODY_BYTES,
    ) -> Answer:
        """The response, whatever its status, with ``most_bytes`` of its body at most; DeliveryError where none came."""
        self.check(url)
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, params=params or None, allow_redirects=False
            ) as response:
                raw = bytearray()
                while len(raw) <= most_bytes and (more := await response.content.read(most_bytes + 1 - len(raw))):
                    raw += more
                whole = len(raw) <= most_bytes
                return Answer(response.status, response.headers, bytes(raw[:most_bytes]), whole)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise failure(error) from None

    async def send(
        self, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> tuple[int, str]:
        """Status and beginning of the body of a response with success; DeliveryError for any other."""
        answer = await self.request(method, url, body, headers)
        text = answer.body.decode(errors="replace")
        raise_for(answer.status, answer.headers, text)
        return answer.status, text


def failure(error: Exception) -> DeliveryError:
    """A request that got no response as a DeliveryError. Its text has no URL in it, of which a key may be part."""
    cause = error.__cause__ or getattr(error, "os_error", None) or error
    if isinstance(cause, RefusedAddressError):
        return DeliveryError(str(cause), permanent=True)
    if isinstance(error, TimeoutError):
        return DeliveryError(NO_ANSWER(), permanent=False)
    if isinstance(error, ValueError):  # aiohttp.InvalidURL is one
        return DeliveryError(BAD_URL(), permanent=True)
    number = getattr(cause, "errno", None)
    # asyncio's own text has the address in it. The number of a name that is not found is not one of errno.
    reason = os.strerror(number) if number is not None and number > 0 else getattr(cause, "strerror", None)
    return DeliveryError(NO_CONNECTION(why=reason or type(error).__name__), permanent=False)


def raise_for(status: int, headers: Mapping[str, str], text: str) -> None:
    """DeliveryError for any status but 2xx: permanent for redirects and most client errors."""
    if _is_success(status):
        return
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
        raise DeliveryError(NO_REDIRECT(status=status), permanent=True)
    permanent = status < 500 and status not in _RETRIED  # noqa: PLR2004 - HTTP's client errors
    raise DeliveryError(
        f"HTTP {status}: {one_line(text[:_REASON_CHARACTERS])}".rstrip(": "),
        permanent=permanent,
        retry_after_us=retry_after_us(headers),
    )


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's success
