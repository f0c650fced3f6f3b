"""HTML forms: reads their fields, and checks the token that proves a form to be of a page of this server (CSRF)."""

from __future__ import annotations

import hashlib
import hmac
import secrets  # noqa: TID251 - a key of this process
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from sidecar import access
from sidecar.domain.texts import Sentence
from sidecar.web.problem import Problem

# Renewed at each start: a page that is older than the process has to be loaded again.
_KEY: Final = secrets.token_bytes(32)
_FIELD: Final = "form_token"
_URLENCODED: Final = "application/x-www-form-urlencoded"
_OPEN_FORM_BYTES: Final = 8_192
_OPEN_FORM_FIELDS: Final = 20

_UNREADABLE: Final = Sentence("request.form_unreadable", "the form cannot be read")
_OUTDATED: Final = Sentence("request.form_outdated", "the page is out of date; reload it and repeat the action")
_OTHER_TYPE: Final = Sentence("request.form_type", "the form must be sent as %(type)s")
_TOO_LARGE: Final = Sentence("request.form_too_large", "the form is too large")


def form_token(request: web.Request) -> str:
    """Bound to this process and to the sender's credentials, so that no other site can know it."""
    principal = request.get(access.PRINCIPAL)
    session = principal.session_id if principal else None
    credentials = request.headers.get("Authorization", "") if session is None else f"session {session}"
    return hmac.new(_KEY, credentials.encode(errors="replace"), hashlib.sha256).hexdigest()


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form with a valid token; 403 for any other, 400 for one that cannot be read."""
    try:
        fields = await request.post()
    except (LookupError, ValueError):  # an unknown charset, or text that is not in it
        raise Problem(400, _UNREADABLE()) from None
    posted = {name: value for name, value in fields.items() if isinstance(value, str)}
    if not hmac.compare_digest(posted.pop(_FIELD, "").encode(errors="replace"), form_token(request).encode()):
        raise Problem(403, _OUTDATED())
    return posted


async def read_open_form(request: web.Request) -> dict[str, str]:
    """The fields of a form that needs no token, such as the sign-in: small and URL-encoded. 400, 411, 413 or 415."""
    if request.content_type != _URLENCODED:
        raise Problem(415, _OTHER_TYPE(type=_URLENCODED))
    if request.content_length is None:
        raise web.HTTPLengthRequired
    if request.content_length > _OPEN_FORM_BYTES:
        raise Problem(413, _TOO_LARGE())
    try:
        raw = (await request.read()).decode()
        fields = parse_qs(raw, keep_blank_values=True, max_num_fields=_OPEN_FORM_FIELDS, errors="strict")
    except ValueError:
        raise Problem(400, _UNREADABLE()) from None
    return {field: values[-1] for field, values in fields.items()}
