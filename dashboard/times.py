"""Moments and durations as people read them. Times are UTC here; the browser turns them into the viewer's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from dashboard.language import gettext as _
from dashboard.language import ngettext
from sidecar.alerting.views import time_text

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# What datetime can show; a client's clock may claim anything else.
_FIRST_US: Final = -62_135_596_800 * SECOND_US
_LAST_US: Final = 253_402_300_799 * SECOND_US


def moment(us: int) -> datetime:
    """Microseconds since the epoch as a datetime in UTC, held within the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=_shown(us))


def iso(us: int) -> str:
    """``2026-11-24T01:02:03.004Z``, for the ``datetime`` attribute of ``<time>``."""
    return time_text(_shown(us))


def _shown(us: int) -> int:
    return min(max(us, _FIRST_US), _LAST_US)


def clock_text(us: int) -> str:
    """``2026-11-24 01:02:03``."""
    return moment(us).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(us: int) -> str:
    """``01:02``."""
    return moment(us).strftime("%H:%M")


def from_text(text: str) -> int:
    """Microseconds of an RFC 3339 moment; one without an offset is UTC. ValueError where it is none."""
    found = datetime.fromisoformat(text.strip())
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(microseconds=1)


def ago(us: int, now_us: int) -> str:
    """``3 minutes ago``; a moment that a client's clock puts in the future is ``in 3 minutes``."""
    seconds = (now_us - us) // SECOND_US
    if seconds in {0, -1}:
        return _("now")
    size = abs(seconds)
    for unit_s, past, future in (
        (86_400, _days_ago, _in_days),
        (3_600, _hours_ago, _in_hours),
        (60, _minutes_ago, _in_minutes),
        (1, _seconds_ago, _in_seconds),
    ):
        if size >= unit_s:
            return past(size // unit_s) if seconds > 0 else future(size // unit_s)
    return _("now")


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


def lasted(us: int) -> str:
    """``3 min``, ``2 h``: how long something took."""
    seconds = max(0, us) // SECOND_US
    if seconds < 60:  # noqa: PLR2004 - a minute
        return _("%(count)s s") % {"count": seconds}
    if seconds < 3_600:  # noqa: PLR2004 - an hour
        return _("%(count)s min") % {"count": seconds // 60}
    if seconds < 2 * 86_400:
        return _("%(count)s h") % {"count": seconds // 3_600}
    return _("%(count)s d") % {"count": seconds // 86_400}
