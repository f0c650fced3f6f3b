"""Tokens for the canary, from a command or a URL of the operator's. They are never shown or logged."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from sidecar.domain.outside_text import one_line
from sidecar.errors import ZimwatchError
from sidecar.http_client import DeliveryError, HttpClient
from sidecar.sdk.client.child import child
from sidecar.settings import CanarySettings

TOKEN_S: Final = 20.0
_LONGEST_REASON: Final = 200
_OK: Final = 200
# A ZIM token is some hundred bytes long.
_LONGEST_ANSWER: Final = 65_536

TokenSource = Callable[[], Awaitable[str]]
"""Returns a new token; raises TokenError."""


class TokenError(ZimwatchError):
    """There is no token; the text is the reason."""


def token_source(
    settings: CanarySettings,
    environ: Mapping[str, str],
    allowed_hosts: Sequence[str] = (),
    http: Callable[[Sequence[str]], HttpClient] = HttpClient,
) -> TokenSource:
    """Runs the command of the settings, or else requests the URL."""

    async def get() -> str:
        try:
            async with asyncio.timeout(TOKEN_S):
                if settings.token_command is not None:
                    account = {"ZIM_APP_ID": str(settings.app_id), "ZIM_USER_ID": str(settings.user_id)}
                    token = await _from_command(settings.token_command, {**environ, **account})
                else:
                    token = await _from_url(str(settings.token_url), http, allowed_hosts)
        except TimeoutError:
            raise TokenError(f"no token came within {TOKEN_S:.0f} s") from None
        if not token:
            raise TokenError("the token that came is empty")
        return token

    return get


async def _from_command(command: str, environ: Mapping[str, str]) -> str:
    try:
        words = shlex.split(command)
        if not words:
            raise TokenError("canary.token_command cannot be run: it is blank")
        async with child(words, environ) as process:
            output, errors = await process.communicate()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TokenError(f"canary.token_command cannot be run: {reason}") from None
    if process.returncode != 0:
        why = one_line(errors.decode(errors="replace").strip()[:_LONGEST_REASON])
        raise TokenError(f"canary.token_command ended with {process.returncode}" + (f": {why}" if why else ""))
    return output.decode(errors="replace").strip()


async def _from_url(url: str, http: Callable[[Sequence[str]], HttpClient], allowed_hosts: Sequence[str]) -> str:
    """The body is the token, or JSON with a ``token`` in it."""
    try:
        async with http(allowed_hosts) as calls:
            answer = await calls.request("GET", url, most_bytes=_LONGEST_ANSWER)
    except DeliveryError as error:
        raise TokenError(f"canary.token_url was not reached: {error}") from None
    if answer.status != _OK:
        raise TokenError(f"canary.token_url answered {answer.status}")
    if not answer.is_whole:
        raise TokenError(f"canary.token_url answered more than {_LONGEST_ANSWER} bytes")
    text = answer.body.decode(errors="replace").strip()
    if not text.startswith("{"):
        return text
    try:
        return msgspec.json.decode(text, type=_Answer).token
    except msgspec.MsgspecError:
        raise TokenError("canary.token_url answered JSON without a token in it") from None


class _Answer(msgspec.Struct):
    token: str
