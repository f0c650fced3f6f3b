"""The fields of a query by which lists of users are filtered by what happened, of the API and of the pages alike.

``happened`` is its kind, and ``within`` a duration before now, or ``from`` and ``until`` two moments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sidecar.domain.happenings import KINDS
from sidecar.domain.texts import Sentence
from sidecar.settings import duration_us
from sidecar.store import schema
from sidecar.store.users.happenings import Happened
from sidecar.web.problem import Problem

FIELDS: Final = ("happened", "within", "from", "until")

_NO_KIND: Final = Sentence("happened.no_kind", "happened must be one of %(kinds)s")
_NO_DURATION: Final = Sentence("happened.no_duration", "within must be a duration such as 15m, 1h, 24h or 7d")
_NO_MOMENT: Final = Sentence("happened.no_moment", "%(name)s must be a moment such as 2026-11-23T14:03:20Z")
_ALONE: Final = Sentence("happened.alone", "%(name)s needs happened")
_BOTH: Final = Sentence("happened.both", "within cannot be combined with from and until")
_EMPTY: Final = Sentence("happened.empty", "until must be later than from")


def happened(get: Callable[[str], str | None], now_us: int, *, moment_us: Callable[[str], int]) -> Happened | None:
    """What must have happened to a user; None where ``get`` has no kind. 400 where a field is wrong.

    ``moment_us`` parses a moment; it raises ValueError or OverflowError where there is none.
    """
    within, begin, end = (get(name) or "" for name in FIELDS[1:])
    kind: Any = get("happened")
    if not kind:
        if given := next((name for name in FIELDS if get(name)), None):
            raise Problem(400, _ALONE(name=given))
        return None
    if kind not in KINDS:
        raise Problem(400, _NO_KIND(kinds=", ".join(KINDS)))
    if within and (begin or end):
        raise Problem(400, _BOTH())
    try:
        begin_us = now_us - duration_us(within) if within else 0
    except ValueError:
        raise Problem(400, _NO_DURATION()) from None
    if begin:
        begin_us = _moment(begin, "from", moment_us)
    end_us = _moment(end, "until", moment_us) if end else schema.LARGEST
    if end_us <= begin_us:
        raise Problem(400, _EMPTY())
    return Happened(kind=kind, begin_us=max(begin_us, 0), end_us=end_us)


def _moment(text: str, name: str, moment_us: Callable[[str], int]) -> int:
    try:
        return moment_us(text)
    except (ValueError, OverflowError):
        raise Problem(400, _NO_MOMENT(name=name)) from None
