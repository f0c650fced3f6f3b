"""A page's request and its view as plain values, so that a page can be rendered again without the HTTP request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote, urlencode

import msgspec
from aiohttp import web

from dashboard.text import language
from dashboard.text.language import gettext as _
from dashboard.text.moments import moment_of
from dashboard.text.times import iso
from sidecar import access
from sidecar.access.policy import Action
from sidecar.access.proxies import public_request
from sidecar.domain.app_ids import AppIds
from sidecar.domain.pasted import trimmed
from sidecar.settings import ServerSettings
from sidecar.web.params import check_app, is_number

LIVE: Final = "/live"


# Every query field that a page reads. Others are dropped, so that they do not open another view.
FIELDS: Final = frozenset(
    {
        *("action", "actor", "address", "request_id", "user_id"),
        *("app_id", "as_of", "at", "before", "begin", "col", "col_set", "cursor", "disagreement", "group", "hand_off"),
        *(
            "id",
            "ids",
            "kind",
            "match",
            "moment",
            "order",
            "platform",
            "q",
            "reason",
            "sdk",
            "since",
            "state",
            "status",
        ),
        *("first", "from", "happened", "token", "unconfirmed", "until", "version", "window", "within"),
    }
)


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is percent-encoded, as sent; ``own_apps`` are the apps that the reader may see.

    ``allowed`` is what the reader may do, so that only those who may see the same share an open view. ``site`` is the
    address of the dashboard as the browser knows it, without a slash at its end.
    """

    path: str
    query: tuple[tuple[str, str], ...]
    query_string: str
    own_apps: AppIds
    allowed: frozenset[Action]
    language: str
    site: str

    @classmethod
    def of(cls, request: web.Request, server: ServerSettings) -> PageRequest:
        """From a request for the page or for its live part."""
        query, query_string = tuple(request.query.items()), request.rel_url.raw_query_string
        if not FIELDS.issuperset(name for name, _value in query):
            query = tuple((name, value) for name, value in query if name in FIELDS)
            query_string = urlencode(query)
        return cls(
            path=request.rel_url.raw_path.removeprefix(LIVE) or "/",
            query=query,
            query_string=query_string,
            own_apps=access.apps_of(request),
            allowed=access.allowed(request),
            language=language.wanted(request),
            site=public_request(request, server).url,
        )

    def may(self, action: Action) -> bool:
        """Whether the reader may do it."""
        return action in self.allowed

    @property
    def here(self) -> str:
        """The page's own address, without the host."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    def get(self, name: str) -> str:
        """The first value of a field of the query, trimmed; empty where there is none."""
        return next((trimmed(value) for key, value in self.query if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a field of the query that is not empty."""
        return [trimmed(value) for key, value in self.query if key == name and trimmed(value)]

    def target(self) -> tuple[int, str]:
        """The app and the user of the path, which is split before it is decoded: a user id may have slashes (%2F).

        HTTP 404 where the app is no number, 403 where the reader may not see it.
        """
        app, user_id = self.path.split("/", 3)[2:]
        if not is_number(app):
            raise web.HTTPNotFound(text=_("There is no such app."))
        check_app(self.own_apps, int(app))
        return int(app), unquote(user_id, errors="replace") or dict(self.query).get("id", "")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A page ready to be rendered: the template ``live/<name>`` inside the template ``<name>``.

    ``concerns`` are the users whose changes affect the page; None for all. A page ``with_secret`` is not compressed.
    ``elsewhere`` is the path of another page, to which a request for this one is redirected.
    """

    name: str
    values: dict[str, Any]
    status: int = 200
    concerns: frozenset[tuple[int, str]] | None = None
    is_live: bool = True
    with_secret: bool = False
    elsewhere: str | None = None


Loader = Callable[[PageRequest], Awaitable[View]]
"""Reads what a page shows."""


def past_moment(page_request: PageRequest, name: str, now_us: int) -> int | None:
    """A past moment of the query as people type it, else that of ``at``, which a picker fills in; None without both.

    HTTP 303 to the address with the moment in full where the query names it by the day on which it is read, so that
    the address means the same tomorrow. MomentError if it is not a moment or lies in the future.
    """
    typed, picked = page_request.get(name), page_request.get("at")
    text = typed or picked
    if not text:
        return None
    try:
        found_us, is_whole = moment_of(text, now_us)
    except (ValueError, OverflowError):
        problem = _("“%(value)s” is not a moment such as 2026-11-23T14:03:20Z.") % {"value": text[:40]}
        raise MomentError(problem) from None
    if found_us > now_us:
        raise MomentError(_("“%(value)s” is in the future.") % {"value": text[:40]})
    if not is_whole or not typed:
        kept = [(key, value) for key, value in page_request.query if key not in {name, "at"} and value]
        raise web.HTTPSeeOther(f"{page_request.path}?{urlencode([*kept, (name, iso(found_us))])}")
    return found_us


class MomentError(Exception):
    """A moment of the query that is invalid or in the future; its text is shown on the page."""
