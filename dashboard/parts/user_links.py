"""Addresses of the user list, for numbers and findings that lead to "who else?". Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from dashboard.text.times import iso
from sidecar.domain.events import Event
from sidecar.domain.happenings import Kind, happening
from sidecar.domain.units import MINUTE_US, MS_US

# How long before and after an event others are looked for.
AROUND_US: Final = 30 * MINUTE_US


@lru_cache(maxsize=2_048)  # a chart has some hundred bars, and is rendered again at every change
def happened_path(
    kind: Kind,
    *,
    within: str | None = None,
    from_us: int | None = None,
    until_us: int | None = None,
    app_id: int | None = None,
    platform: str | None = None,
    sdk_version: str | None = None,
    app_version: str | None = None,
) -> str:
    """The list of users to whom it happened within a duration such as ``1h``, or between two moments.

    The platform and the versions are those of the device on which it happened.
    """
    moments = {"from": from_us, "until": until_us}
    fields = {
        "happened": kind,
        "within": within,
        **{name: None if us is None else iso(us).replace(".000Z", "Z") for name, us in moments.items()},
        "app_id": app_id,
        "platform": platform,
        "sdk": sdk_version,
        "version": app_version,
    }
    return "/users?" + urlencode({name: value for name, value in fields.items() if value is not None}, safe=":")


def others_path(event: Event) -> str | None:
    """The users to whom the same happened within half an hour of an event, on its SDK version if it reports one.

    None for an event of which there are no such lists.
    """
    kind = happening(event)
    if kind is None:
        return None
    begin_us = (event.moment_us - AROUND_US) // MINUTE_US * MINUTE_US
    return happened_path(
        kind,
        from_us=begin_us,
        until_us=begin_us + 2 * AROUND_US + MINUTE_US,
        app_id=event.app_id,
        sdk_version=event.sdk_version,
    )


def as_of_path(status: str | None, end_us: int, now_us: int) -> str:
    """The list of the users there were, or of those with a status, just before a moment; now if that is yet to come."""
    fields = {"status": status, "as_of": iso(end_us - MS_US) if end_us <= now_us else None}
    return "/users?" + urlencode({name: value for name, value in fields.items() if value is not None})
