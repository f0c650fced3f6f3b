"""Moments and durations for display. Times are UTC here; the browser converts them to the viewer's zone.

Every written moment names its zone, so that it is unambiguous when pasted. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from dashboard.text.language import gettext as _
from dashboard.text.language import ngettext
from sidecar.alerting.payloads import time_text
from sidecar.domain.units import SECOND_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The range of datetime; a client's clock may be outside it.
_FIRST_US: Final = -62_135_596_800 * SECOND_US
_LAST_US: Final = 253_402_300_799 * SECOND_US
_OFFSET: Final = re.compile(r"[+-]?[0-9]{2}:?[0-9]{2}")


def moment(us: int) -> datetime:
    """Microseconds since the epoch as a datetime in UTC, clamped to the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=_shown(us))


def iso(us: int) -> str:
    """``2026-11-24T01:02:03.004Z``, for the ``datetime`` attribute of ``<time>``."""
    return time_text(_shown(us))


def _shown(us: int) -> int:
    return min(max(us, _FIRST_US), _LAST_US)


def clock_text(us: int) -> str:
    """``2026-11-24 01:02:03 UTC``; ``zimwatch.js`` finds and converts this form anywhere on a page."""
    return f"{moment(us).replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"


def hidden_part(text: str, now_us: int) -> int:
    """How many characters a list hides at the start of a :func:`clock_text`: the date of today, else this year."""
    now = clock_text(now_us)
    return next((size for size in (11, 5) if text[:size] == now[:size]), 0)


def time_of_day(us: int) -> str:
    """``01:02``."""
    return moment(us).strftime("%H:%M")


def from_text(text: str) -> int:
    """Microseconds of an RFC 3339 moment, or of one in the form of a page; UTC without an offset.

    A ``+`` that an address turned into a space is accepted. ValueError if it is not a moment.
    """
    found = datetime.fromisoformat(_with_offset(text.strip()))
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(microseconds=1)


def _with_offset(text: str) -> str:
    time, _blank, zone = text.rpartition(" ")
    if zone.upper() in {"UTC", "Z"}:
        return f"{time.rstrip()}+00:00"
    if _OFFSET.fullmatch(zone) and ":" in time:
        return f"{time.rstrip()}{'' if zone[0] in '+-' else '+'}{zone}"
    return text


def ago(us: int, now_us: int) -> str:
    """``3 minutes ago``; ``in 3 minutes`` for a moment in the future."""
    seconds = (now_us - us) // SECOND_US
    if seconds in {0, -1}:
        return _("now")
    size = abs(seconds)
    unit_s, past, future = next(unit for unit in _UNITS if size >= unit[0])
    return future(size // unit_s) if us > now_us else past(size // unit_s)


def _days_ago(count: int) -> str:
    return ngettext("%(count)s day ago", "%(count)s days ago", count) % {"count": count}


def _hours_ago(count: int) -> str:
    return ngettext("%(count)s hour ago", "%(count)s hours ago", count) % {"count": count}


def _minutes_ago(count: int) -> str:
    return ngettext("%(count)s minute ago", "%(count)s minutes ago", count) % {"count": count}


def _seconds_ago(count: int) -> str:
    return ngettext("%(count)s second ago", "%(count)s seconds ago", count) % {"count": count}


def _in_days(count: int) -> str:
    return ngettext("in %(count)s day", "in %(count)s days", count) % {"count": count}


def _in_hours(count: int) -> str:
    return ngettext("in %(count)s hour", "in %(count)s hours", count) % {"count": count}


def _in_minutes(count: int) -> str:
    return ngettext("in %(count)s minute", "in %(count)s minutes", count) % {"count": count}


def _in_seconds(count: int) -> str:
    return ngettext("in %(count)s second", "in %(count)s seconds", count) % {"count": count}


_UNITS: Final = (
    (86_400, _days_ago, _in_days),
    (3_600, _hours_ago, _in_hours),
    (60, _minutes_ago, _in_minutes),
    (1, _seconds_ago, _in_seconds),
)


def lasted(us: int) -> str:
    """A duration: ``3 min``, ``2 h``."""
    seconds = max(0, us // SECOND_US)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return _("%(count)s s") % {"count": seconds}
    if seconds < 3_600:  # noqa: PLR2004 - an hour
        return _("%(count)s min") % {"count": seconds // 60}
    if seconds < 2 * 86_400:
        return _("%(count)s h") % {"count": seconds // 3_600}
    return _("%(count)s d") % {"count": seconds // 86_400}


def took(us: int) -> str:
    """As :func:`lasted`, with tenths of a second below 10 s."""
    tenths = max(0, round(us / (SECOND_US // 10)))
    if tenths < 100:  # noqa: PLR2004 - 10 s
        return _("%(count)s s") % {"count": f"{tenths / 10:.1f}"}
    return lasted(us)


def at_most(us: int) -> str:
    """As :func:`lasted`, rounded up."""
    units = ((60, 1), (3_600, 60), (2 * 86_400, 3_600))
    unit_us = SECOND_US * next((unit for most, unit in units if us < most * SECOND_US), 86_400)
    return lasted(-(-us // unit_us) * unit_us)
