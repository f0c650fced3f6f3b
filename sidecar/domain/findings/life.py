"""What findings are made from: a user's events and devices at a moment."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Final

import msgspec

from sidecar.domain import login_state
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.events import Event
from sidecar.domain.findings.finding import HOLDS_US
from sidecar.domain.findings.refused_calls import RefusedCall, refused_calls
from sidecar.domain.findings.refused_logins import failed_logins, is_connected, is_login_done
from sidecar.domain.presence import presence
from sidecar.domain.server_view import Disagreement
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN, Status

_moment: Final = attrgetter("moment_us")


class Life(msgspec.Struct, frozen=True, kw_only=True, dict=True):
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
        """From events in any order; a repeated id counts once, an event after ``now_us`` does not.

        Without ``status`` in ``more``, status, since_us and reason are those that follow from the events.
        """
        by_id = {event.id: event for event in events if event.moment_us <= now_us}
        ordered = sorted(by_id.values(), key=lambda event: (event.moment_us, event.seq, event.id))
        of_client: dict[bytes, list[Event]] = defaultdict(list)
        for event in ordered:
            of_client[event.client_id].append(event)
        for own in of_client.values():
            own.sort(key=lambda event: event.order)
        if "status" not in more:
            found = presence([login_state.fold(own) for own in of_client.values()])
            more |= {"status": found.status, "since_us": found.since_us, "reason": found.reason}
        return cls(now_us=now_us, user_id=user_id, events=ordered, of_client=dict(of_client), **more)  # type: ignore[arg-type]

    def device(self, client_id: bytes) -> Session | None:
        """A client by its id; None for one that is not among the newest."""
        return next((one for one in self.devices if one.client_id == client_id), None)

    def status_of(self, client_id: bytes) -> Status:
        """The status of one client."""
        device = self.device(client_id)
        return login_state.fold(self.of_client.get(client_id, ())).status if device is None else device.status

    def lately(self, within_us: int) -> list[Event]:
        """The events of the last ``within_us``, in the order of their moments."""
        return list(self.events[bisect_right(self.events, self.now_us - within_us, key=_moment) :])

    @cached_property
    def recent(self) -> list[Event]:
        """The events that are recent enough to be evidence of what is over."""
        return self.lately(HOLDS_US)

    @cached_property
    def logged_in(self) -> list[Event]:
        """The callbacks CONNECTED and the results of ``login`` that succeeded, the newest first."""
        return [one for one in reversed(self.events) if is_connected(one) or is_login_done(one)]

    @cached_property
    def refused(self) -> list[RefusedCall]:
        """The recent calls that the SDK refused, in the order of their moments."""
        return refused_calls(self.of_client, self.now_us - HOLDS_US)

    @cached_property
    def failed_logins(self) -> list[Event]:
        """The logins that failed, one event each, in the order of the moments."""
        return failed_logins(self)

    def refused_after(self, ending: str) -> list[Event]:
        """The recent calls that failed because this had ended the login of their client.

        ``ending`` is a connection event, or the type ``token_will_expire``.
        """
        ended = [(one.call, one.ended_by) for one in self.refused if one.ended_by is not None]
        return [call for call, by in ended if ending in {by.connection_event, by.type}]
