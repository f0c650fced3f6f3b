"""What a request asks of a page, and what a page answers: plain values, so that a page can be made again without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from aiohttp import web

from dashboard import language
from dashboard.language import gettext as _
from dashboard.times import from_text

LIVE: Final = "/live"
AppOf = Callable[[web.Request], int | None]
"""The app that a request's token is bound to; None for every app."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is as it was sent, percent-encoded; ``own_app`` is the app that the token is bound to, None for all."""

    path: str
    query: tuple[tuple[str, str], ...]
    query_string: str
    own_app: int | None
    language: str
    address: str

    @classmethod
    def of(cls, request: web.Request, app_of: AppOf) -> Asked:
        """What ``request`` asks, whether it wants the page or its live part."""
        return cls(
            path=request.rel_url.raw_path.removeprefix(LIVE) or "/",
            query=tuple(request.query.items()),
            query_string=request.rel_url.raw_query_string,
            own_app=app_of(request),
            language=language.wanted(request),
            address=f"{request.scheme}://{request.host}",
        )

    @property
    def here(self) -> str:
        """The page's own address, without the host."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    def get(self, name: str) -> str:
        """The first value of a field of the query, trimmed; empty where there is none."""
        return next((value.strip() for key, value in self.query if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a field of the query that is not empty."""
        return [value.strip() for key, value in self.query if key == name and value.strip()]

    def target(self) -> tuple[int, str]:
        """The app and the user of the path, which is split before it is decoded: a user id may have slashes (%2F).

        HTTP 404 where the app is no number, 403 where the token is bound to another one.
        """
        app, user_id = self.path.split("/", 3)[2:]
        if not is_number(app):
            raise web.HTTPNotFound(text=_("There is no such app."))
        if self.own_app not in {None, int(app)}:
            raise web.HTTPForbidden(text=_("The token is bound to another app."))
        return int(app), unquote(user_id, errors="replace") or self.get("id")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A page that is ready to be filled in: the template ``live/<name>`` lies inside of the template ``<name>``.

    ``concerns`` are the users whose change makes the page another; None: any user's.
    """

    name: str
    values: dict[str, Any]
    status: int = 200
    concerns: frozenset[tuple[int, str]] | None = None
    is_live: bool = True


Loader = Callable[[Asked], Awaitable[View]]
"""Reads what a page shows."""


def moment_asked(asked: Asked, name: str) -> int | None:
    """A past moment of the query; None where there is none. MomentError where it is no moment."""
    text = asked.get(name)
    if not text:
        return None
    try:
        return from_text(text)
    except (ValueError, OverflowError):
        raise MomentError(_("“%(value)s” is no moment such as 2026-11-23T14:03:20Z.") % {"value": text[:40]}) from None


class MomentError(Exception):
    """A moment in the address that is none; its text is for the page."""


def is_number(text: str) -> bool:
    """Whether it is a whole number that the database can hold."""
    return text.isascii() and text.isdigit() and int(text) < 2**63
