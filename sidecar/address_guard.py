"""The guard of outgoing calls: which hosts and addresses may be called (SSRF, DNS rebinding).

Public addresses may be called, and loopback where the URL names it as such. Any other private address must be in
``alerts.allowed_hosts``, by name, address or network.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from yarl import URL

from sidecar.domain.texts import Sentence, Text

BAD_URL: Final = Sentence("delivery.bad_url", "the URL cannot be used")
UNUSUAL: Final = Sentence(
    "delivery.unusual_address", "%(host)s is an unusual spelling of an address; write it in the usual one"
)

# IPv6 networks that lead to an IPv4 address, and by how many bits that is shifted to the left: NAT64 (RFC 6052,
# RFC 8215), 6to4 (RFC 3056), compatible (RFC 4291), mapped and translated (RFC 2765).
_LEADS_TO_IPV4: Final = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::/96", 0),
        ("::ffff:0:0/96", 0),
        ("::ffff:0:0:0/96", 0),
        ("64:ff9b::/96", 0),
        ("64:ff9b:1::/48", 0),
        ("2002::/16", 80),
    )
)
# The only global unicast range of IPv6 (RFC 4291, section 2.4). ``_NOT_PUBLIC`` are the parts of it and of IPv4 that no
# public host uses: clouds have services for their machines in 192.0.0.0/24 (Oracle), which older releases of Python
# take for public, and at 168.63.129.16 (Azure).
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24"),
        *("2001::/23", "3ffe::/16", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)
# A host that ends in a number is an address for browsers and resolvers (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_ENDS_IN_NUMBER: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?\Z")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RefusedAddressError(OSError):
    """A host or an address that must not be called. An OSError, because it is raised where names are resolved."""


class AddressGuard:
    """``allowed``: names, addresses and networks that may be called although they are private."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.add(entry.lower())

    def check(self, host: str, resolved: str) -> None:
        """RefusedAddressError unless ``host`` may be called at the address that it resolved to."""
        name = host.strip("[]").rstrip(".").lower()
        address: Address = ipaddress.ip_address(resolved.partition("%")[0])
        inner = _ipv4_inside(address)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if _is_public(inner or address):
            return
        if address.is_loopback and (name == "localhost" or _literal(name) is not None):
            return
        if name in self._names or any(one in network for network in self._networks for one in (address, inner) if one):
            return
        found = "" if name == str(address) else f" is {address}, which"
        if inner not in {None, address}:
            found = f" is {address}, which leads to {inner} and"
        raise RefusedAddressError(f"{name}{found} is not a public address; to allow it, add it to alerts.allowed_hosts")

    def refusal(self, url: str) -> str | Text | None:
        """Why the address in ``url`` must not be called; None where it may be, or where the host is a name."""
        try:
            written, called = urlsplit(url).hostname or "", URL(url).raw_host or ""
        except ValueError:
            return BAD_URL()
        address = _literal(called)
        if address is None and not _ENDS_IN_NUMBER.search(called):
            return None
        if address is None or _literal(written) is None:
            # Full-width or hexadecimal digits, a lone number and the like: parsers differ in what they read in these.
            return UNUSUAL(host=written)
        try:
            self.check(called, str(address))
        except RefusedAddressError as error:
            return str(error)
        return None


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or any(address in network for network in _NOT_PUBLIC):
        return False
    return isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL_UNICAST


def _ipv4_inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to by a translator or a tunnel."""
    for network, shift in _LEADS_TO_IPV4:
        if address in network and int(address) > 1:  # :: and ::1 are themselves
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
    return None


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
