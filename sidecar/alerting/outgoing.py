"""HTTP and mail to addresses from the settings, without letting a name lead where nobody meant it to.

A name may come to point at this machine, its network or a cloud's metadata service (SSRF, DNS rebinding). So a name is
resolved once, every address of it is checked, and the connection is made to just those addresses. An address on
loopback that the settings write out is meant; any other private one has to be in the list of what is allowed.
Redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from sidecar.domain.sentences import Sentence
from sidecar.errors import ZimwatchError

TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=5)
_MOST_TOLD: Final = 300
_RETRIED: Final = frozenset({408, 425, 429})

NO_ANSWER: Final = Sentence("no answer within 10 s")
BAD_URL: Final = Sentence("the URL cannot be used")
NO_CONNECTION: Final = Sentence("no connection: %(why)s")
NO_REDIRECT: Final = Sentence("HTTP %(status)s: a redirect is not followed; set the final address")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class DeliveryError(ZimwatchError):
    """A receiver has not taken a message. ``permanent``: trying the same again cannot help."""

    def __init__(self, message: str, *, permanent: bool, retry_after_us: int | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after_us = retry_after_us


class RefusedAddressError(OSError):
    """A name or an address that must not be called. An OSError, because it is raised where names are resolved."""


class Allowed:
    """Names, addresses and networks that may be called although they are private."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.add(entry.lower())

    def check(self, host: str, address: Address) -> None:
        """RefusedAddressError unless ``host`` may be called at ``address``."""
        name = host.strip("[]").lower()
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_global and not address.is_multicast:
            return
        if address.is_loopback and (name == "localhost" or _literal(name) is not None):
            return
        if name in self._names or any(address in network for network in self._networks):
            return
        raise RefusedAddressError(
            f"{name} is {address}, which is not public; name it in alerts.allowed_hosts if it is meant"
        )


class _CheckingResolver(AbstractResolver):
    """Gives the addresses of a name only if every one of them may be called."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            self._allowed.check(host, ipaddress.ip_address(one["host"].partition("%")[0]))
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Outgoing:
    """A client for what the settings name. Made in the running event loop; close it at the end."""

    def __init__(self, allowed_hosts: Sequence[str] = ()) -> None:
        self._allowed = Allowed(allowed_hosts)
        connector = aiohttp.TCPConnector(resolver=_CheckingResolver(self._allowed), limit_per_host=8)
        self.session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=False)

    async def close(self) -> None:
        """Lets go of the connections."""
        await self.session.close()

    def check(self, url: str) -> None:
        """DeliveryError where the address in ``url`` must not be called; a name is checked when it is resolved."""
        host = urlsplit(url).hostname or ""
        address = _literal(host)
        if address is not None:
            try:
                self._allowed.check(host, address)
            except RefusedAddressError as error:
                raise DeliveryError(str(error), permanent=True) from None

    def addresses(self, host: str, port: int) -> list[str]:
        """What a name stands for, for what connects by itself; RefusedAddressError unless all of it may be called.

        Blocks until the name is resolved.
        """
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for one in found:
            self._allowed.check(host, ipaddress.ip_address(one.partition("%")[0]))
        return found

    async def send(
        self, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> tuple[int, str]:
        """The status and the beginning of the answer of a request that was taken; DeliveryError for any other."""
        self.check(url)
        try:
            async with self.session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                raw = await response.content.read(4_096)
                told = raw.decode(errors="replace")
                raise_for(response.status, response.headers, told)
                return response.status, told
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure(error) from None


def failure(error: Exception) -> DeliveryError:
    """A request that got no answer, as an error of ours. Its text has no address in it: a key may be part of that."""
    cause = error.__cause__ or getattr(error, "os_error", None) or error
    if isinstance(cause, RefusedAddressError):
        return DeliveryError(str(cause), permanent=True)
    if isinstance(error, TimeoutError):
        return DeliveryError(NO_ANSWER(), permanent=False)
    if isinstance(error, aiohttp.InvalidURL):
        return DeliveryError(BAD_URL(), permanent=True)
    number = getattr(cause, "errno", None)
    # asyncio puts the address into its own text. A name that is not found has a number that the system does not know.
    told = os.strerror(number) if number is not None and number > 0 else getattr(cause, "strerror", None)
    return DeliveryError(NO_CONNECTION(why=told or type(error).__name__), permanent=False)


def raise_for(status: int, headers: Mapping[str, str], told: str) -> None:
    """DeliveryError for any status but success: what the other side may mend is tried again."""
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's success
        return
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
        raise DeliveryError(NO_REDIRECT(status=status), permanent=True)
    permanent = status < 500 and status not in _RETRIED  # noqa: PLR2004 - HTTP's client errors
    raise DeliveryError(
        f"HTTP {status}: {told[:_MOST_TOLD]}".rstrip(": "), permanent=permanent, retry_after_us=retry_after_us(headers)
    )


def retry_after_us(headers: Mapping[str, str]) -> int | None:
    """What ``Retry-After`` asks for in seconds. Its other form, a date, is passed over: clocks differ."""
    text = str(headers.get("Retry-After", "")).strip()
    return int(text) * 1_000_000 if text.isascii() and text.isdigit() and len(text) < 9 else None  # noqa: PLR2004


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


Proof = dict[str, Any]
"""What a receiver answered, as it is kept: a status, an id of its own."""
