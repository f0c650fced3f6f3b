"""The shared part of both clients: handlers, typed calls, and notifications of every call."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from sidecar.sdk.client.zim_client import (
    Call,
    CallEnded,
    ConnectionStateChanged,
    ErrorInfo,
    Handler,
    LoginConfig,
    SdkLost,
    SdkLostError,
    TokenWillExpire,
    Unsubscribe,
    ZimError,
)

T = TypeVar("T")
_SNAKE: Final = re.compile(r"_([a-z0-9])")


class Handlers(list[Callable[[T], None]]):
    """The handlers of one callback. One that raises does not prevent the others from running."""

    def add(self, handler: Handler[T]) -> Unsubscribe:
        """Adds a handler; call the result to remove it."""
        self.append(handler)

        def off() -> None:
            if handler in self:
                self.remove(handler)

        return off

    def notify(self, value: T) -> None:
        """Calls each with ``value``. Exceptions are passed to the event loop's exception handler."""
        for handler in tuple(self):
            try:
                handler(value)
            except Exception as error:  # noqa: BLE001 - the app's error must not stop the SDK
                context = {"message": "a handler of the ZIM client raised", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


class BaseClient(ABC):
    """Implements :class:`sidecar.sdk.client.zim_client.ZimClient` over :meth:`_begin`."""

    def __init__(self, app_id: int) -> None:
        self.app_id = app_id
        self._changed: Handlers[ConnectionStateChanged] = Handlers()
        self._will_expire: Handlers[TokenWillExpire] = Handlers()
        self._error: Handlers[ErrorInfo] = Handlers()
        self._lost: Handlers[SdkLost] = Handlers()
        self._calls: Handlers[Call | CallEnded] = Handlers()
        self._pending: dict[asyncio.Future[Any], Call] = {}
        self.on_connection_state_changed = self._changed.add
        self.on_token_will_expire = self._will_expire.add
        self.on_error = self._error.add
        self.on_sdk_lost = self._lost.add
        self.on_call = self._calls.add

    async def login(self, user_id: str, config: LoginConfig) -> None:
        """Logs in; see :class:`sidecar.sdk.client.zim_client.ZimClient` for this and the rest."""
        await self.call("login", user_id, msgspec.to_builtins(config))

    async def logout(self) -> None:
        """Logs out."""
        await self.call("logout")

    async def renew_token(self, token: str) -> None:
        """Replaces the token."""
        await self.call("renewToken", token)

    async def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - any result of the SDK
        """Calls any method of the SDK."""
        call = Call(_SNAKE.sub(lambda found: found[1].upper(), method), args)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[answer] = call
        self._calls.notify(call)
        try:
            self._begin(call, answer)
        except ZimError as error:
            self._settle(answer, error)
        return await answer

    @abstractmethod
    def _begin(self, call: Call, answer: asyncio.Future[Any]) -> None:
        """Starts the call; :meth:`_settle` ends it."""

    def _settle(self, answer: asyncio.Future[Any], outcome: object) -> None:
        """Ends a call, in order with the callbacks around it. Its caller resumes later, or may have been cancelled."""
        call = self._pending.pop(answer, None)
        error = outcome if isinstance(outcome, ZimError) else None
        if call is not None:
            self._calls.notify(CallEnded(call, error))
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(outcome)

    def _fail_calls(self, reason: str) -> None:
        for answer in tuple(self._pending):
            self._settle(answer, SdkLostError(reason))
