"""Addresses of the user list, for numbers and findings that lead to "who else?". Pure."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlencode

from dashboard.text.times import iso
from sidecar.domain.happenings import Kind
from sidecar.domain.units import MS_US


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


def as_of_path(status: str | None, end_us: int, now_us: int) -> str:
    """The list of the users there were, or of those with a status, just before a moment; now if that is yet to come."""
    fields = {"status": status, "as_of": iso(end_us - MS_US) if end_us <= now_us else None}
    return "/users?" + urlencode({name: value for name, value in fields.items() if value is not None})
