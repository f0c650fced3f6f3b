"""Gets a token for the canary from a command or an address of the operator's. The token is never shown or logged."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import aiohttp
import msgspec

from sidecar.errors import ZimwatchError
from sidecar.sdk.child import child
from sidecar.settings import CanarySettings

TOKEN_S: Final = 20.0
_LONGEST_REASON: Final = 200
_OK: Final = 200

TokenSource = Callable[[], Awaitable[str]]
"""Gives a fresh token; raises TokenError."""


class TokenError(ZimwatchError):
    """There is no token; its text says why."""


def token_source(settings: CanarySettings, environ: Mapping[str, str]) -> TokenSource:
    """Asks the command, else the address, of the settings."""

    async def ask() -> str:
        try:
            async with asyncio.timeout(TOKEN_S):
                if settings.token_command is not None:
                    told = {"ZIM_APP_ID": str(settings.app_id), "ZIM_USER_ID": str(settings.user_id)}
                    token = await _from_command(settings.token_command, {**environ, **told})
                else:
                    token = await _from_url(str(settings.token_url))
        except TimeoutError:
            raise TokenError(f"no token came within {TOKEN_S:.0f} s") from None
        if not token:
            raise TokenError("the token that came is empty")
        return token

    return ask


async def _from_command(command: str, environ: Mapping[str, str]) -> str:
    try:
        words = shlex.split(command)
        if not words:
            raise TokenError("canary.token_command cannot be run: it is blank")
        async with child(words, environ) as process:
            said, complaint = await process.communicate()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TokenError(f"canary.token_command cannot be run: {reason}") from None
    if process.returncode != 0:
        why = complaint.decode(errors="replace").strip()[:_LONGEST_REASON]
        raise TokenError(f"canary.token_command ended with {process.returncode}" + (f": {why}" if why else ""))
    return said.decode(errors="replace").strip()


async def _from_url(url: str) -> str:
    """The body is the token, or JSON with a ``token`` in it."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = (await response.text(errors="replace")).strip()
    except (aiohttp.ClientError, OSError) as error:
        raise TokenError(f"canary.token_url was not reached ({type(error).__name__})") from None
    if response.status != _OK:
        raise TokenError(f"canary.token_url answered {response.status}")
    if not text.startswith("{"):
        return text
    try:
        return msgspec.json.decode(text, type=_Answer).token
    except msgspec.MsgspecError:
        raise TokenError("canary.token_url answered JSON without a token in it") from None


class _Answer(msgspec.Struct):
    token: str
