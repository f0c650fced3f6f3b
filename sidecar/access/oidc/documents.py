"""The provider's discovery document and keys, fetched when they are needed and kept in memory.

Guarantees: the document is of the issuer in the settings, and leads to no plain HTTP and to no address on loopback that
the issuer's own would not; a key that is not known yet is looked for at most once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from sidecar.access.oidc.errors import UNREACHABLE, UNUSABLE, ProviderError
from sidecar.access.proxies import is_loopback
from sidecar.clock import Clock
from sidecar.domain.units import HOUR_US, MINUTE_US, SECOND_US
from sidecar.http_client import Answer, DeliveryError, HttpClient

T = TypeVar("T")
log = structlog.stdlib.get_logger(__name__)

MOST_BYTES: Final = 262_144
MOST_KEYS: Final = 100
_METADATA_FRESH_US: Final = HOUR_US
# No longer, because a key that the provider has taken back is accepted until then.
_KEYS_FRESH_US: Final = 5 * MINUTE_US
_KEYS_AGAIN_US: Final = MINUTE_US
_FAILED_AGAIN_US: Final = 5 * SECOND_US
_KEY_TYPES: Final = ("RSA", "EC", "OKP")


class Metadata(msgspec.Struct, frozen=True):
    """What is used of the discovery document (OpenID Connect Discovery 1.0, section 3; RFC 9207, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Kept(Generic[T]):
    """A document in memory for ``fresh_us``, fetched by one caller at a time.

    Where fetching fails the former one is used. There is no other attempt within ``again_us`` of a success that was to
    be newer, and within five seconds of a failure.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Clock, *, fresh_us: int, again_us: int) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fresh_us = fresh_us
        self._again_us = again_us
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._fetched_us = 0
        self._failure: ProviderError | None = None
        self._failed_us = 0

    async def get(self, *, newer: bool = False) -> T:
        """The document; ``newer``: fetched now, where that is allowed already. ProviderError where there is none."""
        async with self._lock:
            now_us = self._clock()
            age_us = abs(now_us - self._fetched_us)
            if self._value is not None and age_us < (self._again_us if newer else self._fresh_us):
                return self._value
            if self._failure is None or abs(now_us - self._failed_us) >= _FAILED_AGAIN_US:
                try:
                    self._value, self._fetched_us, self._failure = await self._fetch(), now_us, None
                except ProviderError as error:
                    log.warning("the OpenID Connect provider failed", problem=str(error))
                    self._failure, self._failed_us = error, now_us
            if self._value is not None:
                return self._value
            raise self._failure or ProviderError(UNREACHABLE(why="?"))


class Documents:
    """The documents of one issuer."""

    def __init__(self, issuer: str, http: Callable[[], HttpClient], clock: Clock) -> None:
        self._issuer = issuer
        self._http = http
        self.metadata: Final = Kept(self._metadata, clock, fresh_us=_METADATA_FRESH_US, again_us=_METADATA_FRESH_US)
        self.keys: Final = Kept(self._keys, clock, fresh_us=_KEYS_FRESH_US, again_us=_KEYS_AGAIN_US)

    async def _metadata(self) -> Metadata:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        found = decoded(await self._get(url), Metadata, "discovery document")
        if found.issuer != self._issuer:
            raise _unusable("discovery document", f"its issuer is {found.issuer}, that of the settings {self._issuer}")
        called = {
            name: str(url)
            for name in found.__struct_fields__
            if "_endpoint" in name or name == "jwks_uri"
            if isinstance(url := getattr(found, name), str)
        }
        for name, endpoint in called.items():
            if not may_lead_to(self._issuer, endpoint):
                raise _unusable("discovery document", f"its {name} is no address that the issuer may lead to")
        return found

    async def _keys(self) -> KeySet:
        answer = await self._get((await self.metadata.get()).jwks_uri)
        given = decoded(answer, _Jwks, "key set").keys[:MOST_KEYS]
        keys = [key for one in given if (key := _key(one)) is not None]
        if not keys:
            raise _unusable("key set", "it has no key to verify signatures with")
        return KeySet(keys)

    async def _get(self, url: str) -> Answer:
        return await call(self._http(), "GET", url)


async def call(
    http: HttpClient,
    method: str,
    url: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    most_bytes: int = MOST_BYTES,
) -> Answer:
    """The answer of the provider, whatever its status, but no 429 and 5xx; ProviderError for those, and for none."""
    try:
        answer = await http.request(
            method, url, body, {"Accept": "application/json"} | (headers or {}), most_bytes=most_bytes
        )
    except DeliveryError as error:
        raise ProviderError(UNREACHABLE(why=error.text)) from None
    if answer.status == 429 or answer.status >= 500:  # noqa: PLR2004 - HTTP's "later" and failures of servers
        raise ProviderError(UNREACHABLE(why=f"HTTP {answer.status}"))
    return answer


def decoded(answer: Answer, kind: type[T], document: str) -> T:
    """The JSON of an answer with success; ProviderError for any other."""
    if not answer.is_success:
        raise _unusable(document, f"HTTP {answer.status}")
    if not answer.is_whole:
        raise _unusable(document, f"it has more than {len(answer.body)} bytes")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise _unusable(document, str(error)) from None


def _key(given: dict[str, Any]) -> Key | None:
    """A public key to verify signatures with; None for any other, such as a shared secret, and one that is damaged."""
    if given.get("kty") not in _KEY_TYPES or given.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(given)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def may_lead_to(issuer: str, endpoint: str) -> bool:
    """No weaker than the issuer: a document fetched over TLS leads to TLS, and one of elsewhere not to this machine."""
    try:
        own, other = urlsplit(issuer), urlsplit(endpoint)
        other.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return False
    if other.scheme not in {"https", own.scheme} or other.scheme not in {"http", "https"} or not other.hostname:
        return False
    return is_loopback(own.hostname) or not is_loopback(other.hostname)


def _unusable(document: str, why: str) -> ProviderError:
    return ProviderError(UNUSABLE(document=document, why=why))
