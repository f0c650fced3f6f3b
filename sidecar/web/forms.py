"""HTML forms: reads their fields, and checks the token that proves a form to be of a page of this server (CSRF)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets  # noqa: TID251 - the mask of a token
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from sidecar import access
from sidecar.domain.texts import Sentence
from sidecar.store import Store
from sidecar.store.access import keys
from sidecar.web.problem import Problem

_KEY_BYTES: Final = 32  # as many as SHA-256 has
_KEY_NAME: Final = "forms"
_FIELD: Final = "form_token"
_URLENCODED: Final = "application/x-www-form-urlencoded"
_OPEN_FORM_BYTES: Final = 8_192
_OPEN_FORM_FIELDS: Final = 20

_UNREADABLE: Final = Sentence("request.form_unreadable", "the form cannot be read")
_OUTDATED: Final = Sentence("request.form_outdated", "the page is out of date; reload it and repeat the action")
_OTHER_TYPE: Final = Sentence("request.form_type", "the form must be sent as %(type)s")
_TOO_LARGE: Final = Sentence("request.form_too_large", "the form is too large")


class FormKey:
    """The key of the forms, which is the database's: a form of one node is valid on all, and after a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.value = b""

    async def read(self, _application: web.Application) -> None:
        """To be called before any request."""
        self.value = await self._store.write(keys.made_when_needed, _KEY_NAME)


FORM_KEY: Final = web.AppKey("form_key", FormKey)


def form_token(request: web.Request) -> str:
    """Bound to this database and to the sender's credentials, so that no other site can know it.

    Each call masks it with other random bytes. Pages are compressed, and a secret that stays the same could be found
    from the sizes of many answers that hold it beside what a request says (BREACH, https://www.breachattack.com).
    """
    mask = secrets.token_bytes(_KEY_BYTES)
    return base64.urlsafe_b64encode(mask + _xor(mask, _token_of(request))).decode()


def _is_token_of(request: web.Request, given: str) -> bool:
    try:
        raw = base64.b64decode(given.encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return False
    if len(raw) != 2 * _KEY_BYTES:
        return False  # bytes behind a token would not be compared
    return hmac.compare_digest(_xor(raw[:_KEY_BYTES], raw[_KEY_BYTES:]), _token_of(request))


def _xor(mask: bytes, value: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(mask, value, strict=True))


def _token_of(request: web.Request) -> bytes:
    principal = request.get(access.PRINCIPAL)
    session = principal.session_id if principal else None
    proof = principal.proof if principal else ""
    credentials = f"{proof} {request.headers.get('Authorization', '')}" if session is None else f"session {session}"
    return hmac.new(request.config_dict[FORM_KEY].value, credentials.encode(errors="replace"), hashlib.sha256).digest()


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a URL-encoded form with a valid token; 403 for any other, 400 for one that cannot be read, or 415.

    In no other type: aiohttp would write the files of a multipart form to the disk.
    """
    if request.content_type != _URLENCODED:
        raise Problem(415, _OTHER_TYPE(type=_URLENCODED))
    try:
        fields = await request.post()
    except (LookupError, ValueError):  # an unknown charset, or text that is not in it
        raise Problem(400, _UNREADABLE()) from None
    posted = {name: value for name, value in fields.items() if isinstance(value, str)}
    if not _is_token_of(request, posted.pop(_FIELD, "")):
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
