"""Rendering of pages: templates with autoescape, and a strict Content-Security-Policy."""

from __future__ import annotations

import asyncio
import secrets  # noqa: TID251 - a nonce of a page is a secret of it
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from dashboard import navigation, static_files
from dashboard.parts import user_links
from dashboard.root import root, rooted
from dashboard.text import app_names, language, reporter_texts, times
from dashboard.text.alert_summary import alert_summary
from dashboard.text.alert_texts import (
    GROUP_TEXTS,
    HISTORY_TEXTS,
    KIND_TEXTS,
    NOTIFICATION_TEXTS,
    SEVERITY_TEXTS,
    STATE_TEXTS,
    SUPPRESSION_REASONS,
    SUPPRESSION_TEXTS,
    label,
    label_value,
    person,
)
from dashboard.text.browser_names import browser_name
from dashboard.text.duty_texts import duty_text
from dashboard.text.language import gettext as _
from dashboard.text.role_texts import ROLE_TEXTS
from dashboard.text.status_texts import (
    HAPPENED_TEXTS,
    LOSS_TEXTS,
    REASON_TEXTS,
    SERVER_TEXTS,
    STATUS_TEXTS,
    os_name,
    texts_for,
    texts_of,
)
from dashboard.text.translate import translate
from sidecar import access
from sidecar.access.policy import Action
from sidecar.domain.moment import wrong_by_us
from sidecar.domain.outside_text import one_line
from sidecar.domain.paths import user_path
from sidecar.domain.reporters import is_outdated
from sidecar.store.users.old_reporters import CURRENT
from sidecar.version import build

_SHORT: Final = 120
_STOPS: Final = (".", "!", "?", "。", "！", "？", "…")


def shown(text: str) -> str:
    """Untrusted text as shown: control characters, which HTML cannot carry, are replaced."""
    return one_line(text)


def in_element(text: str) -> Markup:
    """Text as the content of an element, where quotes need no escape: JSON is a third shorter."""
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))  # noqa: S704 - escaped here


def short(text: str) -> str:
    """The same, cut to a length that is enough to recognise something by."""
    return shown(text if len(text) <= _SHORT else f"{text[:_SHORT]}…")


def capital(text: str) -> str:
    """``text`` with a capital first letter."""
    return f"{text[:1].upper()}{text[1:]}"


def grouped(number: int, most: int | None = None) -> str:
    """A number with its digits in groups; with ``+`` if it was counted up to ``most`` and reached it."""
    return f"{number:,}" + ("+" if most is not None and number >= most else "")


def sentence(text: str) -> str:
    """``text`` with a capital first letter and a full stop."""
    begun = capital(text)
    return begun if text.endswith(_STOPS) else _("%(sentence)s.") % {"sentence": begun}


def may(action: str) -> bool:
    """Whether the principal of this task may do it. ValueError for what is no action."""
    principal = access.current()
    return principal is not None and principal.may(Action(action))


def href(path: str, needed: str = Action.SEE_USERS) -> Markup:
    """The attribute ``href``, if the principal may open the page; a link without it is its text alone."""
    return Markup(' href="{}"').format(path) if may(needed) else Markup("")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,  # or each page would look for changes of each file
    )
    # The extension adds this method at run time.
    environment.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        VERSION=build(),
        NAVIGATION=navigation.ENTRIES,
        SETTINGS_PAGES=navigation.SETTINGS,
        user_path=user_path,
        apps=app_names.apps,
        happened_path=user_links.happened_path,
        as_of_path=user_links.as_of_path,
        texts_for=texts_for,
        texts_of=texts_of,
        os_name=os_name,
        SERVER_TEXTS=SERVER_TEXTS,
        KIND_TEXTS=KIND_TEXTS,
        SEVERITY_TEXTS=SEVERITY_TEXTS,
        ALERT_STATES=STATE_TEXTS,
        GROUP_TEXTS=GROUP_TEXTS,
        SUPPRESSION_TEXTS=SUPPRESSION_TEXTS,
        SUPPRESSION_REASONS=SUPPRESSION_REASONS,
        LOSS_TEXTS=LOSS_TEXTS,
        HISTORY_TEXTS=HISTORY_TEXTS,
        NOTIFICATION_TEXTS=NOTIFICATION_TEXTS,
        label=label,
        label_value=label_value,
        STATUS_TEXTS=STATUS_TEXTS,
        REASON_TEXTS=REASON_TEXTS,
        HAPPENED_TEXTS=HAPPENED_TEXTS,
        ROLE_TEXTS=ROLE_TEXTS,
        LANGUAGES=language.LANGUAGES,
        language=language.current,
        root=root,
        static=static_files.address,
        principal_of_request=access.current,
        may=may,
        href=href,
        CURRENT_VERSION=CURRENT,
        is_outdated=is_outdated,
        old_reporter=reporter_texts.told,
    )
    environment.filters.update(
        iso=times.iso,
        clock_text=times.clock_text,
        hidden_part=times.hidden_part,
        time_of_day=times.time_of_day,
        ago=times.ago,
        alert_summary=alert_summary,
        duty_text=duty_text,
        browser_name=browser_name,
        lasted=times.lasted,
        at_most=times.at_most,
        shown=shown,
        in_element=in_element,
        translate=translate,
        person=person,
        sentence=sentence,
        short=short,
        grouped=grouped,
        field=getattr,
        wrong_clock=wrong_by_us,
    )
    return environment


_templates: Final = _environment()


async def compile_templates() -> None:
    """Compiles every template, 10 ms each, so that no page waits for it. Other tasks run in between."""
    for name in _templates.list_templates():
        _templates.get_template(name)
        await asyncio.sleep(0)


def fill(name: str, /, **values: Any) -> str:  # noqa: ANN401 - a template's own names
    """The template ``name``, rendered."""
    return _templates.get_template(name).render(**values)


def render(name: str, status: int = 200, /, **values: Any) -> web.Response:  # noqa: ANN401 - same
    """A page of the template ``name``."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "worker-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        # Not no-referrer, under which a browser sends a form of ours with "Origin: null".
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    text = rooted(fill(name, nonce=nonce, **values))
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def with_secret(response: web.Response) -> web.Response:
    """A page with a secret beside what its request says, which is not compressed (BREACH)."""
    response.headers["Cache-Control"] = "no-store, no-transform"
    return response
