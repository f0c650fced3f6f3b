"""The languages of the pages: which one a request wants, and its words.

Catalogues are gettext's, kept as text in ``dashboard/locale/*/messages.po`` and compiled in memory for the first page
in their language. The language of the request that is being answered is a context variable, so that an error page
speaks it too.
"""

from __future__ import annotations

import functools
import gettext as gnu
import io
from contextvars import ContextVar
from importlib import resources
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from babel.core import negotiate_locale

ENGLISH: Final = "en"
CHINESE: Final = "zh-Hans"
LANGUAGES: Final = {ENGLISH: "English", CHINESE: "简体中文"}
COOKIE: Final = "zimwatch-language"
_FOLDERS: Final = {CHINESE: "zh_Hans"}
# What a browser may ask for, and which of ours it gets.
_SPOKEN: Final = {"en": ENGLISH, "zh": CHINESE, "zh-hans": CHINESE, "zh-cn": CHINESE, "zh-sg": CHINESE}
_YEAR_S: Final = 31_536_000

_chosen: ContextVar[str] = ContextVar("language", default=ENGLISH)


@functools.cache
def _catalogue(language: str) -> gnu.NullTranslations:
    folder = _FOLDERS.get(language)
    if folder is None:
        return gnu.NullTranslations()
    # What compiles, and a catalogue, are 1 MB of memory that only those who read another language need.
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import read_po  # noqa: PLC0415

    source = resources.files("dashboard") / "locale" / folder / "messages.po"
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(source.read_bytes()), locale=folder))
    compiled.seek(0)
    return gnu.GNUTranslations(compiled)


def marked(message: str) -> str:
    """``message`` itself, marked for the catalogue; it is translated by :func:`gettext` where it is shown."""
    return message


def gettext(message: str) -> str:
    """``message`` in the language of the request."""
    return _catalogue(_chosen.get()).gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form for ``count``, in the language of the request."""
    return _catalogue(_chosen.get()).ngettext(singular, plural, count)


def current() -> str:
    """The language of the request, for ``<html lang>``."""
    return _chosen.get()


def speak(language: str) -> None:
    """From here on this task speaks ``language``."""
    _chosen.set(language if language in LANGUAGES else ENGLISH)


def wanted(request: web.Request) -> str:
    """The language chosen on a page before, else the first of the browser's that we have, else English."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    asked = [part.split(";")[0].strip().lower() for part in request.headers.get("Accept-Language", "").split(",")]
    found = negotiate_locale([one for one in asked if one], list(_SPOKEN), sep="-")
    return _SPOKEN.get((found or "").lower(), ENGLISH)


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Sets the language before anything is said."""
    speak(wanted(request))
    return await handler(request)


async def choose(request: web.Request) -> web.Response:
    """``/language?to=zh-Hans&back=/users``: remembers the choice in a cookie, which holds nothing else."""
    back = request.query.get("back", "/")
    # Only a path of ours: "//elsewhere" and "/\elsewhere" would lead a browser away.
    if not back.startswith("/") or back[1:2] in {"/", "\\"}:
        back = "/"
    response = web.Response(status=303, headers={"Location": back})
    language = request.query.get("to", "")
    if language in LANGUAGES:
        response.set_cookie(COOKIE, language, max_age=_YEAR_S, httponly=True, samesite="Lax")
    return response
