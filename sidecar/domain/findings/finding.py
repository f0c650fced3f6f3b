"""A finding: what is wrong with a user, in words for those who ask and those who mend it; and the base of all checks.

Pure: a check sees a :class:`~sidecar.domain.findings.life.Life` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from sidecar.domain.alerts.alert import Severity
from sidecar.domain.events import Event
from sidecar.domain.texts import Sentence, Text
from sidecar.domain.units import MINUTE_US

if TYPE_CHECKING:
    from sidecar.domain.findings.life import Life

FindingKind = str
"""Of :data:`sidecar.domain.findings.KINDS`."""
# A finding whose cause is over holds until its newest evidence is this old.
HOLDS_US: Final = 30 * MINUTE_US
# A finding names at most this many of its newest events.
EVENTS_NAMED: Final = 50


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``summary`` says what is wrong, ``say`` what to tell the user, ``advice`` what to change in the app.

    ``since_us`` is when it began, ``events`` are the ids of the newest evidence, oldest first. ``is_unproven``: it
    rests on an event whose user nobody vouched for.
    """

    kind: FindingKind
    severity: Severity
    summary: Text
    say: Text
    advice: tuple[Text, ...]
    since_us: int
    events: tuple[bytes, ...]
    is_unproven: bool = False


class Check:
    """Looks for findings of one kind. The class has what the catalogue says of the kind.

    ``types``: the types of the events that are evidence: without any of them there is no finding. None: of any type, or
    there may be none. ``evidence``: which events are evidence, in words. ``threshold``: from when on they are a
    finding. ``lifetime``: until when it holds. ``source``: the page of ZEGOCLOUD's documentation that it rests on.
    """

    kind: ClassVar[FindingKind]
    severity: ClassVar[Severity]
    title: ClassVar[Sentence]
    types: ClassVar[frozenset[str] | None] = None
    evidence: ClassVar[Sentence]
    threshold: ClassVar[Sentence]
    lifetime: ClassVar[Sentence]
    say: ClassVar[Sentence]
    advice: ClassVar[tuple[Sentence, ...]]
    source: ClassVar[str]

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The finding, None if this is not wrong with the user."""
        raise NotImplementedError

    @classmethod
    def found(
        cls,
        summary: Text,
        evidence: Iterable[Event],
        *,
        say: Text | None = None,
        advice: Iterable[Text] | None = None,
        severity: Severity | None = None,
        since_us: int | None = None,
    ) -> Finding:
        """A finding of this kind. ``evidence`` is in any order, and not empty without ``since_us``."""
        by_id = {one.id: one for one in evidence}
        ordered = sorted(by_id.values(), key=lambda one: (one.moment_us, one.seq, one.id))
        return Finding(
            kind=cls.kind,
            severity=severity or cls.severity,
            summary=summary,
            say=say or cls.say(),
            advice=tuple(one() for one in cls.advice) if advice is None else tuple(advice),
            since_us=ordered[0].moment_us if since_us is None else since_us,
            events=tuple(one.id for one in ordered[-EVENTS_NAMED:]),
            is_unproven=any(one.proven is False for one in ordered),
        )

    @classmethod
    def found_while_it_holds(
        cls,
        life: Life,
        summary: Text,
        evidence: Iterable[Event],
        *,
        is_lasting: bool = False,
        say: Text | None = None,
        advice: Iterable[Text] | None = None,
        severity: Severity | None = None,
        since_us: int | None = None,
    ) -> Finding | None:
        """A finding of this kind from evidence in any order; None if all of it is old, and its cause does not last."""
        own = list(evidence)
        if not is_lasting and max(event.moment_us for event in own) <= life.now_us - HOLDS_US:
            return None
        return cls.found(summary, own, say=say, advice=advice, severity=severity, since_us=since_us)
