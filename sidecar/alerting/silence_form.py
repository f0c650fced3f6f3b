"""A silence as the API, a form or a chat requests it, and its validation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.tables import silence_rows
from sidecar.domain import app_ids
from sidecar.domain.alerts.labels import MATCHED
from sidecar.domain.alerts.matched_values import values_instead
from sidecar.domain.alerts.routing import Silence, matches
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Sentence
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.settings import duration_us
from sidecar.store import Store
from sidecar.store.values import Publishing

_LONGEST_US: Final = 366 * DAY_US
# Each is compared with each alert.
VALUES_MOST: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NO_REASON: Final = Sentence("silence.no_reason", "reason is missing: give one, for those who read it later")
NO_DURATION: Final = Sentence(
    "silence.no_duration", "duration: %(given)s is not a duration such as 45s, 15m, 24h or 90d"
)
NO_END: Final = Sentence("silence.no_end", "ends_at or duration is missing: a silence has an end")
ENDS_BEFORE: Final = Sentence("silence.ends_before", "the silence would end before it begins")
TOO_LONG: Final = Sentence("silence.too_long", "a silence ends within a year")
NO_LABEL: Final = Sentence("silence.no_label", "matchers.%(name)s is no label; they are %(names)s")
NO_VALUE: Final = Sentence("silence.no_value", "matchers.%(name)s has no value")
UNKNOWN_VALUE: Final = Sentence(
    "silence.unknown_value", "matchers.%(name)s: %(given)s is unknown; it is one of %(known)s"
)
TOO_MANY_VALUES: Final = Sentence(
    "silence.too_many_values", "matchers have %(count)s values together; a silence has %(most)s at most"
)
NO_MATCHERS: Final = Sentence("silence.no_matchers", "matchers is empty: such a silence would hide every alert")
TOO_MANY: Final = Sentence(
    "silence.too_many", "%(most)s silences have not ended, which is the limit: end those that are no longer needed"
)
NO_APP: Final = Sentence("silence.no_app", "matchers.app_id: %(given)s is none of your apps: %(own)s")
NO_OFFSET: Final = Sentence("silence.no_offset", "%(name)s needs an offset from UTC, such as 2026-11-24T12:00:00Z")


class NotPossibleError(ZimwatchError):
    """The request cannot be done; its text has the reason."""


class SilenceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Until ``ends_at``, or for ``duration``. A matcher's value is a text, a number, or a list of them."""

    matchers: dict[str, int | str | list[int | str]]
    reason: str
    author: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    duration: str | None = None


def silence_of(given: SilenceRequest, who: str, now_us: int, own: AppIds = None) -> Silence:
    """The requested silence, without an id; NotPossibleError names what is wrong with it.

    It hides alerts of the apps that the request is limited to only, which are ``own``.
    """
    matchers = _matchers(given)
    if own is not None:
        matchers["app_id"] = _own_apps(matchers.get("app_id", ("*",)), own)
    if not given.reason.strip():
        raise NotPossibleError(NO_REASON())
    starts_us = now_us if given.starts_at is None else _us(given.starts_at, "starts_at")
    ends_us = end_of(given.ends_at, given.duration, starts_us)
    if ends_us is None:
        raise NotPossibleError(NO_END())
    if ends_us <= max(starts_us, now_us):
        raise NotPossibleError(ENDS_BEFORE())
    if ends_us - now_us > _LONGEST_US:
        raise NotPossibleError(TOO_LONG())
    return Silence(
        id=0,
        matchers=matchers,
        starts_at_us=starts_us,
        ends_at_us=ends_us,
        author=who,
        reason=given.reason.strip()[:1_000],
        created_at_us=now_us,
    )


def end_of(ends_at: datetime | None, duration: str | None, starts_us: int) -> int | None:
    """The end of what begins at ``starts_us``, None where neither is given; NotPossibleError names the wrong one."""
    if ends_at is not None:
        return _us(ends_at, "ends_at")
    if duration is None:
        return None
    try:
        return starts_us + duration_us(duration)
    except ValueError:
        raise NotPossibleError(NO_DURATION(given=repr(duration))) from None


async def create(
    store: Store, add: Callable[[sa.Connection, Silence], Publishing[Silence | None]], wanted: Silence
) -> Silence:
    """Stores a silence by ``add``, and returns it with its id; NotPossibleError where too many have not ended."""
    created = await store.write(add, wanted)
    if created is None:
        raise NotPossibleError(TOO_MANY(most=silence_rows.SILENCES_MOST))
    return created


def named(silence: Silence) -> str:
    """The silence in the audit log."""
    return f"silence {silence.id}"


def _matchers(given: SilenceRequest) -> dict[str, tuple[str, ...]]:
    matchers = {}
    for name, value in given.matchers.items():
        values = tuple(str(one) for one in (value if isinstance(value, list) else [value]) if str(one))
        if name not in MATCHED:
            raise NotPossibleError(NO_LABEL(name=name, names=", ".join(MATCHED)))
        if not values:
            raise NotPossibleError(NO_VALUE(name=name))
        for one in values:
            if (known := values_instead(name, one)) is not None:
                raise NotPossibleError(UNKNOWN_VALUE(name=name, given=repr(one), known=", ".join(known)))
        matchers[name] = values
    if not matchers:
        raise NotPossibleError(NO_MATCHERS())
    if (count := sum(map(len, matchers.values()))) > VALUES_MOST:
        raise NotPossibleError(TOO_MANY_VALUES(count=count, most=VALUES_MOST))
    return matchers


def _own_apps(wanted: tuple[str, ...], own: frozenset[int]) -> tuple[str, ...]:
    """Those of the apps that are wanted, whose values may have ``*``."""
    found = tuple(one for one in map(str, sorted(own)) if matches({"app_id": wanted}, {"app_id": one}))
    if not found:
        raise NotPossibleError(NO_APP(given=", ".join(wanted), own=app_ids.listed(own)))
    return found


def _us(moment: datetime, name: str) -> int:
    if moment.tzinfo is None:
        raise NotPossibleError(NO_OFFSET(name=name))
    return round((moment - _EPOCH).total_seconds() * SECOND_US)
