"""Errors of requests that are refused for lack of access."""

from __future__ import annotations

from typing import Final

from sidecar.domain.texts import Sentence, Text
from sidecar.errors import ZimwatchError

# One header line each, and Basic first: Chromium reads several in one line as one unknown scheme.
BASIC: Final = 'Basic realm="Zimwatch", charset="UTF-8"'
BEARER: Final = 'Bearer realm="Zimwatch"'

INVALID_TOKEN: Final = {
    "mistyped": Sentence("request.token_mistyped", "the token is mistyped: its checksum is wrong; copy it again"),
    "unknown": Sentence("request.token_unknown", "the token is unknown"),
    "revoked": Sentence("request.token_revoked", "the token was revoked"),
    "expired": Sentence("request.token_expired", "the token has expired"),
}
"""Why a token in such a state is refused."""
_BUSY: Final = Sentence("sign_in.busy", "too many passwords are being checked; try again in a moment")


class RefusedError(ZimwatchError):
    """The HTTP status and headers of the response; a header may occur more than once."""

    status: int

    def __init__(self, message: Text, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.headers = headers


class NotSignedInError(RefusedError):
    """Credentials are missing or invalid; ``was_tried`` where the request itself had some."""

    status = 401

    def __init__(self, message: Text, challenges: tuple[str, ...], *, was_tried: bool = False) -> None:
        super().__init__(message, *(("WWW-Authenticate", one) for one in challenges))
        self.was_tried = was_tried


class NotAllowedError(RefusedError):
    """The principal may not do this."""

    status = 403


class TooManyAttemptsError(RefusedError):
    """The credentials were not checked; the next attempt is allowed in ``retry_after_s`` seconds."""

    status = 429

    def __init__(self, message: Text, *, retry_after_s: int) -> None:
        super().__init__(message, ("Retry-After", str(retry_after_s)))


class BusyError(RefusedError):
    """Too many passwords are being checked; the credentials were not."""

    status = 503

    def __init__(self) -> None:
        super().__init__(_BUSY(), ("Retry-After", "2"))
