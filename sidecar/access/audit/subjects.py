"""What a request is about, as its address has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from sidecar.access.user_path import quoted_user
from sidecar.domain import pasted
from sidecar.store.access.audit_values import SearchText, Subject, User

LIVE: Final = "/live"
"""Before the path of a page: the stream of its live part."""
_IDS_MOST: Final = 100
_APP_END: Final = 2**63
_DIGITS_MOST: Final = len(str(_APP_END))
# Fields of the address that narrow a list; their names are recorded, and of their values the app alone.
_FILTERS: Final = (
    *("as_of", "app_version", "disagreement", "happened", "kind", "match", "platform", "reason", "sdk"),
    *("sdk_version", "severity", "since", "state", "status", "token", "unconfirmed", "version", "within"),
)


def nothing(_request: web.Request) -> Sequence[Subject]:
    """No subject."""
    return ()


def user_in_path(request: web.Request) -> Sequence[Subject]:
    """The user whom the path names; an id that a path cannot have is in the query."""
    app, user = quoted_user(request)
    user_id = unquote(user, errors="replace") or request.query.get("id", "")
    return () if not user_id or not _is_app(app) else (User(int(app), user_id),)


def user_in_query(request: web.Request) -> Sequence[Subject]:
    """The user of ``?app_id=&user_id=``; a search where only the id is given."""
    user_id, app = request.query.get("user_id", ""), request.query.get("app_id", "")
    if not user_id:
        return ()
    return (User(int(app), user_id),) if _is_app(app) else (SearchText(user_id),)


def searched(request: web.Request) -> Sequence[Subject]:
    """What was searched for: a part of an id, or each of the ids that were pasted, up to a hundred."""
    query = request.query
    texts = (query.get("q", ""), query.get("user_id", ""), *pasted.ids(query.get("ids", ""))[:_IDS_MOST])
    return tuple(SearchText(text) for one in texts if (text := pasted.trimmed(one)))


def named(name: str, field: str = "id") -> Callable[[web.Request], Sequence[Subject]]:
    """Something with a number or name in the path, such as ``alert 12``."""
    return lambda request: (f"{name} {request.match_info[field]}",)


def details(request: web.Request) -> Mapping[str, str | int | bool]:
    """What narrows a list, and whether it is a stream."""
    found: dict[str, str | int | bool] = {}
    app = request.query.get("app_id", "")
    if _is_app(app):
        found["app_id"] = int(app)
    if filters := [name for name in _FILTERS if request.query.get(name)]:
        found["filters"] = " ".join(filters)
    if request.path.startswith(f"{LIVE}/"):
        found["live"] = True
    return found


def _is_app(text: str) -> bool:
    """Whether it is a number that the database can hold: another would keep the whole log from being written."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MOST and int(text) < _APP_END
