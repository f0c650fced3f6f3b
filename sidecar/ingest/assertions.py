"""Assertions: short-lived JWTs by which an app's backend vouches for the user whose events a request has.

An assertion that is not valid proves nothing, and costs nobody an event: where a proof is required, events without one
are rejected by name, else they are stored as unproven. An answer of 401 would have a reporter keep them and try for
ever.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError, MissingClaimError
from opentelemetry import metrics
from opentelemetry.metrics import Observation

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.http_client import HttpClient
from sidecar.ingest.assertion_keys import FetchedKeys, FixedKey, KeysAwayError
from sidecar.settings import AssertionSettings, Settings

HEADER: Final = "Zimwatch-Assertion"
LONGEST: Final = 4_096
# No assertion may be valid for longer; clocks may differ by the leeway.
LIFETIME_S: Final = 3_600
LEEWAY_S: Final = 60

_ANOTHER_APP: Final = "the assertion is for another app"
_ANOTHER_USER: Final = "the assertion is for another user"
_EDGE_HAS_NONE: Final = "this app requires a proof of the user, and the edge that took the event had none"
_MISSING: Final = "this app requires a proof of the user, and the request has none"

_RESULTS: Final = ("valid", "expired", "invalid", "keys_away")
_checked = dict.fromkeys(_RESULTS, 0)
metrics.get_meter("zimwatch").create_observable_counter(
    "zimwatch.assertions",
    [lambda _: [Observation(count, {"result": result}) for result, count in _checked.items()]],
    description="Assertions of apps' backends that were checked, by result",
)


class InvalidError(ZimwatchError):
    """The assertion proves nothing; the sentence says why."""


class Proof(msgspec.Struct, frozen=True):
    """Whom a valid assertion vouches for."""

    app_id: int
    user_id: str


class _App(msgspec.Struct, frozen=True):
    settings: AssertionSettings
    keys: FixedKey | FetchedKeys


class _Unverified(msgspec.Struct):
    """What is read before the signature is checked, to know by which key."""

    app_id: int
    kid: str | None = None


class Assertions:
    """The keys of the settings. While there are none, nothing is checked and nothing is proven or unproven."""

    def __init__(self, settings: Settings, clock: Clock, http: Callable[[Sequence[str]], HttpClient]) -> None:
        self._settings = settings
        self._clock = clock
        self._http = http
        self._made_from: tuple[AssertionSettings, ...] = ()
        self._apps: dict[int, _App] = {}

    @property
    def are_on(self) -> bool:
        """Whether any app has a key."""
        return bool(self._settings.ingest.assertions)

    def requires(self, app_id: int) -> bool:
        """Whether events of this app are rejected without a proof."""
        app = self._by_id().get(app_id)
        return app is not None and app.settings.require

    async def check(self, text: str) -> Proof:
        """Whom the assertion vouches for. InvalidError, or KeysAwayError where that cannot be said now."""
        try:
            proof = await self._check(text)
        except KeysAwayError:
            _checked["keys_away"] += 1
            raise
        except InvalidError:
            _checked["invalid"] += 1
            raise
        except ExpiredTokenError:
            _checked["expired"] += 1
            raise InvalidError("the assertion has expired") from None
        except MissingClaimError as error:
            _checked["invalid"] += 1
            raise InvalidError(f"the assertion has no {error.claim}") from None
        except (JoseError, ValueError) as error:
            _checked["invalid"] += 1
            raise InvalidError(f"the assertion is not valid: {getattr(error, 'description', '') or error}") from None
        _checked["valid"] += 1
        return proof

    async def _check(self, text: str) -> Proof:
        if len(text) > LONGEST:
            raise InvalidError(f"the assertion is longer than {LONGEST} characters")
        named = _unverified(text)
        app = self._by_id().get(named.app_id)
        if app is None:
            raise InvalidError("the assertion is for an app that has no key in ingest.assertions")
        key = await app.keys.find(named.kid)
        if key is None:
            raise InvalidError("the assertion is signed by a key that is not known")
        claims: dict[str, Any] = jwt.decode(text, key, algorithms=app.keys.algorithms).claims
        now_s = self._clock() // SECOND_US
        jwt.JWTClaimsRegistry(
            now_s,
            LEEWAY_S,
            sub={"essential": True},
            app_id={"essential": True},
            exp={"essential": True},
            aud={"essential": True, "value": app.settings.audience},
        ).validate(claims)
        if claims["app_id"] != named.app_id:
            raise InvalidError("the assertion names two apps")
        if claims["exp"] > now_s + LIFETIME_S + LEEWAY_S:
            raise InvalidError(f"the assertion is valid for longer than {LIFETIME_S} s")
        return Proof(named.app_id, claims["sub"])

    def judge(self, event: Event, proof: Proof | None, why: str | None) -> Event:
        """The event with its mark. ValueError where it is to be rejected. ``why``: why an assertion proves nothing.

        An event without a user has nothing to prove, and changes no user: it is as if the app had no key.
        """
        if proof is not None:
            if event.app_id != proof.app_id:
                raise ValueError(_ANOTHER_APP)
            if event.user_id is None:
                return event
            if event.user_id != proof.user_id:
                raise ValueError(_ANOTHER_USER)
            return msgspec.structs.replace(event, proven=True)
        if event.user_id is None or event.app_id not in self._by_id():
            return event
        if self.requires(event.app_id):
            raise ValueError(why or _MISSING)
        return msgspec.structs.replace(event, proven=False)

    def judge_of_edge(self, event: Event) -> Event:
        """The event of an edge, which has checked the assertions itself, with its mark; ValueError as :meth:`judge`."""
        if event.proven or event.user_id is None or event.app_id not in self._by_id():
            return event
        if self.requires(event.app_id):
            raise ValueError(_EDGE_HAS_NONE)
        return msgspec.structs.replace(event, proven=False)

    def _by_id(self) -> dict[int, _App]:
        """By AppID; made again when the settings have changed."""
        listed = self._settings.ingest.assertions
        if listed is not self._made_from:
            self._apps = {one.app_id: _App(one, self._keys(one)) for one in listed}
            self._made_from = listed
        return self._apps

    def _keys(self, one: AssertionSettings) -> FixedKey | FetchedKeys:
        if one.jwks_url is None:
            return FixedKey(one)
        return FetchedKeys(
            one.app_id, one.jwks_url, lambda: self._http(self._settings.alerts.allowed_hosts), self._clock
        )


def _unverified(text: str) -> _Unverified:
    try:
        header, payload, _ = text.split(".")
        named = msgspec.json.decode(_decoded(payload), type=_Unverified)
        kid = msgspec.json.decode(_decoded(header), type=dict[str, Any]).get("kid")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidError("the assertion is no JWT with an app_id") from None
    return msgspec.structs.replace(named, kid=kid if isinstance(kid, str) else None)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
