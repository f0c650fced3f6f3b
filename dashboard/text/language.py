"""The languages of the pages: selection by request, and translation.

Catalogues are gettext's, kept as text in ``dashboard/locale/*/messages.po`` and compiled in memory. The language of a
request is a context variable, so that error pages use it too.
"""

from __future__ import annotations

import functools
import gettext as gnu
import io
from contextvars import ContextVar
from importlib import resources
from typing import Final

from aiohttp import web
from babel.core import negotiate_locale

from dashboard.root import root
from sidecar.domain.paths import safe_path

ENGLISH: Final = "en"
CHINESE: Final = "zh-Hans"
LANGUAGES: Final = {ENGLISH: "English", CHINESE: "简体中文"}
COOKIE: Final = "zimwatch-language"
_FOLDERS: Final = {CHINESE: "zh_Hans"}
# Languages of Accept-Language, and the one of the pages for each.
_SUPPORTED: Final = {"en": ENGLISH, "zh": CHINESE, "zh-hans": CHINESE, "zh-cn": CHINESE, "zh-sg": CHINESE}
_YEAR_S: Final = 31_536_000

_chosen: ContextVar[str] = ContextVar("language", default=ENGLISH)


@functools.cache
def _catalogue(language: str) -> gnu.NullTranslations:
    folder = _FOLDERS.get(language)
    if folder is None:
        return gnu.NullTranslations()
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import read_po  # noqa: PLC0415

    source = resources.files("dashboard") / "locale" / folder / "messages.po"
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(source.read_bytes()), locale=folder))
    compiled.seek(0)
    return gnu.GNUTranslations(compiled)


def load_catalogues() -> None:
    """Compiles the catalogue of each language, so that no page waits for it."""
    for language in LANGUAGES:
        _catalogue(language)


def marked(message: str) -> str:
    """``message`` unchanged, marked for the catalogue; :func:`gettext` translates it when it is shown."""
    return message


def gettext(message: str) -> str:
    """``message`` in the language of the request."""
    return _catalogue(_chosen.get()).gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The plural form for ``count``, in the language of the request."""
    return _catalogue(_chosen.get()).ngettext(singular, plural, count)


def current() -> str:
    """The language of the request, for ``<html lang>``."""
    return _chosen.get()


def set_language(language: str) -> None:
    """Sets the language of this task; English if it is unknown."""
    _chosen.set(language if language in LANGUAGES else ENGLISH)


def wanted(request: web.Request) -> str:
    """The language chosen on a page, else the first supported one of the browser, else English."""
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    languages = request.headers.get("Accept-Language")
    if not languages:
        return ENGLISH
    accepted = [part.split(";")[0].strip().lower() for part in languages.split(",")]
    found = negotiate_locale([one for one in accepted if one], list(_SUPPORTED), sep="-")
    return _SUPPORTED.get((found or "").lower(), ENGLISH)


async def choose(request: web.Request) -> web.Response:
    """``/language?to=zh-Hans&back=/users``: stores the choice in a cookie."""
    response = web.Response(status=303, headers={"Location": safe_path(request.query.get("back", "/"))})
    language = request.query.get("to", "")
    if language in LANGUAGES:
        response.set_cookie(COOKIE, language, path=root() or "/", max_age=_YEAR_S, httponly=True, samesite="Lax")
    return response
