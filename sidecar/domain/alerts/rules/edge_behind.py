"""``edge_behind``: an edge has events that this server does not have, or is silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Rule
from sidecar.domain.edges import Edge
from sidecar.domain.lease import LeaseTime
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import MINUTE_US

EDGE_BEHIND: Final = Sentence("edge_behind", "Edge %(edge)s is %(span)s behind: %(waiting)s of its events are missing")
EDGE_SILENT: Final = Sentence("edge_silent", "Edge %(edge)s was silent for %(span)s")
CAUGHT_UP: Final = Sentence("edge_caught_up", "the edge has caught up")
EDGE_GONE: Final = Sentence("edge_gone", "the edge stopped after it had sent everything, or is forgotten")


@dataclass(frozen=True, kw_only=True)
class EdgeThresholds(CommonThresholds):
    """How far behind an edge may be; 0 switches the rule off."""

    edge_behind_us: int = 5 * MINUTE_US


class KnownEdges(msgspec.Struct, frozen=True):
    """The edges as of their last reports, and the lease time now."""

    edges: Sequence[Edge]
    time: LeaseTime


class EdgeBehind(Rule[EdgeThresholds]):
    """One for each edge. Over when it is less than half as far behind: one that barely keeps up must not flap."""

    kind = "edge_behind"
    severity = "warning"
    title = Sentence("kind.edge_behind", "An edge is behind")
    advice = (
        Sentence("advice.edge_waits", "Nothing is lost while the edge has room: its events wait in its own database."),
        Sentence(
            "advice.check_edge",
            "Look at the overview of the edge, which says why they wait; at the network; and here at the edge's token.",
        ),
    )

    @classmethod
    def is_on(cls, limits: EdgeThresholds) -> bool:
        """Whether there is a time that is too long."""
        return limits.edge_behind_us > 0 and super().is_on(limits)

    @staticmethod
    def summary(edge: Edge, time: LeaseTime) -> Text:
        """What is wrong with the edge, and for how long."""
        if (silent_us := edge.silent_us(time)) > 0:
            return EDGE_SILENT(edge=edge.name, span=duration(silent_us))
        return EDGE_BEHIND(edge=edge.name, span=duration(edge.behind_us), waiting=f"{edge.waiting:,}")

    def check(self, known: KnownEdges, firing: Iterable[Alert], now_us: int) -> None:
        """Opens alerts about edges that are behind, and resolves those of ``firing`` that are over."""
        limit_us = self._limits.edge_behind_us
        behind_us = {_subject(edge): edge.behind_now_us(known.time) for edge in known.edges}
        for alert in firing:
            left_us = behind_us.get(alert.subject)
            if left_us is None or left_us < limit_us // 2:
                reason = EDGE_GONE() if left_us is None else CAUGHT_UP()
                self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=reason)
        if not self.is_on(self._limits):
            return
        for edge in known.edges:
            subject = _subject(edge)
            if behind_us[subject] >= limit_us and self._firing.about(self.kind, subject) is None:
                since_us = now_us - behind_us[subject]
                self.cause(subject, since_us, now_us, self.summary(edge, known.time), labels={"part": _part(edge)})


def _part(edge: Edge) -> str:
    return f"edge {edge.name}"


def _subject(edge: Edge) -> Subject:
    return Subject(other=_part(edge))
