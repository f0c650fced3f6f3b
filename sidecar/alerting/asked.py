"""What people ask for: a silence, as the API, a form or a chat states it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from sidecar.domain.alerting.matching import MATCHED, Silence
from sidecar.domain.sentences import Sentence
from sidecar.errors import ZimwatchError
from sidecar.settings import duration_us

_LONGEST_US: Final = 366 * 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NO_REASON: Final = Sentence("reason is missing: say why, for those who wonder later")
NO_DURATION: Final = Sentence("duration: %(given)s is not a duration such as 45s, 15m, 24h or 90d")
NO_END: Final = Sentence("ends_at or duration is missing: a silence has an end")
ENDS_BEFORE: Final = Sentence("the silence would end before it begins")
TOO_LONG: Final = Sentence("a silence ends within a year")
NO_LABEL: Final = Sentence("matchers.%(name)s is no label; they are %(names)s")
NO_VALUE: Final = Sentence("matchers.%(name)s has no value")
NO_MATCHERS: Final = Sentence("matchers is empty: such a silence would hide every alert")
NO_OFFSET: Final = Sentence("%(name)s needs an offset from UTC, such as 2026-11-24T12:00:00Z")


class NotPossibleError(ZimwatchError):
    """What was asked for cannot be done; its text says why."""


class SilenceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``ends_at`` or ``duration`` says for how long; a matcher's value is one text, one number, or a list of them."""

    matchers: dict[str, int | str | list[int | str]]
    reason: str
    author: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    duration: str | None = None


def silence_of(given: SilenceRequest, who: str, now_us: int, app_id: int | None = None) -> Silence:
    """The silence that is asked for, without an id; NotPossibleError names what is wrong with it."""
    matchers = _matchers(given)
    if not given.reason.strip():
        raise NotPossibleError(NO_REASON())
    starts_us = now_us if given.starts_at is None else _us(given.starts_at, "starts_at")
    if given.ends_at is not None:
        ends_us = _us(given.ends_at, "ends_at")
    elif given.duration is not None:
        try:
            ends_us = starts_us + duration_us(given.duration)
        except ValueError:
            raise NotPossibleError(NO_DURATION(given=repr(given.duration))) from None
    else:
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
        author=(given.author or who).strip()[:200],
        reason=given.reason.strip()[:1_000],
        created_at_us=now_us,
        app_id=app_id,
    )


def _matchers(given: SilenceRequest) -> dict[str, tuple[str, ...]]:
    matchers = {}
    for name, value in given.matchers.items():
        values = tuple(str(one) for one in (value if isinstance(value, list) else [value]) if str(one))
        if name not in MATCHED:
            raise NotPossibleError(NO_LABEL(name=name, names=", ".join(MATCHED)))
        if not values:
            raise NotPossibleError(NO_VALUE(name=name))
        matchers[name] = values
    if not matchers:
        raise NotPossibleError(NO_MATCHERS())
    return matchers


def _us(moment: datetime, name: str) -> int:
    if moment.tzinfo is None:
        raise NotPossibleError(NO_OFFSET(name=name))
    return round((moment - _EPOCH).total_seconds() * 1_000_000)
