"""The keys of one app: its secret, its public key, or the public keys at an address (JWKS), kept and fetched again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from sidecar.clock import Clock
from sidecar.domain.units import HOUR_US, MINUTE_US, SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.http_client import DeliveryError, HttpClient, raise_for
from sidecar.settings import AssertionSettings

Key = OctKey | RSAKey | ECKey | OKPKey
SYMMETRIC: Final = ("HS256",)
ASYMMETRIC: Final = ("RS256", "PS256", "ES256", "Ed25519")
# Fetched keys are fetched again after REFRESH_US, and hold for as long as LAST_US without an answer.
REFRESH_US: Final = 10 * MINUTE_US
LAST_US: Final = 24 * HOUR_US
# An assertion can name any key: so often at most that is looked up.
FETCH_EVERY_US: Final = 30 * SECOND_US
JWKS_BYTES: Final = 65_536
KEYS_MOST: Final = 32
_RSA_BITS: Final = 2_048

_log = structlog.stdlib.get_logger(__name__)


class KeysAwayError(ZimwatchError):
    """The keys of an app have never been fetched, or not for too long."""

    def __init__(self, app_id: int) -> None:
        super().__init__(f"the keys of app {app_id} cannot be fetched now")


class FixedKey:
    """The key of the settings. ZimwatchError with the rest of a sentence where it is none."""

    def __init__(self, settings: AssertionSettings) -> None:
        self.algorithms: Sequence[str] = ASYMMETRIC
        if settings.secret is not None:
            self.algorithms = SYMMETRIC
            self._key: Key = OctKey.import_key(settings.secret)
        else:
            self._key = _public(settings.public_key or "")

    async def find(self, _kid: str | None) -> Key:
        """The key, whatever the assertion names."""
        return self._key


class FetchedKeys:
    """The public keys at an address."""

    algorithms: Sequence[str] = ASYMMETRIC

    def __init__(self, app_id: int, url: str, http: Callable[[], HttpClient], clock: Clock) -> None:
        self._app_id = app_id
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_us = 0
        self._tried_us: int | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> Key | None:
        """The key of this name; without a name the only one. None where there is none, KeysAwayError without any.

        Waits for a fetch only where the key is not known.
        """
        now_us = self._clock()
        if self._keys is not None and now_us - self._fetched_us > LAST_US:
            self._keys = None
        found = self._known(kid)
        if found is None or now_us - self._fetched_us > REFRESH_US:
            fetching = self._fetch(now_us)
            if found is None and fetching is not None:
                await asyncio.shield(fetching)
                found = self._known(kid)
        if self._keys is None:
            raise KeysAwayError(self._app_id)
        return found

    def _known(self, kid: str | None) -> Key | None:
        if self._keys is None:
            return None
        try:
            return self._keys.get_by_kid(kid)
        except JoseError:
            return None

    def _fetch(self, now_us: int) -> asyncio.Task[None] | None:
        """The fetch that runs; None where the last one was a moment ago."""
        if self._fetching is None or self._fetching.done():
            if self._tried_us is not None and 0 <= now_us - self._tried_us < FETCH_EVERY_US:
                return None
            self._tried_us = now_us
            self._fetching = asyncio.create_task(self._fetch_once(), name=f"keys of app {self._app_id}")
        return self._fetching

    async def _fetch_once(self) -> None:
        try:
            async with self._http() as http:
                answer = await http.request("GET", self._url, most_bytes=JWKS_BYTES)
            raise_for(answer.status, answer.headers, answer.body.decode(errors="replace"))
            self._keys = key_set(answer.body)
            self._fetched_us = self._clock()
        except (DeliveryError, ValueError) as error:
            _log.warning("the keys of an app cannot be fetched", app_id=self._app_id, problem=str(error))


def key_set(body: bytes) -> KeySet:
    """The public keys that a document has; those of kinds that are not known are left out. ValueError without any."""
    try:
        listed = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("keys", msgspec.Raw(b"[]"))
        keys = [one for one in msgspec.json.decode(listed, type=list[dict[str, object]]) if one.get("kty") != "oct"]
        if len(keys) > KEYS_MOST:
            raise ValueError(f"it has more than {KEYS_MOST} keys")
        return KeySet.import_key_set({"keys": keys})  # type: ignore[typeddict-item]
    except (JoseError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ValueError(f"it has no keys (JWKS): {error}") from None


def key_problem(settings: AssertionSettings) -> str | None:
    """Why the key of the settings is none: the rest of a sentence; None where it is good, or to be fetched."""
    if settings.secret is None and settings.public_key is None:
        return None
    try:
        FixedKey(settings)
    except (ZimwatchError, JoseError, ValueError) as error:
        return str(error)
    return None


def _public(pem: str) -> Key:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key: Key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
        if key.is_private:
            raise ZimwatchError("is a private key, which only the app's backend may have; give its public key")
        if isinstance(key, RSAKey) and key.raw_value.key_size < _RSA_BITS:
            raise ZimwatchError(f"must have {_RSA_BITS} bits at least")
        return key
    raise ZimwatchError("must be a public key in PEM: RSA, P-256 or Ed25519")
