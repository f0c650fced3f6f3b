"""How the rules open alerts: what is late, or spoken for by another alert, calls nobody; what flaps is told once."""

from __future__ import annotations

from typing import Any

from sidecar.domain.alerting import alert as states
from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Alert, Subject
from sidecar.domain.alerting.book import Book
from sidecar.domain.alerting.kinds import Kind
from sidecar.domain.alerting.thresholds import Thresholds
from sidecar.domain.events import Event


class Causes:
    """What the rules share: the book, the thresholds, and the way from a cause to an alert."""

    def __init__(self, book: Book, limits: Thresholds) -> None:
        self.book = book
        self.limits = limits

    def when(self, event: Event) -> tuple[int, bool]:
        """When it happened, and whether that was so long ago that nobody is called for it."""
        at_us = min(event.occurred_at_us, event.received_at_us)
        return at_us, event.received_at_us - at_us > self.limits.max_age_us

    def cause(
        self,
        kind: Kind,
        subject: Subject,
        at_us: int,
        now_us: int,
        summary: str,
        *,
        late: bool = False,
        **more: Any,  # noqa: ANN401 - as Book.cause has it
    ) -> Alert | None:
        """Opens or counts, unless the kind is switched off; an opened one is held back where another speaks for it."""
        if kind in self.limits.off:
            return None
        held = states.HELD_LATE if late else self._spoken_for(kind, subject)
        is_new = not self.book.does_fire(kind, subject)
        alert = self.book.cause(kind, subject, at_us=at_us, now_us=now_us, summary=summary, held=held, **more)
        if is_new and held is None and self.limits.flap_count:
            times = self.book.times_opened(alert, now_us - self.limits.flap_window_us)
            if times > self.limits.flap_count:
                self.book.hold(alert, states.HELD_FLAPPING, now_us)
            elif times == self.limits.flap_count:
                span = words.long(self.limits.flap_window_us)
                alert.summary = words.FLAPPING(told=alert.summary, count=times, span=span)
                alert.labels = alert.labels | {"flapping": "true"}
        return alert

    def _spoken_for(self, kind: Kind, subject: Subject) -> str | None:
        storm = kinds.STORM_OVER.get(kind)
        if storm is not None and self.book.does_fire(storm, Subject(subject.app_id)):
            return states.HELD_STORM
        if kind == kinds.KICKED_OUT and self.book.does_fire(kinds.KICK_PING_PONG, subject):
            return states.HELD_PING_PONG
        return None


def subject_of(event: Event) -> Subject:
    """The event's user; the client where it names none."""
    if event.user_id is None:
        return Subject(event.app_id, None, event.client_id.hex())
    return Subject(event.app_id, event.user_id)


def labels_of(event: Event) -> dict[str, str]:
    """What is known of the device."""
    told = {
        "platform": event.platform,
        "sdk_version": event.sdk_version,
        "app_version": event.app_version,
        "device_id": event.device_id,
    }
    return {name: value for name, value in told.items() if value}
