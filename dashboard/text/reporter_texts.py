"""What pages say of old taps and ports."""

from __future__ import annotations

from dashboard.text.language import ngettext
from sidecar.domain.outside_text import one_line
from sidecar.store.users.old_reporters import CURRENT, OldReporter


def told(old: OldReporter) -> str:
    """How many devices report through an old version, and which is current."""
    text = ngettext(
        "%(count)s device began to report through %(name)s %(version)s since yesterday; %(current)s is current",
        "%(count)s devices began to report through %(name)s %(version)s since yesterday; %(current)s is current",
        old.devices,
    )
    return text % {
        "count": f"{old.devices:,}",
        "name": one_line(old.name),
        "version": one_line(old.version),
        "current": CURRENT,
    }
