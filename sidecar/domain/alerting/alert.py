"""One alert: what is wrong, with whom, since when, and whether anybody is called for it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from sidecar.domain.alerting.kinds import Kind, Severity

State = Literal["firing", "resolved"]
FIRING: Final = "firing"
RESOLVED: Final = "resolved"

# Why nobody is called for an alert. What is held for a silence is told when the silence ends.
HELD_LATE: Final = "late"
HELD_STORM: Final = "storm"
HELD_PING_PONG: Final = "ping_pong"
HELD_FLAPPING: Final = "flapping"
HELD_SILENCED: Final = "silenced"


class Subject(msgspec.Struct, frozen=True):
    """What an alert is about: a user, an app, or (with neither) ``other``, a part of Zimwatch itself.

    ``other`` also tells two alerts of one kind about one app or user apart.
    """

    app_id: int | None = None
    user_id: str | None = None
    other: str = ""


class Alert(msgspec.Struct, kw_only=True):
    """``started_at_us`` is when its cause happened, ``opened_at_us`` when Zimwatch learned of it.

    ``due_us`` is when time alone ends it. ``facts`` is what its rule has to remember. ``told``: a notification of it
    has left the queue. ``owed``: there are notifications of it. ``repeat_us``: when it is told again if it still fires.
    """

    id: int
    kind: Kind
    fingerprint: str
    severity: Severity
    subject: Subject
    started_at_us: int
    opened_at_us: int
    summary: str = ""
    labels: dict[str, str] = {}
    state: State = FIRING
    ended_at_us: int | None = None
    end_reason: str | None = None
    count: int = 1
    position: int | None = None
    due_us: int | None = None
    facts: dict[str, Any] = {}
    held: str | None = None
    owed: bool = False
    told: bool = False
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
