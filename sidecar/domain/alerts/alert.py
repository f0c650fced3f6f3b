"""An alert: its kind, subject, state and times, and whether its notifications are suppressed."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

import msgspec

from sidecar.domain.texts import Text

Kind = str
"""Of :data:`sidecar.domain.alerts.rules.KINDS`."""
Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the least severe on."""
State = Literal["firing", "resolved"]
FIRING: Final = "firing"
RESOLVED: Final = "resolved"

# Why an alert notifies nobody. One that a silence suppresses is notified when the silence ends.
SUPPRESSED_LATE: Final = "late"
SUPPRESSED_STORM: Final = "storm"
SUPPRESSED_PING_PONG: Final = "ping_pong"
SUPPRESSED_FLAPPING: Final = "flapping"
SUPPRESSED_SILENCED: Final = "silenced"
# Alerts about a watched user notify all the same.
OVERRULED_BY_WATCH: Final = frozenset({SUPPRESSED_STORM, SUPPRESSED_PING_PONG, SUPPRESSED_FLAPPING})


class Subject(msgspec.Struct, frozen=True):
    """What an alert is about: a user, an app, or (with neither) ``other``, a part of Zimwatch itself.

    ``other`` also distinguishes two alerts of one kind about one app or user.
    """

    app_id: int | None = None
    user_id: str | None = None
    other: str = ""


class Alert(msgspec.Struct, kw_only=True):
    """``started_at_us`` is when its cause happened, ``opened_at_us`` when it opened here.

    ``due_us`` is when time alone resolves it. ``facts`` is the state that its rule keeps. ``suppressed_by``: why nobody
    is notified. ``routed``: it has notifications. ``notified``: one of them became a message. ``repeat_us``: when it is
    notified again if it still fires.
    """

    id: int
    kind: Kind
    fingerprint: str
    severity: Severity
    subject: Subject
    started_at_us: int
    opened_at_us: int
    summary: Text
    labels: dict[str, str] = {}
    state: State = FIRING
    ended_at_us: int | None = None
    end_reason: Text | None = None
    count: int = 1
    position: int | None = None
    due_us: int | None = None
    facts: dict[str, Any] = {}
    suppressed_by: str | None = None
    routed: bool = False
    notified: bool = False
    repeat_us: int | None = None
    acknowledged_by: str | None = None
    acknowledged_at_us: int | None = None
    changed_at_us: int = 0

    @property
    def matched(self) -> dict[str, str]:
        """What matchers and groups see: the labels, and the kind, the severity, the app and the user."""
        own: dict[str, str] = {"kind": self.kind, "severity": self.severity}
        if self.subject.app_id is not None:
            own["app_id"] = str(self.subject.app_id)
        if self.subject.user_id is not None:
            own["user_id"] = self.subject.user_id
        return self.labels | own


@lru_cache(maxsize=8_192)
def fingerprint(kind: Kind, subject: Subject) -> str:
    """The same for the same kind about the same subject: 16 bytes as hex, because a user id may be long."""
    parts: tuple[str, ...] = (kind, "" if subject.app_id is None else str(subject.app_id), subject.other)
    # The user id comes last: it alone may hold anything, a zero byte included.
    text = "\0".join(parts) + ("\0" if subject.user_id is None else f"\0u{subject.user_id}")
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
