"""From the clients of a user to the user's status.

Online if any client is online, else offline if any is offline, else not logged in. A pure function of the clients'
login states, so that the answer cannot depend on who reported first.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from sidecar.domain.login_state import LoginState
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, Status


class Presence(msgspec.Struct, frozen=True, gc=False):
    """A user's status. ``decided_by`` is the client that it and ``reason`` were taken from."""

    status: Status
    since_us: int | None
    reason: str | None
    decided_by: LoginState | None


def status_of(clients: Collection[LoginState]) -> Status:
    """The status alone, as :func:`presence` has it."""
    statuses = {client.status for client in clients}
    return ONLINE if ONLINE in statuses else OFFLINE if OFFLINE in statuses else NOT_LOGGED_IN


def presence(clients: Collection[LoginState], *, left_online_us: int | None = None) -> Presence:
    """The status over ``clients``, and since when.

    Online: since the earliest of the clients that are online now. Offline: since the last client left online
    (``left_online_us`` adds that moment for clients not given), or since the first of them went offline where none
    ever was online. Not logged in: since the last one ended. Clients whose callback never came say nothing.
    """
    if len(clients) == 1:  # the usual case, which needs no comparing
        (only,) = clients
        since_us = only.since_us
        if since_us is None:
            return Presence(only.status, None, None, None)
        if only.status == OFFLINE:
            since_us = max(since_us, only.left_online_us or since_us, left_online_us or since_us)
        return Presence(only.status, since_us, only.reason, only)
    status = status_of(clients)
    deciding = [client for client in clients if client.status == status and client.since_us is not None]
    if not deciding:
        return Presence(status, None, None, None)

    def since(client: LoginState) -> tuple[int, bytes]:
        return (client.since_us or 0, client.last_id)

    if status == ONLINE:
        first = min(deciding, key=since)
        return Presence(status, first.since_us, first.reason, first)
    last = max(deciding, key=since)
    if status == NOT_LOGGED_IN:
        return Presence(status, last.since_us, last.reason, last)
    left = [client.left_online_us for client in clients if client.left_online_us is not None]
    if left_online_us is not None:
        left.append(left_online_us)
    began = min(client.since_us or 0 for client in deciding)
    return Presence(status, max([began, *left]), last.reason, last)
