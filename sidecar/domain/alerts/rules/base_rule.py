"""The base of all alert rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from sidecar.domain.alerts.alert import Alert, Kind, Severity, Subject
from sidecar.domain.alerts.firing import Firing, UserId
from sidecar.domain.alerts.opening import PROVEN, CommonThresholds, Covers, Opening
from sidecar.domain.alerts.watchlist import Due, Watch, Windows
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.status import OFFLINE, Status
from sidecar.domain.texts import Sentence, Text

TOO_LONG: Final = Sentence("too_long", "no further report of it for too long")
ONLINE_AGAIN: Final = Sentence("online_again", "the user is online again")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted event. ``before`` and ``status`` are its user's status before and after it.

    ``late``: it happened too long before it was received to notify anybody. ``ends_login``: an alert opens because the
    user was logged out by it. ``cause`` is that of a kick.
    """

    event: Event
    position: int
    now_us: int
    before: Status | None
    status: Status | None
    late: bool
    ends_login: bool
    cause: Cause | None = None

    @property
    def at_us(self) -> int:
        """When it happened: the sender's time, but never later than the receipt."""
        return self.event.moment_us

    @property
    def who(self) -> UserId | None:
        """Its user."""
        return None if self.event.user_id is None else (self.event.app_id, self.event.user_id)

    @property
    def subject(self) -> Subject:
        """Its user; the client where it names none."""
        return subject_of(self.event)

    @property
    def labels(self) -> dict[str, str]:
        """What is known of the device."""
        event = self.event
        known = {
            "platform": event.platform,
            "sdk_version": event.sdk_version,
            "app_version": event.app_version,
            "device_id": event.device_id,
            PROVEN: "false" if event.proven is False else None,
        }
        return {name: value for name, value in known.items() if value}

    @property
    def went_offline(self) -> bool:
        """Whether it took its user offline."""
        return self.status == OFFLINE != self.before

    @property
    def left_offline(self) -> bool:
        """Whether its user was offline before it and is so no longer."""
        return self.before == OFFLINE != self.status


def subject_of(event: Event) -> Subject:
    """The event's user; the client where it names none."""
    if event.user_id is None:
        return Subject(event.app_id, None, event.client_id.hex())
    return Subject(event.app_id, event.user_id)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of one transaction share. ``began_us``: since when this process follows events."""

    firing: Firing
    opening: Opening
    watch: Watch
    windows: Windows
    began_us: int


Limits = TypeVar("Limits", bound=CommonThresholds)


class Rule(Generic[Limits]):
    """One kind of alert. An object of it serves one transaction.

    The class says what the kind is, the methods when its alerts open and resolve. :meth:`on_event` is called for events
    of the types ``triggers``, and for the ``connection_events``. Times of causes are the sender's; windows and waits
    run by the time of receipt.
    """

    kind: ClassVar[Kind]
    severity: ClassVar[Severity]
    title: ClassVar[Sentence]
    advice: ClassVar[tuple[Sentence, ...]]
    triggers: ClassVar[frozenset[str]] = frozenset()
    connection_events: ClassVar[frozenset[str]] = frozenset()
    covers: ClassVar[Covers | None] = None

    def __init__(self, scope: Scope, limits: Limits) -> None:
        self._opening = scope.opening
        self._firing = scope.firing
        self._watch = scope.watch
        self._limits = limits

    @classmethod
    def advice_for(cls, summary: Text | None) -> tuple[Sentence, ...]:  # noqa: ARG003 - for those that override it
        """What to do about an alert with this summary."""
        return cls.advice

    @classmethod
    def is_on(cls, limits: Limits) -> bool:
        """Whether the settings have it on."""
        return cls.kind not in limits.off

    @classmethod
    def concerns(cls, event: Event) -> bool:  # noqa: ARG003 - for those that override it
        """Whether an event of a type of ``triggers`` is one of its triggers."""
        return True

    def on_event(self, change: Change) -> None:
        """One of its triggers."""

    def on_offline(self, change: Change) -> None:
        """The event took its user offline."""

    def left_offline(self, change: Change) -> None:
        """The event's user is offline no longer."""

    def over_with(self, change: Change) -> Text | None:  # noqa: ARG002 - for those that override it
        """Why an alert about the event's user is over with the event; None: it is not."""
        return None

    def over_by_time(self, alert: Alert) -> Text:  # noqa: ARG002 - for those that override it
        """Why an alert that has reached its ``due_us`` is over."""
        return TOO_LONG()

    def expect(self, users: Sequence[UserId], now_us: int) -> None:
        """Alerts of this kind about these users may open: reads at once what that takes."""
        self._firing.fetch(users)
        self._opening.expect([(self.kind, Subject(*who)) for who in users], now_us)

    def cause(
        self,
        subject: Subject,
        at_us: int,
        now_us: int,
        summary: Text,
        *,
        severity: Severity | None = None,
        **more: Any,  # noqa: ANN401 - as Opening.cause has it
    ) -> Alert | None:
        """Opens an alert of this kind, or counts one more cause of it; None where the kind is switched off."""
        return self._opening.cause(
            self.kind,
            severity or self.severity,
            subject,
            at_us=at_us,
            now_us=now_us,
            summary=summary,
            **more,
        )


class DueRule(Rule[Limits]):
    """A rule whose alerts open by time."""

    def open(self, due: Sequence[Due], now_us: int) -> None:
        """Opens the alerts about these users."""
        raise NotImplementedError
