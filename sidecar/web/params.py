"""Parameters of requests: reads numbers, flags, ids and filters, and refuses what cannot be meant with 400 or 403."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from aiohttp import web

from sidecar import access
from sidecar.access.user_path import quoted_user
from sidecar.domain import app_ids
from sidecar.domain.app_ids import AppIds
from sidecar.domain.outside_text import cut
from sidecar.domain.texts import Sentence, Text
from sidecar.web.problem import Problem

FLAGS: Final = {"0": False, "1": True, "false": False, "true": True}
LIMIT: Final = 50
LIMIT_MOST: Final = 500
_NUMBER_END: Final = 2**63
_DIGITS_MOST: Final = len(str(_NUMBER_END))

_OTHER_APP: Final = Sentence("request.other_app", "your access is limited to these apps: %(apps)s")
_NO_APP: Final = Sentence("request.no_app", "your access is limited to some apps, and none is left")
_NOT_EVERY_APP: Final = Sentence("request.not_every_app", "your access is limited to some apps; this concerns all")


def is_number(text: str) -> bool:
    """Whether it is a whole number that the database can hold."""
    # Its length first: Python refuses to convert thousands of digits.
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MOST and int(text) < _NUMBER_END


def number(text: str | None, name: str) -> int | None:
    """A whole number, None where it is missing or empty; 400 for anything else."""
    if not text:
        return None
    if not is_number(text):
        raise Problem(400, f"{name} must be a whole number")
    return int(text)


def flag(text: str | None, name: str) -> bool | None:
    """``true`` or ``false``, None where it is missing or empty; 400 for anything else."""
    if not text:
        return None
    if text not in FLAGS:
        raise Problem(400, f"{name} must be true or false")
    return FLAGS[text]


def one_of(text: str | None, name: str, known: tuple[str, ...]) -> str | None:
    """One of the known words, None where it is missing or empty; 400 for anything else."""
    if text and text not in known:
        raise Problem(400, f"{name} must be one of {', '.join(known)}")
    return text or None


def check_query(request: web.Request, *known: str) -> None:
    """400 for a parameter that the call does not have, or that is there twice: it would select nothing, unnoticed."""
    for name in dict.fromkeys(request.query):
        if name not in known:
            takes = f"it has {', '.join(known)}" if known else "it has none"
            raise Problem(400, f"this call has no parameter {cut(name, 40)}; {takes}")
        if len(request.query.getall(name)) > 1:
            raise Problem(400, f"{name} is there more than once")


def limit_of(request: web.Request) -> int:
    """The most items that the caller wants."""
    text = request.query.get("limit")
    if text is None:
        return LIMIT
    limit = number(text, "limit")
    if limit is None or not 1 <= limit <= LIMIT_MOST:
        raise Problem(400, f"limit must lie between 1 and {LIMIT_MOST}")
    return limit


def id_in_path(request: web.Request) -> int:
    """The ``id`` of the path."""
    return number(request.match_info["id"], "id") or 0


def user_in_path(request: web.Request) -> tuple[int, str]:
    """The app and the user."""
    app, user = quoted_user(request)
    app_id = number(unquote(app), "app_id")
    user_id = unquote(user, errors="surrogateescape")
    try:
        user_id.encode()
    except UnicodeEncodeError:
        raise Problem(400, "the user id in the path is not UTF-8") from None
    if app_id is None:
        raise Problem(400, "app_id must be a whole number")
    return app_id, user_id


def app_filter(request: web.Request) -> AppIds:
    """The apps to show: those of the principal, or the one that the query names. 403 where it may not see that one."""
    own, wanted = access.apps_of(request), number(request.query.get("app_id"), "app_id")
    if wanted is not None:
        check_app(own, wanted)
    return app_ids.within(own, wanted)


def check_app(own: AppIds, app_id: int) -> None:
    """403 where ``app_id`` is not one of the principal's apps."""
    if own is not None and app_id not in own:
        raise Problem(403, other_app(own))


def other_app(own: frozenset[int]) -> Text:
    """That an app is not one of the principal's."""
    return _OTHER_APP(apps=app_ids.listed(own)) if own else _NO_APP()


def check_every_app(own: AppIds) -> None:
    """403 where the principal is limited to some apps, and the request concerns every one."""
    if own is not None:
        raise Problem(403, _NOT_EVERY_APP())
