"""Keeps one account logged in through the SDK, and derives from that whether ZIM can be reached.

The logins are **online**: an offline login reports CONNECTED without any server, and proves nothing. A login may stay
pending for ever, so without an answer within ``login_timeout`` ZIM is not reachable until the answer comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from sidecar.canary.canary_status import CanaryStatus, publish
from sidecar.canary.canary_token import TokenError, TokenSource
from sidecar.clock import Clock
from sidecar.domain import error_codes, sdk_words
from sidecar.domain.texts import Sentence, Text, verbatim
from sidecar.domain.token04.layout import expires_at_us
from sidecar.domain.units import SECOND_US
from sidecar.sdk import (
    ConnectionStateChanged,
    ErrorInfo,
    LoginConfig,
    SdkLost,
    SdkUnavailableError,
    Sink,
    ZimClient,
    ZimError,
    observe,
)
from sidecar.sdk.client.zim_client import SdkLostError
from sidecar.settings import CanarySettings, duration_us

_ANSWER_FOLLOWS_S: Final = 1.0  # DISCONNECTED may come before the answer that it belongs to
_LOGOUT_S: Final = 1.0
DEVICE_ID: Final = "zimwatch-canary"

NO_ANSWER: Final = Sentence("canary.no_answer", "the login has had no answer within %(seconds)s s")
OVER_AT_ONCE: Final = Sentence(
    "canary.over_at_once", "the login was over as soon as it began; the token may have expired"
)
RECONNECTING: Final = Sentence("canary.reconnecting", "the connection was lost, and the SDK is trying again")
GIVEN_UP: Final = Sentence("canary.given_up", "the SDK has given up reconnecting")
KICKED_OUT: Final = Sentence(
    "canary.kicked_out", "another device logged in with the canary's account and kicked it out"
)
UNREGISTERED: Final = Sentence("canary.unregistered", "the canary's account was unregistered")
REFUSED: Final = Sentence("canary.refused", "the login was refused: %(why)s")

Sleep = Callable[[float], Coroutine[Any, Any, None]]


class Canary:
    """``changed`` is called with each new status. ``sink`` gets the events of the account, like any user's."""

    def __init__(
        self,
        settings: CanarySettings,
        *,
        client: Callable[[int], Awaitable[ZimClient]],
        token: TokenSource,
        clock: Clock,
        sink: Sink | None = None,
        changed: Callable[[CanaryStatus], None] = lambda _status: None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.status = CanaryStatus(app_id=settings.app_id or 0, user_id=settings.user_id or "")
        self._login_timeout_s = duration_us(settings.login_timeout) / SECOND_US
        self._retry_s = duration_us(settings.retry) / SECOND_US
        self._make_client = client
        self._token = token
        self._clock = clock
        self._sink = sink
        self._changed = changed
        self._sleep = sleep
        self._out = asyncio.Event()  # this login has ended
        self._logged_in = False
        self._at_once = False  # a new login need not wait
        self._began_us = 0

    async def run(self) -> None:
        """Runs until cancelled, then logs the account out."""
        publish(self.status)
        try:
            client = await self._client()
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(client.destroy)
                if self._sink is not None:
                    stack.callback(observe(client, self._sink, device_id=DEVICE_ID, clock=self._clock))
                client.on_connection_state_changed(self._connection)
                client.on_error(self._error)
                client.on_sdk_lost(self._lost)
                stack.push_async_callback(self._log_out, client)
                while True:
                    await self._one_login(client)
                    if not self._at_once:
                        await self._sleep(self._retry_s)
        finally:
            publish(None)

    async def _client(self) -> ZimClient:
        while True:
            try:
                return await self._make_client(self.status.app_id)
            except SdkUnavailableError as error:
                self._update(None, error.text)
                await self._sleep(self._retry_s)

    async def _one_login(self, client: ZimClient) -> None:
        """One login: from its token to its end."""
        self._at_once = self._logged_in = False
        self._out.clear()
        try:
            token = await self._token()
        except TokenError as error:
            self._update(None, error.text)
            return
        self._began_us = self._clock()
        login = asyncio.create_task(client.login(self.status.user_id, LoginConfig(token=token)))
        out = asyncio.create_task(self._out.wait())
        try:
            if not await self._first({login, out}, self._login_timeout_s):
                self._update(False, NO_ANSWER(seconds=f"{self._login_timeout_s:g}"))
                left_us = (expires_at_us(token) or 0) - self._clock()
                await self._first({login, out}, max(left_us / SECOND_US, self._retry_s))
            if out.done() and not login.done():
                await self._first({login}, _ANSWER_FOLLOWS_S)
            if not login.done():
                await self._log_out(client)
                return
            if await self._succeeded(login):
                await out
        finally:
            for task in (login, out):
                task.cancel()
            await asyncio.gather(login, out, return_exceptions=True)

    async def _succeeded(self, login: asyncio.Task[None]) -> bool:
        try:
            await login
        except ZimError as error:
            self._refused(error)
            return False
        if self._out.is_set():  # with an expired token the SDK's login succeeds, but nobody is logged in
            self._at_once = False
            self._update(None, OVER_AT_ONCE())
            return False
        self._logged_in = True
        self._set(login_duration_us=self._clock() - self._began_us, logins=self.status.logins + 1)
        self._update(True)
        return True

    async def _first(self, tasks: set[asyncio.Task[Any]], within_s: float) -> bool:
        """Waits for one of the tasks; whether one was done in time."""
        deadline = asyncio.create_task(self._sleep(within_s))
        try:
            done, _ = await asyncio.wait({*tasks, deadline}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            deadline.cancel()
            await asyncio.gather(deadline, return_exceptions=True)
        return bool(done - {deadline})

    async def _log_out(self, client: ZimClient) -> None:
        with contextlib.suppress(ZimError, TimeoutError):
            async with asyncio.timeout(_LOGOUT_S):
                await client.logout()

    def _connection(self, changed: ConnectionStateChanged) -> None:
        state, event = sdk_words.connection_state(changed.state), sdk_words.connection_event(changed.event)
        if state == sdk_words.DISCONNECTED:
            self._ended(event)
        elif not self._logged_in:
            return
        elif state == sdk_words.RECONNECTING and self.status.reachable:
            self._update(False, RECONNECTING())
        elif state == sdk_words.CONNECTED and not self.status.reachable:
            self._set(reconnects=self.status.reconnects + 1)
            self._update(True)

    def _ended(self, event: str) -> None:
        self._logged_in = False
        self._out.set()
        if event == sdk_words.TOKEN_EXPIRED:
            self._at_once = self._clock() - self._began_us >= self._retry_s * SECOND_US
        elif event == sdk_words.LOGIN_TIMEOUT:
            self._update(False, GIVEN_UP())
        elif event == sdk_words.KICKED_OUT:
            self._update(None, KICKED_OUT())
        elif event == sdk_words.UNREGISTERED:
            self._update(None, UNREGISTERED())

    def _lost(self, lost: SdkLost) -> None:
        self._logged_in = False
        self._out.set()
        self._update(None, verbatim(lost.reason))

    def _refused(self, error: ZimError) -> None:
        if isinstance(error, SdkLostError):
            self._update(None, verbatim(error.message))
            return
        self._count(error.code)
        self._update(False if error.code in error_codes.NETWORK else None, REFUSED(why=error))

    def _error(self, error: ErrorInfo) -> None:
        self._count(error.code)

    def _count(self, code: int) -> None:
        self._set(errors=self.status.errors | {code: self.status.errors.get(code, 0) + 1})

    def _update(self, reachable: bool | None, problem: Text | None = None) -> None:  # noqa: FBT001 - three values
        """Updates the status if this is new."""
        before = self.status
        if before.since_us is not None and (before.reachable, before.problem) == (reachable, problem):
            return
        moved = before.since_us is None or before.reachable != reachable
        since_us = self._clock() if moved else before.since_us
        self._set(reachable=reachable, problem=problem, since_us=since_us)
        self._changed(self.status)

    def _set(self, **fields: object) -> None:
        self.status = msgspec.structs.replace(self.status, **fields)
        publish(self.status)
