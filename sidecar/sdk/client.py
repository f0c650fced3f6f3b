"""The ZIM client SDK as Python sees it: its own names in snake case, typed, on asyncio.

Two things speak this protocol: :mod:`sidecar.sdk.bridge` runs the real ``zego-zim-web``, and
:mod:`sidecar.sdk.simulator_client` moves as it does. Source of names and meanings: the typings of ``zego-zim-web``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from sidecar.errors import ZimwatchError

T = TypeVar("T")
Handler = Callable[[T], None]
Unsubscribe = Callable[[], None]
"""Takes the handler off again; calling it twice does nothing more."""

# Error codes of login and network, by the SDK's reference.
FREQUENCY_LIMIT: Final = 6_000_004
TOKEN_INVALID: Final = 6_000_103
NETWORK_ERROR: Final = 6_000_104
ANSWER_TIMEOUT: Final = 6_000_105
TOKEN_EXPIRED: Final = 6_000_106
TOKEN_VERSION: Final = 6_000_107
ALREADY_LOGGED_IN: Final = 6_000_111
NOT_LOGGED_IN: Final = 6_000_121
NO_CODE: Final = -1
"""What failed without a code of the SDK's."""


class LoginConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``ZIMLoginConfig``. ``token`` is a credential: it is handed to the SDK and to nobody else."""

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
    """The seconds that are left; negative where the token had expired already."""

    second: int


class ErrorInfo(msgspec.Struct, frozen=True):
    """An error that belongs to no call."""

    code: int
    message: str


class SdkLost(msgspec.Struct, frozen=True):
    """The SDK's process died, and with it the login; ``reason`` is a sentence. No other callback comes for it."""

    reason: str


class Call(msgspec.Struct, frozen=True, eq=False):
    """One call of a method of the SDK. ``method`` is its name in the SDK; ``args`` may hold a token."""

    method: str
    args: tuple[object, ...]

    def __repr__(self) -> str:
        return f"Call({self.method})"


class CallEnded(msgspec.Struct, frozen=True):
    """How a call ended; one that stays pending for ever never does. ``error`` None: it succeeded."""

    call: Call
    error: ZimError | None


class ZimError(ZimwatchError):
    """The SDK rejected a call: ``code`` and ``message`` as it gave them."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class SdkLostError(ZimError):
    """The SDK went away before it answered; nobody knows what became of the call."""

    def __init__(self, reason: str) -> None:
        super().__init__(NO_CODE, reason)


class ZimClient(Protocol):
    """One SDK instance.

    Each ``on_…`` adds a handler and gives what takes it off; handlers run in the event loop, in the order in which
    the SDK spoke, and some of them before the call that caused them has returned. Calls raise :class:`ZimError`. A
    ``login`` may stay pending for ever: put ``asyncio.timeout`` around it.
    """

    @property
    def app_id(self) -> int:
        """ZEGO AppID."""

    @property
    def sdk_version(self) -> str:
        """Of ``zego-zim-web``."""

    async def login(self, user_id: str, config: LoginConfig) -> None:
        """Logs in."""

    async def logout(self) -> None:
        """Logs out; does nothing where nobody is logged in."""

    async def renew_token(self, token: str) -> None:
        """Puts a new token in the place of the one that will expire."""

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever the SDK gives
        """Any other method, by its name in snake or camel case; arguments and result are plain JSON values."""

    async def destroy(self) -> None:
        """Ends the instance; calls that are pending raise SdkLostError."""

    def on_connection_state_changed(self, handler: Handler[ConnectionStateChanged]) -> Unsubscribe:
        """The connection state changed; RECONNECTING comes again for every retry."""

    def on_token_will_expire(self, handler: Handler[TokenWillExpire]) -> Unsubscribe:
        """The token ends soon."""

    def on_error(self, handler: Handler[ErrorInfo]) -> Unsubscribe:
        """An error that belongs to no call."""

    def on_sdk_lost(self, handler: Handler[SdkLost]) -> Unsubscribe:
        """The SDK died and is being started anew: calls made from now on wait for it. Log in again."""

    def on_call(self, handler: Handler[Call | CallEnded]) -> Unsubscribe:
        """Every call as it begins, before any callback of it, and as it ends."""
