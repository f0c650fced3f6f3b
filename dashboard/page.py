"""Renders a page: templates with autoescape, a strict Content-Security-Policy, and links that survive any user id."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dashboard.words import HELD_REASONS, HELD_WORDS, STATUS_WORDS, words_for

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def moment(us: int | None) -> datetime | None:
    """Microseconds since the epoch as a datetime in UTC."""
    return None if us is None else _EPOCH + timedelta(microseconds=us)


def iso(us: int) -> str:
    """For the ``datetime`` attribute of ``<time>``."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_text(us: int) -> str:
    """``2026-11-24 01:02:03 UTC``."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(us: int, now_us: int) -> str:
    """``3 minutes ago``; a moment that a client's clock puts in the future is ``in 3 minutes``."""
    seconds = (now_us - us) // 1_000_000
    size, unit = next(((s, u) for s, u in _UNITS if abs(seconds) >= s), (1, "second"))
    count = abs(seconds) // size
    if count == 0:
        return "just now"
    text = f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def user_path(app_id: int, user_id: str) -> str:
    """Where a user's page is. Browsers resolve "." and ".." away even when encoded: those go in the query."""
    if user_id in {".", ".."}:
        return f"/users/{app_id}/?{urlencode({'id': user_id})}"
    return f"/users/{app_id}/{quote(user_id, safe='')}"


_environment = Environment(
    loader=PackageLoader("dashboard"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    user_path=user_path,
    words_for=words_for,
    STATUS_WORDS=STATUS_WORDS,
    HELD_WORDS=HELD_WORDS,
    HELD_REASONS=HELD_REASONS,
)
_environment.filters.update(iso=iso, clock_text=clock_text, ago=ago)


def render(name: str, status: int = 200, **values: Any) -> web.Response:  # noqa: ANN401 - a template's own names
    """A page of the template ``name``."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        # Not "no-referrer": with that a browser names no origin for our own forms, and they could not be told apart.
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    text = _environment.get_template(name).render(nonce=nonce, **values)
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)
