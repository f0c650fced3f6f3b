"""Past moments as people type and paste them: ``yesterday 15:50``, ``11-23 15:50``, ``-1h``, ``3 minutes ago``.

Without an offset they are UTC; ``zimwatch.js`` adds the viewer's before it sends one. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from dashboard.text.times import from_text, moment
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}
_CHINESE: Final = {
    "\u79d2": "s",
    "\u5206": "m",
    "\u5c0f": "h",
    "\u65f6": "h",
    "\u5929": "d",
}
_SIGNS: Final = "-\N{MINUS SIGN}\N{EN DASH}"
_AGO: Final = re.compile(
    rf"(?P<sign>[{_SIGNS}])?\s*(?P<count>[0-9]{{1,6}})\s*"
    r"(?P<unit>s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?|d|days?|\u79d2\u949f?|\u5206\u949f?|\u5c0f\u65f6|\u65f6|\u5929)"
    r"\s*(?P<ago>ago|\u524d)?",
    re.IGNORECASE,
)
YESTERDAY: Final = marked("yesterday")
TODAY: Final = marked("today")
_DAYS: Final = {YESTERDAY: 1, TODAY: 0}
_CLOCK: Final = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]{1,9})?)?"
    r"\s*(?P<zone>UTC|Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_DAY_AND_CLOCK: Final = re.compile(
    rf"(?:(?P<date>[0-9]{{2}}-[0-9]{{2}})|(?P<word>[^\W\d]{{1,20}}))?\s*(?:{_CLOCK})?", re.IGNORECASE
)


def moment_of(text: str, now_us: int) -> tuple[int, bool]:
    """The moment in microseconds, and whether the text names it whatever the day on which it is read.

    ValueError if it is no moment. A time of day that is still to come today is yesterday's.
    """
    text = text.strip()
    found = _AGO.fullmatch(text)
    if found is not None and (found["sign"] or found["ago"]):
        unit = found["unit"]
        us = _UNITS[_CHINESE.get(unit[0], unit[0].lower())]
        return now_us - int(found["count"]) * us, False
    found = _DAY_AND_CLOCK.fullmatch(text)
    if found is not None and text:
        return _on_a_day(found, now_us), False
    return from_text(text), True


def _on_a_day(found: re.Match[str], now_us: int) -> int:
    """A time of a day without its year. ValueError if there is no such day or time."""
    zone = _zone(found["zone"])
    now = moment(now_us).astimezone(zone)
    day = _day(found, now)
    if day is None:
        raise ValueError("a day and a time of day are not there")
    if found["hour"] is None:
        at = day.replace(hour=0, minute=0, second=0, microsecond=0)
    else:
        second = int(found["second"] or 0)
        at = day.replace(hour=int(found["hour"]), minute=int(found["minute"]), second=second, microsecond=0)
    if not found["date"] and not found["word"] and at > now:
        at -= timedelta(days=1)
    return (at - _EPOCH) // timedelta(microseconds=1)


def _day(found: re.Match[str], now: datetime) -> datetime | None:
    if found["date"]:
        month, day = found["date"].split("-")
        return now.replace(day=1).replace(month=int(month), day=int(day))
    if found["word"]:
        back = next((days for word, days in _DAYS.items() if found["word"].lower() in {word, _(word).lower()}), None)
        return None if back is None else now - timedelta(days=back)
    return now if found["hour"] else None


def _zone(text: str | None) -> tzinfo:
    if text is None or text.upper() in {"UTC", "Z"}:
        return UTC
    return datetime.strptime(text, "%z").tzinfo or UTC
