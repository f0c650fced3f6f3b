"""Renders a page: templates with autoescape, a strict Content-Security-Policy, and links that survive any user id."""

from __future__ import annotations

import secrets
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dashboard import language, times
from dashboard.alert_words import (
    GROUP_WORDS,
    HELD_REASONS,
    HELD_WORDS,
    KIND_WORDS,
    SEVERITY_WORDS,
    STATE_WORDS,
    STORY_WORDS,
    TOLD_WORDS,
    label,
    label_value,
)
from dashboard.language import gettext as _
from dashboard.said import said
from dashboard.words import LOSS_WORDS, REASONS, SERVER_WORDS, STATUS_WORDS, os_words, words_for, words_of

# Every character that ends a line, hides, or turns the direction of what follows (UAX #9): shown as a mark, so that an
# id is what it seems, and a sentence about it stays readable.
_TURNS: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SHOWN_AS: Final = dict.fromkeys((*range(0x20), 0x7F, *_TURNS), "\N{REPLACEMENT CHARACTER}")
_SHORT: Final = 120
_STOPS: Final = (".", "!", "?", "。", "！", "？", "…")


def user_path(app_id: int, user_id: str) -> str:
    """Where a user's page is. Browsers resolve "." and ".." away even when encoded: those go in the query."""
    if user_id in {".", ".."}:
        return f"/users/{app_id}/?{urlencode({'id': user_id})}"
    return f"/users/{app_id}/{quote(user_id, safe='')}"


def shown(text: str) -> str:
    """Text of a stranger's as it is shown: control characters, which HTML cannot carry, become a mark."""
    return text.translate(_SHOWN_AS)


def short(text: str) -> str:
    """The same, cut where it is only meant to recognise something by."""
    return shown(text if len(text) <= _SHORT else f"{text[:_SHORT]}…")


def sentence(text: str) -> str:
    """Text that may begin small and end without a stop, as a sentence."""
    begun = f"{text[:1].upper()}{text[1:]}"
    return begun if text.endswith(_STOPS) else _("%(sentence)s.") % {"sentence": begun}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    # The extension adds this method at run time.
    environment.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        user_path=user_path,
        words_for=words_for,
        words_of=words_of,
        os_words=os_words,
        SERVER_WORDS=SERVER_WORDS,
        KIND_WORDS=KIND_WORDS,
        SEVERITY_WORDS=SEVERITY_WORDS,
        ALERT_STATES=STATE_WORDS,
        GROUP_WORDS=GROUP_WORDS,
        HELD_WORDS=HELD_WORDS,
        HELD_REASONS=HELD_REASONS,
        LOSS_WORDS=LOSS_WORDS,
        STORY_WORDS=STORY_WORDS,
        TOLD_WORDS=TOLD_WORDS,
        label=label,
        label_value=label_value,
        STATUS_WORDS=STATUS_WORDS,
        REASONS=REASONS,
        LANGUAGES=language.LANGUAGES,
        language=language.current,
    )
    environment.filters.update(
        iso=times.iso,
        clock_text=times.clock_text,
        time_of_day=times.time_of_day,
        ago=times.ago,
        lasted=times.lasted,
        shown=shown,
        said=said,
        sentence=sentence,
        short=short,
        grouped="{:,}".format,
        field=getattr,
    )
    return environment


_templates: Final = _environment()


def fill(name: str, /, **values: Any) -> str:  # noqa: ANN401 - a template's own names
    """The text of the template ``name``."""
    return _templates.get_template(name).render(**values)


def render(name: str, status: int = 200, /, **values: Any) -> web.Response:  # noqa: ANN401 - same
    """A page of the template ``name``."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        # Not no-referrer, under which a browser sends a form of ours with "Origin: null".
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    text = fill(name, nonce=nonce, **values)
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)
