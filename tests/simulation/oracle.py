"""The status of a user by the rules of docs/zim.md, written a second time and without the product's code.

It goes through all events of a user at each look, so it is slow and simple.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

Row = dict[str, Any]
"""An event by the columns of its table."""
_STATUS: Final = {"CONNECTED": "online", "RECONNECTING": "offline", "DISCONNECTED": "not_logged_in"}
_FOR_GOOD: Final = {"KICKED_OUT", "TOKEN_EXPIRED", "UNREGISTERED"}


def of_client(events: Iterable[Row]) -> str:  # noqa: C901 - a rule each
    """The status of one client."""
    status, session = "not_logged_in", None
    calls_login = over = logged_out = False
    over_session = None
    for event in sorted(events, key=lambda one: (one["seq"], one["id"])):
        if event["session_id"] not in {None, session}:
            session, logged_out = event["session_id"], False
        if event["type"] == "login":
            calls_login, over, logged_out = True, False, False
        elif event["type"] == "logout":
            status, logged_out = "not_logged_in", True
        elif event["type"] == "connection_state_changed":
            new = _STATUS.get(event["connection_state"])
            if new is None:
                continue
            if new == "not_logged_in":
                status = new
                if event["connection_event"] in _FOR_GOOD:
                    over, over_session = True, event["session_id"]
                continue
            if over and calls_login and event["session_id"] in {None, over_session}:
                continue  # an SDK with an expired token says CONNECTED after the end
            if logged_out and new == "offline":
                continue
            status, over, logged_out = new, False, False
    return status


def of_user(events: Iterable[Row]) -> str:
    """The status of a user."""
    by_client: dict[bytes, list[Row]] = defaultdict(list)
    for event in events:
        by_client[event["client_id"]].append(event)
    found = {of_client(own) for own in by_client.values()}
    return next((one for one in ("online", "offline") if one in found), "not_logged_in")
