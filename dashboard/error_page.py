"""The error page."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from dashboard.page import render
from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from sidecar.domain.texts import Text

# A heading, and what to do.
_EXPLANATIONS: Final = {
    HTTPStatus.UNAUTHORIZED: (
        marked("Please sign in"),
        marked("Your request was not carried out. Sign in and try again."),
    ),
    HTTPStatus.FORBIDDEN: (
        marked("Access denied"),
        marked("Your account or token does not allow this. Ask your Zimwatch administrator for access."),
    ),
    HTTPStatus.NOT_FOUND: (
        marked("Page not found"),
        marked("Check the address, or find a user by id above."),
    ),
    HTTPStatus.GONE: (
        marked("This link is not valid any more"),
        marked("Ask the person who sent it for a new link."),
    ),
    HTTPStatus.MISDIRECTED_REQUEST: (
        marked("Unknown host name"),
        marked("Zimwatch answers only under its configured names, so that other sites cannot read its data."),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        marked("Zimwatch is temporarily unavailable"),
        marked("Nothing is lost. Try again in a moment."),
    ),
}
_DEFAULT: Final = (
    marked("This page cannot be shown"),
    marked("If this happens again, send the time and this address to your Zimwatch administrator."),
)


def error_page(status: int, detail: Text, headers: Mapping[str, str]) -> web.Response:
    """The page of an HTTP error: ``detail`` says what went wrong."""
    known = HTTPStatus(status)
    heading, advice = _EXPLANATIONS.get(known, _DEFAULT)
    is_phrase = str(detail).rstrip(".") == known.phrase
    response = render(
        "error.html", status, number=status, heading=_(heading), detail="" if is_phrase else detail, advice=_(advice)
    )
    response.headers.update(headers)
    return response
