"""What findings are made from: a user's events and devices at a moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from sidecar.domain.alerts.alert import Alert
from sidecar.domain.events import CONNECTION_STATE_CHANGED, LOGIN, LOGIN_RESULT, LOGOUT, Event
from sidecar.domain.sdk_words import CONNECTED
from sidecar.domain.server_view import Disagreement
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN, Status


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One user at ``now_us``.

    ``events`` are its newest ones, in the order of their moments; ``of_client`` are the same by client, in the order of
    ``seq``. ``devices`` are its clients, the live ones first. ``disagreement`` and ``storms``, the
    firing storms that the user is a part of, do not follow from the events.
    """

    now_us: int
    user_id: str
    events: Sequence[Event]
    of_client: dict[bytes, list[Event]]
    devices: Sequence[Session] = ()
    status: Status = NOT_LOGGED_IN
    since_us: int | None = None
    reason: str | None = None
    unconfirmed: bool = False
    disagreement: Disagreement | None = None
    storms: Sequence[Alert] = ()

    @classmethod
    def of(cls, now_us: int, user_id: str, events: Iterable[Event], **more: object) -> Life:
        """From events in any order; a repeated id counts once."""
        by_id = {event.id: event for event in events}
        ordered = sorted(by_id.values(), key=lambda event: (event.moment_us, event.seq, event.id))
        of_client: dict[bytes, list[Event]] = defaultdict(list)
        for event in ordered:
            of_client[event.client_id].append(event)
        for own in of_client.values():
            own.sort(key=lambda event: event.order)
        return cls(now_us=now_us, user_id=user_id, events=ordered, of_client=dict(of_client), **more)  # type: ignore[arg-type]

    def device(self, client_id: bytes) -> Session | None:
        """A client by its id; None for one that is not among the newest."""
        return next((one for one in self.devices if one.client_id == client_id), None)

    def lately(self, within_us: int) -> list[Event]:
        """The events of the last ``within_us``, in the order of their moments."""
        return [event for event in self.events if event.moment_us > self.now_us - within_us]


def begins_login(event: Event) -> bool:
    """Whether the app called login with it."""
    return event.type == LOGIN


def settles_login(event: Event) -> bool:
    """Whether a login that was pending is settled by it: connected, refused, ended or given up by a logout."""
    if event.type == CONNECTION_STATE_CHANGED:
        return event.connection_state in {CONNECTED, "DISCONNECTED"}
    return event.type in {LOGIN_RESULT, LOGOUT}
