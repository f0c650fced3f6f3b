"""The logins that failed, and whether one has succeeded since."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sidecar.domain import error_codes
from sidecar.domain.events import API_ERROR, CONNECTION_STATE_CHANGED, LOGIN, LOGIN_RESULT, Event
from sidecar.domain.sdk_words import CONNECTED, DISCONNECTED, LOGIN_INTERRUPTED
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.units import SECOND_US

if TYPE_CHECKING:
    from sidecar.domain.findings.life import Life

# Reports of one failure (the result, the error of the call, the callback) are this close to each other.
_SAME_FAILURE_US: Final = 10 * SECOND_US


def code_of(event: Event) -> int | None:
    """The code of a result or an error; None for none that is a number."""
    return error_codes.number(event.details.get("code"))


def failed_logins(life: Life) -> list[Event]:
    """The logins that failed, one event each, in the order of the moments.

    The callback DISCONNECTED / LOGIN_INTERRUPTED counts only where no code was reported with it. 6000111 on a device
    that is logged in as this user is a second call, and no failure.
    """
    results = [event for event in life.events if event.type == LOGIN_RESULT and _failed(life, event)]
    errors = [event for event in life.events if is_of_login(event) and _failed(life, event)]
    near_result = times_of(results)
    coded = results + [event for event in errors if not is_near(event, near_result)]
    near_code = times_of(coded)
    refused = [event for event in life.events if is_refusal(event) and not is_near(event, near_code)]
    return sorted(coded + refused, key=lambda event: (event.moment_us, event.seq, event.id))


def is_refusal(event: Event) -> bool:
    """Whether it is the callback of a login that was refused, and not by the network."""
    return (
        event.type == CONNECTION_STATE_CHANGED
        and event.connection_state == DISCONNECTED
        and event.connection_event == LOGIN_INTERRUPTED
    )


def is_connected(event: Event) -> bool:
    """Whether it is the callback of a connection."""
    return event.type == CONNECTION_STATE_CHANGED and event.connection_state == CONNECTED


def is_login_done(event: Event) -> bool:
    """Whether it is the result of a login that succeeded."""
    return event.type == LOGIN_RESULT and code_of(event) == 0


def logged_in_after(life: Life, event: Event) -> bool:
    """Whether any device of the user has connected after ``event``, or a login has succeeded, also without callback."""
    return any(
        one.order > event.order if one.client_id == event.client_id else one.moment_us > event.moment_us
        for one in life.logged_in
    )


def is_of_login(event: Event) -> bool:
    """Whether it is the error of a call of login."""
    return event.type == API_ERROR and event.details.get("method") == LOGIN


def is_of_plan(event: Event) -> bool:
    """Whether the plan refused a call."""
    return code_of(event) in error_codes.PLAN_USED_UP


def refused_as_expired(life: Life) -> bool:
    """Whether the user's newest login was refused because its token had expired."""
    failed = life.failed_logins
    return bool(failed) and code_of(failed[-1]) == error_codes.TOKEN_EXPIRED and not logged_in_after(life, failed[-1])


def _failed(life: Life, event: Event) -> bool:
    code = code_of(event)
    if code == error_codes.ALREADY_LOGGED_IN:
        return life.status_of(event.client_id) == NOT_LOGGED_IN
    return code != 0


def times_of(reports: Iterable[Event]) -> dict[bytes, list[int]]:
    """The moments of reports by client, in order."""
    times: dict[bytes, list[int]] = defaultdict(list)
    for report in reports:
        times[report.client_id].append(report.moment_us)
    return {client_id: sorted(own) for client_id, own in times.items()}


def is_near(event: Event, times: Mapping[bytes, Sequence[int]]) -> bool:
    """Whether a report at one of these times is of the same failure of the same device."""
    own = times.get(event.client_id, ())
    next_ = bisect_left(own, event.moment_us - _SAME_FAILURE_US)
    return next_ < len(own) and own[next_] <= event.moment_us + _SAME_FAILURE_US
