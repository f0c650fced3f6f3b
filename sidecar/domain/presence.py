"""The status of a user over all clients: online if any is online, else offline if any is offline, else not logged in.

Pure: it depends on the clients' login states alone, not on the order of their reports.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import itemgetter

import msgspec

from sidecar.domain.login_state import LoginState
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, Status


class Presence(msgspec.Struct, frozen=True, gc=False):
    """A user's status. ``decided_by`` is the client that determines it and ``reason``."""

    status: Status
    since_us: int | None
    reason: str | None
    decided_by: LoginState | None


def status_of(clients: Collection[LoginState]) -> Status:
    """Only the status of :func:`presence`."""
    statuses = {client.status for client in clients}
    return ONLINE if ONLINE in statuses else OFFLINE if OFFLINE in statuses else NOT_LOGGED_IN


def presence(clients: Collection[LoginState], *, left_online_us: int | None = None) -> Presence:
    """The status over ``clients``, and since when.

    Online: since the earliest of the clients that are online now. Offline: since the last client left online
    (``left_online_us`` adds that moment for clients not given), or since the first of them went offline where none
    was ever online. Not logged in: since the last one ended. Clients without any callback do not count.
    """
    if len(clients) == 1:  # the usual case, without comparisons
        (only,) = clients
        since_us = only.since_us
        if since_us is None:
            return Presence(only.status, None, None, None)
        if only.status == OFFLINE:
            since_us = max(since_us, only.left_online_us or since_us, left_online_us or since_us)
        return Presence(only.status, since_us, only.reason, only)
    status = status_of(clients)
    deciding = [
        (one.since_us, one.last_id, one) for one in clients if one.status == status and one.since_us is not None
    ]
    if not deciding:
        return Presence(status, None, None, None)
    deciding.sort(key=itemgetter(0, 1))
    since_us, _, decides = deciding[0] if status == ONLINE else deciding[-1]
    if status == OFFLINE:
        left = [client.left_online_us for client in clients if client.left_online_us is not None]
        if left_online_us is not None:
            left.append(left_online_us)
        since_us = max([deciding[0][0], *left])
    return Presence(status, since_us, decides.reason, decides)
