"""Hours of some days of the week, by the clock of a place."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

import msgspec

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def zone(name: str) -> tzinfo:
    """The time zone with this name; UTC needs no time zone data. ZoneInfoNotFoundError or ValueError: there is none."""
    if name in {"UTC", "Etc/UTC"}:
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - the settings import this, and few name a zone

    return ZoneInfo(name)


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of some days, by the clock of a place. ``end`` before ``begin`` reaches into the next day."""

    begin: time
    end: time
    days: tuple[str, ...] = DAYS
    timezone: str = "UTC"

    def cover(self, now_us: int) -> bool:
        """Whether the moment lies in them; the day is the one on which they began."""
        moment = (_EPOCH + timedelta(microseconds=now_us)).astimezone(zone(self.timezone))
        at = moment.time()
        if self.begin < self.end:
            return self.begin <= at < self.end and DAYS[moment.weekday()] in self.days
        if at >= self.begin:
            return DAYS[moment.weekday()] in self.days
        return at < self.end and DAYS[(moment - timedelta(days=1)).weekday()] in self.days
