"""The page that a person sees in the place of one that cannot be shown."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from dashboard.page import render

# What to do about it; the sentence of the error itself says what it is.
_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "Reload the page and sign in with a token of scope read as the password; the user name "
    "does not matter. Whoever runs Zimwatch makes one with “zimwatch token create --scope read”.",
    HTTPStatus.FORBIDDEN: "Your token does not reach this far. Ask whoever runs Zimwatch for one that does.",
    HTTPStatus.NOT_FOUND: "The address may be mistyped, or the page may have moved. A user is found by id, above.",
    HTTPStatus.MISDIRECTED_REQUEST: "It answers only to names that it knows, so that no foreign site can read it.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Nothing is lost. Try again in a moment.",
}
_USUAL: Final = "If it happens again, tell whoever runs Zimwatch, with the time and this address."


def error_page(status: int, detail: str, headers: Mapping[str, str]) -> web.Response:
    """A page that says what went wrong, in the sentence ``detail``, and what to do about it."""
    known = HTTPStatus(status)
    response = render("error.html", status, heading=known.phrase, detail=detail, advice=_ADVICE.get(known, _USUAL))
    response.headers.update(headers)
    return response
