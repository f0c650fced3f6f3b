"""The protocol of a ZIM client on asyncio: the SDK's own names in snake case, typed.

Two classes implement it: :mod:`sidecar.sdk.client.bridge` runs the real ``zego-zim-web``, and
:mod:`sidecar.sdk.simulator.simulator_client` simulates it. Source of names and meanings: the typings of
``zego-zim-web``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from sidecar.errors import ZimwatchError

T = TypeVar("T")
Handler = Callable[[T], None]
Unsubscribe = Callable[[], None]
"""Removes the handler; idempotent."""

NO_CODE: Final = -1
"""The code of a failure without one of the SDK."""


class LoginConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``ZIMLoginConfig``. ``token`` is a credential, and is passed to the SDK alone."""

    token: str = ""
    user_name: str = ""
    is_offline_login: bool = False
    custom_status: str = ""
    custom_status_duration: int = 0

    def __repr__(self) -> str:
        return f"LoginConfig(is_offline_login={self.is_offline_login})"


class ConnectionStateChanged(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``state`` and ``event`` are the SDK's integers; ``extended_data`` is verbatim, and not always JSON."""

    state: int
    event: int
    extended_data: str = ""


class TokenWillExpire(msgspec.Struct, frozen=True):
    """``second`` is the remaining time in seconds; negative if the token has already expired."""

    second: int


class ErrorInfo(msgspec.Struct, frozen=True):
    """An error that does not belong to a call."""

    code: int
    message: str


class SdkLost(msgspec.Struct, frozen=True):
    """The SDK's process died, and with it the login. No other callback follows. ``reason`` is a sentence."""

    reason: str


class Call(msgspec.Struct, frozen=True, eq=False):
    """One call of a method of the SDK. ``method`` is its name in the SDK; ``args`` may hold a token."""

    method: str
    args: tuple[object, ...]

    def __repr__(self) -> str:
        return f"Call({self.method})"


class CallEnded(msgspec.Struct, frozen=True):
    """The outcome of a call, which may stay pending for ever. ``error`` is None if it succeeded."""

    call: Call
    error: ZimError | None


class ZimError(ZimwatchError):
    """The SDK rejected a call, with its ``code`` and ``message``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class SdkLostError(ZimError):
    """The SDK's process died before it answered; the outcome of the call is unknown."""

    def __init__(self, reason: str) -> None:
        super().__init__(NO_CODE, reason)


class ZimClient(Protocol):
    """One SDK instance.

    Each ``on_…`` adds a handler and returns a function that removes it. Handlers run in the event loop in the order of
    the SDK's callbacks, some before the call that caused them returns. Calls raise :class:`ZimError`. A ``login`` may
    stay pending for ever: put ``asyncio.timeout`` around it.
    """

    @property
    def app_id(self) -> int:
        """ZEGO AppID."""

    @property
    def sdk_version(self) -> str:
        """Version of ``zego-zim-web``."""

    async def login(self, user_id: str, config: LoginConfig) -> None:
        """Logs in."""

    async def logout(self) -> None:
        """Logs out; does nothing if not logged in."""

    async def renew_token(self, token: str) -> None:
        """Replaces the token that will expire."""

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - any result of the SDK
        """Calls any other method, by its name in snake or camel case; arguments and result are JSON values."""

    async def destroy(self) -> None:
        """Ends the instance; pending calls raise SdkLostError."""

    def on_connection_state_changed(self, handler: Handler[ConnectionStateChanged]) -> Unsubscribe:
        """Connection state changes; RECONNECTING is repeated for every retry."""

    def on_token_will_expire(self, handler: Handler[TokenWillExpire]) -> Unsubscribe:
        """The token is about to expire."""

    def on_error(self, handler: Handler[ErrorInfo]) -> Unsubscribe:
        """An error that does not belong to a call."""

    def on_sdk_lost(self, handler: Handler[SdkLost]) -> Unsubscribe:
        """The SDK's process died and is restarted; new calls wait for it. Log in again."""

    def on_call(self, handler: Handler[Call | CallEnded]) -> Unsubscribe:
        """Every call as it begins, before its callbacks, and as it ends."""
