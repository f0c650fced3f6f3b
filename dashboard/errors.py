"""The page that a person sees in the place of one that cannot be shown."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from dashboard.language import gettext as _
from dashboard.language import marked
from dashboard.page import render

# What went wrong in a person's words, and what to do about it.
_TOLD: Final = {
    HTTPStatus.UNAUTHORIZED: (
        marked("Please sign in"),
        marked(
            "Reload the page and sign in with a token of scope read as the password; the user name does not matter. "
            "Whoever runs Zimwatch makes one with “zimwatch token create --scope read”."
        ),
    ),
    HTTPStatus.FORBIDDEN: (
        marked("This is not yours to see"),
        marked("Your token does not reach this far. Ask whoever runs Zimwatch for one that does."),
    ),
    HTTPStatus.NOT_FOUND: (
        marked("There is no such page"),
        marked("The address may be mistyped, or the page may have moved. A user is found by id, above."),
    ),
    HTTPStatus.GONE: (
        marked("This link has ended"),
        marked("Ask whoever gave it to you for a new one."),
    ),
    HTTPStatus.MISDIRECTED_REQUEST: (
        marked("Zimwatch does not answer to this name"),
        marked("It answers only to names that it knows, so that no foreign site can read it."),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        marked("Zimwatch cannot answer just now"),
        marked("Nothing is lost. Try again in a moment."),
    ),
}
_USUAL: Final = (
    marked("This page cannot be shown"),
    marked("If it happens again, tell whoever runs Zimwatch, with the time and this address."),
)


def error_page(status: int, detail: str, headers: Mapping[str, str]) -> web.Response:
    """A page that says what went wrong, in the sentence ``detail``, and what to do about it."""
    known = HTTPStatus(status)
    heading, advice = _TOLD.get(known, _USUAL)
    said = "" if detail.rstrip(".") == known.phrase else detail
    response = render("error.html", status, number=status, heading=_(heading), detail=said, advice=_(advice))
    response.headers.update(headers)
    return response
