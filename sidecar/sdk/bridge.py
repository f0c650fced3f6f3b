"""The real ``zego-zim-web`` for Python: a Node.js child that speaks JSON lines, started anew whenever it dies.

One child holds any number of clients, each with a copy of the SDK of its own (about 3 MB, beside the child's 60 MB).
The child is in a process group of its own and ends with this process, however that ends.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
import signal
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from sidecar.sdk.base import BaseClient
from sidecar.sdk.child import child
from sidecar.sdk.client import (
    NO_CODE,
    Call,
    ConnectionStateChanged,
    ErrorInfo,
    SdkLost,
    SdkLostError,
    TokenWillExpire,
    ZimError,
)
from sidecar.sdk.install import SCRIPTS, Installed, SdkUnavailableError, find

NOWHERE: Final = "ws://127.0.0.1:9/"
"""A network that is away: the discard port of this machine."""

_LONGEST_LINE_BYTES: Final = 64 << 20
_START_S: Final = 30
_FIRST_RETRY_S: Final = 0.2
_LAST_RETRY_S: Final = 30.0
_LAST_WORDS: Final = 20


class BridgeClient(BaseClient):
    """One instance of the real SDK. Made by :meth:`Bridge.create`."""

    def __init__(self, bridge: Bridge, number: int, app_id: int, *, owns_bridge: bool = False) -> None:
        super().__init__(app_id)
        self._bridge = bridge
        self._number = number
        self._owns_bridge = owns_bridge
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    @property
    def sdk_version(self) -> str:
        """As the SDK gives it, such as ``2.29.0``."""
        return self._bridge.sdk_version

    async def destroy(self) -> None:
        """Ends the instance, and the child where it was started for this one alone."""
        self._bridge.forget(self._number)
        self._lose_calls("the client was destroyed")
        if self._owns_bridge:
            await self._bridge.close()

    def _begin(self, call: Call, answer: asyncio.Future[Any]) -> None:
        number = self._bridge.next_number()
        self._waiting[number] = answer
        order = {"client": self._number, "call": number, "method": call.method, "args": call.args}
        try:
            self._bridge.send(order)
        except BaseException:
            del self._waiting[number]
            raise

    def lose(self, reason: str, *, was_ready: bool) -> None:
        """The child is gone; only one that had begun took a login with it."""
        self._waiting.clear()
        self._lose_calls(reason)
        if was_ready:
            self._lost.tell(SdkLost(reason))

    def take(self, said: dict[str, Any]) -> None:
        """What the child said about this client; a callback of a shape that is not known becomes an error."""
        try:
            self._take(said)
        except msgspec.ValidationError as error:
            self._error.tell(ErrorInfo(NO_CODE, f"{said['callback']} came in a shape that is not known: {error}"))

    def _take(self, said: dict[str, Any]) -> None:
        if "call" in said:
            answer = self._waiting.pop(said["call"], None)
            if answer is not None:
                error = said.get("error")
                self._settle(answer, said.get("result") if error is None else ZimError(error["code"], error["message"]))
        elif said["callback"] == "connectionStateChanged":
            self._changed.tell(msgspec.convert(said["data"], ConnectionStateChanged))
        elif said["callback"] == "tokenWillExpire":
            self._will_expire.tell(msgspec.convert(said["data"], TokenWillExpire))
        else:
            self._error.tell(msgspec.convert(said["data"], ErrorInfo))


class Bridge:
    """The child, and the clients in it. An asynchronous context manager; :meth:`start` and :meth:`close` do the same.

    ``network`` None is ZEGOCLOUD's servers; else the ws address that stands for every one of them.
    """

    def __init__(self, installed: Installed, *, network: str | None, environ: Mapping[str, str]) -> None:
        self.sdk_version = ""
        self._installed = installed
        self._network = network
        self._environ = environ
        self._clients: dict[int, BridgeClient] = {}
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._unsent: list[bytes] = []
        self._first: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Once it returns the SDK is loaded. SdkUnavailableError where it cannot be."""
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="ZIM bridge")
        try:
            await self._first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends the child; calls that are pending raise SdkLostError."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for client in self._clients.values():
            client.lose("the bridge was closed", was_ready=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """Of the child; None while there is none."""
        return self._process.pid if self._process else None

    def create(self, app_id: int, *, owns_bridge: bool = False) -> BridgeClient:
        """A new client. ``owns_bridge``: it ends the child with itself."""
        number = self.next_number()
        client = self._clients[number] = BridgeClient(self, number, app_id, owns_bridge=owns_bridge)
        self._write(_created(number, app_id))
        return client

    def next_number(self) -> int:
        """For a client or a call; none comes twice."""
        return next(self._numbers)

    def forget(self, number: int) -> None:
        """Ends a client in the child."""
        if self._clients.pop(number, None) is not None:
            self._write(msgspec.json.encode({"destroy": number}))

    def send(self, order: dict[str, Any]) -> None:
        """Hands an order to the child, or keeps it until there is one; SdkLostError after :meth:`close`."""
        if self._task is None or self._task.done() or order["client"] not in self._clients:
            raise SdkLostError("the client was destroyed, or its bridge was closed")
        line = msgspec.json.encode(order)
        if self._process is None:
            self._unsent.append(line)
        else:
            self._write(line)

    def _write(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line + b"\n")

    async def _run(self) -> None:
        failures = 0
        while True:
            reason, was_ready = await self._live()
            if self._first is not None and not self._first.done():
                self._first.set_exception(SdkUnavailableError(f"the ZIM Web SDK does not start: {reason}"))
                return
            failures = 0 if was_ready else failures + 1
            self._unsent.clear()
            for client in tuple(self._clients.values()):
                client.lose(reason, was_ready=was_ready)
            await asyncio.sleep(min(_FIRST_RETRY_S * 2.0 ** min(failures, 20), _LAST_RETRY_S))

    async def _live(self) -> tuple[str, bool]:
        """One life of the child: why it ended, and whether it had begun."""
        command = [self._installed.node, str(SCRIPTS / "bridge.cjs"), *([self._network] if self._network else [])]
        environ = self._installed.environment(self._environ)
        said: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
        was_ready = False
        try:
            async with child(command, environ, longest_line=_LONGEST_LINE_BYTES) as process:
                listening = asyncio.create_task(_listen(process, said))
                try:
                    async with asyncio.timeout(_START_S):
                        first = await _line(process)
                    if first:
                        self._begin(process, msgspec.json.decode(first)["ready"])
                        was_ready = True
                    while line := await _line(process):
                        self._take(msgspec.json.decode(line))
                    await process.wait()
                    await listening
                finally:
                    self._process = None
                    listening.cancel()
        except (OSError, ValueError, TimeoutError, msgspec.MsgspecError) as error:
            return f"the SDK's process cannot be used ({error})", was_ready
        return _why(process.returncode, said), was_ready

    def _begin(self, process: asyncio.subprocess.Process, version: str) -> None:
        self.sdk_version = version.split(" ", maxsplit=1)[0]
        self._process = process
        for number, client in self._clients.items():
            self._write(_created(number, client.app_id))
        for line in self._unsent:
            self._write(line)
        self._unsent.clear()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _take(self, said: dict[str, Any]) -> None:
        client = self._clients.get(said["client"])
        if client is not None:
            client.take(said)


async def create(app_id: int, *, network: str | None = None, environ: Mapping[str, str] | None = None) -> BridgeClient:
    """``ZIM.create``: a client in a child of its own, which ends with :meth:`BridgeClient.destroy`.

    SdkUnavailableError where Node.js or the SDK's package is missing.
    """
    given = os.environ if environ is None else environ
    bridge = Bridge(await find(given), network=network, environ=given)
    await bridge.start()
    return bridge.create(app_id, owns_bridge=True)


def _created(number: int, app_id: int) -> bytes:
    return msgspec.json.encode({"create": number, "appId": app_id})


async def _line(process: asyncio.subprocess.Process) -> bytes:
    """The next whole line; empty at the end."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = await process.stdout.readline()
    return line if line.endswith(b"\n") else b""


async def _listen(process: asyncio.subprocess.Process, said: collections.deque[str]) -> None:
    assert process.stderr is not None  # noqa: S101 - same
    with contextlib.suppress(ValueError):  # a line too long to be kept
        async for line in process.stderr:
            said.append(line.decode(errors="replace").strip())


def _why(status: int | None, said: collections.deque[str]) -> str:
    if status is not None and status < 0:
        return f"the SDK's process was ended by {signal.Signals(-status).name}"
    errors = [line for line in said if "Error" in line]
    return f"the SDK's process ended ({errors[-1] if errors else f'exit status {status}'})"
