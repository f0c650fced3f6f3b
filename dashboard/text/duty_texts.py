"""Duties, as words."""

from __future__ import annotations

from typing import Final

from dashboard.text.language import gettext, marked
from sidecar.domain.outside_text import one_line
from sidecar.store import duties

_TEXTS: Final = {
    duties.LEASES: marked("silent devices"),
    duties.RETENTION: marked("retention"),
    duties.ERASING: marked("erasing users"),
    duties.RULES: marked("alert rules"),
    duties.SPANS: marked("span export"),
    duties.ZEGO: marked("queries of ZEGO’s server"),
    duties.CANARY: marked("canary"),
}


def duty_text(duty: str) -> str:
    """A duty in a word or two."""
    if (receiver := duties.receiver_of(duty)) is not None:
        return gettext("alerts to %(receiver)s") % {"receiver": one_line(receiver)}
    return gettext(_TEXTS[duty])
