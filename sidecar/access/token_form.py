"""A token as the command line, the API or the page requests it, and what its maker may give away.

Nobody makes a token that may do more than they may, see other apps, or, where a token makes it, live longer. What a
person makes whom a provider or a proxy named always expires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from sidecar.access.policy import GRANTS, Role
from sidecar.access.principal import Principal, clean_name
from sidecar.access.refusals import NotAllowedError
from sidecar.domain import app_ids
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Sentence
from sidecar.domain.units import DAY_US
from sidecar.errors import ZimwatchError
from sidecar.settings import duration_us, wait_us
from sidecar.settings.value_kinds import Origin
from sidecar.store.access.tokens import NewToken
from sidecar.store.values import Token

NAME_CHARACTERS: Final = 100
ORIGINS_MOST: Final = 20
OVERLAP: Final = "24h"
_OVERLAP_LONGEST_US: Final = 90 * DAY_US
_LONGEST_US: Final = 3_660 * DAY_US
APP_DIGITS: Final = 19
OTHER_LONGEST_DAYS: Final = 90
SENDS_LONGEST_DAYS: Final = 366
"""How long a token is valid that somebody made whom a provider or a proxy named: of those who never return nobody says
that they left. One that only sends events is in apps, and shows nothing."""

_NO_SCOPE: Final = Sentence("token.no_scope", "scope: %(given)s is unknown; it is one of %(known)s")
_OTHER_SCOPE: Final = Sentence(
    "token.other_scope", "you may not make a token of scope %(scope)s; those that you may make: %(known)s"
)
NO_APP: Final = Sentence("token.no_app", "apps: %(given)s is no AppID")
_OTHER_APP: Final = Sentence("token.other_app", "you may not make a token for app %(app)s; your apps: %(apps)s")
_TOO_MANY_APPS: Final = Sentence("token.too_many_apps", "apps: a token has %(most)s at most")
_NO_APPS: Final = Sentence("token.no_apps", "apps is empty; leave it out for every app")
_NO_ORIGIN: Final = Sentence("token.no_origin", "origins: %(given)s is no origin such as https://app.example.com")
_TOO_MANY_ORIGINS: Final = Sentence("token.too_many_origins", "origins: a token has %(most)s at most")
_ORIGINS_OF_OTHER: Final = Sentence("token.origins_of_other", "origins: only a token of scope ingest has them")
_LONG_NAME: Final = Sentence("token.long_name", "name has more than %(most)s characters")
_NO_EXPIRES: Final = Sentence("token.no_expires", "expires: %(given)s is not a duration such as 24h or 90d")
_LATE: Final = Sentence("token.expires_late", "expires: a token is valid for ten years at most, or without end")
_OUTLIVES: Final = Sentence("token.outlives", "the token that makes it ends earlier; leave expires out to end with it")
_OUTLIVES_PERSON: Final = Sentence(
    "token.outlives_person",
    "expires: as a provider signs you in, a token of this scope that you make is valid for %(days)s days at most",
)
_NO_OVERLAP: Final = Sentence("token.no_overlap", "overlap: %(given)s is not a duration up to 90d, such as 0s or 24h")
_NOT_OWN: Final = Sentence("token.not_own", "a token may rotate itself and those that it made")


class TokenFormError(ZimwatchError):
    """No token can be as requested; the text says why."""


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``apps``: None for all that the maker may give; ``expires``: a duration, None for as long as it may be."""

    scope: str
    name: str = ""
    apps: list[int] | None = None
    origins: list[str] = []
    expires: str | None = None


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``overlap``: how long the old secret works."""

    overlap: str = OVERLAP


def new_token(given: TokenRequest, maker: Principal, now_us: int, *, made_by: str) -> NewToken:
    """The token to make. TokenFormError, or NotAllowedError where the maker may not give that away."""
    if given.scope not in {scope.value for scope in GRANTS[Role.LOCAL]}:
        raise TokenFormError(_NO_SCOPE(given=given.scope[:40], known=_listed(GRANTS[Role.LOCAL])))
    check_grants(maker, given.scope)
    if len(given.name) > NAME_CHARACTERS:
        raise TokenFormError(_LONG_NAME(most=NAME_CHARACTERS))
    return NewToken(
        scope=given.scope,
        name=clean_name(given.name),
        apps=_apps(given.apps, maker),
        origins=_origins(given),
        expires_at_us=_expires(given.expires, given.scope, maker, now_us),
        made_by=made_by,
        made_by_token=None if maker.token is None else maker.token.id,
        made_by_account=maker.account_id,
        made_by_identity=maker.identity,
    )


def may_grant(maker: Principal, scope: str) -> bool:
    """Whether the maker may make a token of this scope."""
    return Role(scope) in GRANTS.get(maker.role, ())


def check_grants(maker: Principal, scope: str) -> None:
    """NotAllowedError where the maker may not make a token of this scope."""
    if not may_grant(maker, scope):
        raise NotAllowedError(_OTHER_SCOPE(scope=scope, known=_listed(GRANTS.get(maker.role, ())) or "-"))


def could_make(role: str, apps: AppIds) -> Callable[[Token], bool]:
    """Whether a person with this role for these apps could make a token."""
    return lambda token: token.scope in GRANTS.get(Role(role), ()) and app_ids.has_all(apps, token.apps)


def sees(principal: Principal, token: Token) -> bool:
    """Whether the principal may see and revoke the token: one of its own apps alone."""
    return principal.apps is None or (token.apps is not None and token.apps <= principal.apps)


def may_rotate(principal: Principal, token: Token) -> bool:
    """Whether the principal may have the secret of the token's successor."""
    own = principal.token
    is_own = own is None or own.id in {token.id, token.made_by_token}
    return sees(principal, token) and may_grant(principal, token.scope) and is_own


def check_may_rotate(principal: Principal, token: Token) -> None:
    """NotAllowedError or TokenFormError where the principal may not have the secret of the token's successor."""
    check_grants(principal, token.scope)
    if not may_rotate(principal, token):
        raise TokenFormError(_NOT_OWN())


def overlap_us(given: str) -> int:
    """How long the old secret works. TokenFormError."""
    try:
        us = wait_us(given)
    except ValueError:
        us = -1
    if not 0 <= us <= _OVERLAP_LONGEST_US:
        raise TokenFormError(_NO_OVERLAP(given=given[:40]))
    return us


def end_of(maker: Principal, scope: str, now_us: int) -> int | None:
    """When a token of this scope that the maker makes ends at the latest; None for no end."""
    if maker.identity is not None:
        return now_us + _longest_days(scope) * DAY_US
    return None if maker.token is None else maker.token.expires_at_us


def _apps(given: list[int] | None, maker: Principal) -> frozenset[int] | None:
    if given is None:
        return maker.apps
    apps = frozenset(given)
    if not apps:
        raise TokenFormError(_NO_APPS())
    if len(apps) > app_ids.MOST:
        raise TokenFormError(_TOO_MANY_APPS(most=app_ids.MOST))
    for app_id in sorted(apps):
        if not 0 <= app_id <= app_ids.LARGEST:
            raise TokenFormError(NO_APP(given=app_id))
        if maker.apps is not None and app_id not in maker.apps:
            raise NotAllowedError(_OTHER_APP(app=app_id, apps=app_ids.listed(maker.apps)))
    return apps


def _origins(given: TokenRequest) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(given.origins))
    if origins and given.scope != Role.INGEST:
        raise TokenFormError(_ORIGINS_OF_OTHER())
    if len(origins) > ORIGINS_MOST:
        raise TokenFormError(_TOO_MANY_ORIGINS(most=ORIGINS_MOST))
    for origin in origins:
        try:
            msgspec.convert(origin, Origin)
        except msgspec.ValidationError:
            raise TokenFormError(_NO_ORIGIN(given=origin[:100])) from None
    return origins


def _longest_days(scope: str) -> int:
    return SENDS_LONGEST_DAYS if scope == Role.INGEST else OTHER_LONGEST_DAYS


def _expires(given: str | None, scope: str, maker: Principal, now_us: int) -> int | None:
    latest_us = end_of(maker, scope, now_us)
    if given is None:
        return latest_us
    try:
        lasts_us = duration_us(given)
    except ValueError:
        raise TokenFormError(_NO_EXPIRES(given=given[:40])) from None
    if lasts_us > _LONGEST_US:
        raise TokenFormError(_LATE())
    if latest_us is not None and now_us + lasts_us > latest_us:
        outlives = _OUTLIVES() if maker.identity is None else _OUTLIVES_PERSON(days=_longest_days(scope))
        raise NotAllowedError(outlives)
    return now_us + lasts_us


def _listed(scopes: tuple[Role, ...]) -> str:
    return ", ".join(scopes)
