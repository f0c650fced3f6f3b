"""Runs the real ``zego-zim-web`` in a Node.js child process, by JSON lines. The child is restarted when it dies.

One child holds any number of clients, each with its own copy of the SDK (about 3 MB, in addition to the child's 60 MB).
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

from sidecar.domain.retry import Backoff
from sidecar.domain.units import MS_US, SECOND_US
from sidecar.sdk.client.base_client import BaseClient
from sidecar.sdk.client.child import child
from sidecar.sdk.client.install import (
    SCRIPTS,
    Installed,
    SdkUnavailableError,
    find,
)
from sidecar.sdk.client.zim_client import (
    NO_CODE,
    Call,
    ConnectionStateChanged,
    ErrorInfo,
    SdkLost,
    SdkLostError,
    TokenWillExpire,
    ZimError,
)

NOWHERE: Final = "ws://127.0.0.1:9/"
"""An unreachable network: the discard port of this machine."""

_LONGEST_LINE_BYTES: Final = 64 << 20
_START_S: Final = 30
_BACKOFF: Final = Backoff(first_us=200 * MS_US, longest_us=30 * SECOND_US)
_ERROR_LINES: Final = 20


class BridgeClient(BaseClient):
    """One instance of the real SDK, created by :meth:`Bridge.create`."""

    def __init__(self, bridge: Bridge, number: int, app_id: int, *, owns_bridge: bool = False) -> None:
        super().__init__(app_id)
        self._bridge = bridge
        self._number = number
        self._owns_bridge = owns_bridge
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    @property
    def sdk_version(self) -> str:
        """The SDK's version, such as ``2.29.0``."""
        return self._bridge.sdk_version

    async def destroy(self) -> None:
        """Ends the instance, and the child if it was started for this instance alone."""
        self._bridge.forget(self._number)
        self._fail_calls("the client was destroyed")
        if self._owns_bridge:
            await self._bridge.close()

    def _begin(self, call: Call, answer: asyncio.Future[Any]) -> None:
        number = self._bridge.next_number()
        self._waiting[number] = answer
        message = {"client": self._number, "call": number, "method": call.method, "args": call.args}
        try:
            self._bridge.send(message)
        except BaseException:
            del self._waiting[number]
            raise

    def child_died(self, reason: str, *, was_ready: bool) -> None:
        """Fails pending calls. Only a child that was ready could have a login, which is lost."""
        self._waiting.clear()
        self._fail_calls(reason)
        if was_ready:
            self._lost.notify(SdkLost(reason))

    def handle(self, message: dict[str, Any]) -> None:
        """Handles a message of the child for this client; a callback of unknown shape is reported as an error."""
        try:
            self._handle(message)
        except msgspec.ValidationError as error:
            self._error.notify(ErrorInfo(NO_CODE, f"{message['callback']} has an unknown shape: {error}"))

    def _handle(self, message: dict[str, Any]) -> None:
        if "call" in message:
            answer = self._waiting.pop(message["call"], None)
            if answer is not None:
                error = message.get("error")
                outcome = message.get("result") if error is None else ZimError(error["code"], error["message"])
                self._settle(answer, outcome)
        elif message["callback"] == "connectionStateChanged":
            self._changed.notify(msgspec.convert(message["data"], ConnectionStateChanged))
        elif message["callback"] == "tokenWillExpire":
            self._will_expire.notify(msgspec.convert(message["data"], TokenWillExpire))
        else:
            self._error.notify(msgspec.convert(message["data"], ErrorInfo))


class Bridge:
    """The child and its clients. An asynchronous context manager; :meth:`start` and :meth:`close` do the same.

    ``network``: a ws address used in place of every server of ZEGOCLOUD; None for the real servers.
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
        """Starts the child and waits until the SDK is loaded; SdkUnavailableError if it cannot be."""
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="ZIM bridge")
        try:
            await self._first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends the child; pending calls raise SdkLostError."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for client in self._clients.values():
            client.child_died("the bridge was closed", was_ready=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """Of the child; None while none runs."""
        return self._process.pid if self._process else None

    def create(self, app_id: int, *, owns_bridge: bool = False) -> BridgeClient:
        """Creates a client. ``owns_bridge``: destroying it ends the child."""
        number = self.next_number()
        client = self._clients[number] = BridgeClient(self, number, app_id, owns_bridge=owns_bridge)
        self._write(_created(number, app_id))
        return client

    def next_number(self) -> int:
        """A number for a client or a call, never repeated."""
        return next(self._numbers)

    def forget(self, number: int) -> None:
        """Ends a client in the child."""
        if self._clients.pop(number, None) is not None:
            self._write(msgspec.json.encode({"destroy": number}))

    def send(self, call: dict[str, Any]) -> None:
        """Sends a call to the child, or queues it until there is one; SdkLostError after :meth:`close`."""
        if self._task is None or self._task.done() or call["client"] not in self._clients:
            raise SdkLostError("the client was destroyed, or its bridge was closed")
        line = msgspec.json.encode(call)
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
            reason, was_ready = await self._run_child()
            if self._first is not None and not self._first.done():
                self._first.set_exception(SdkUnavailableError(f"the ZIM Web SDK does not start: {reason}"))
                return
            failures = 1 if was_ready else failures + 1
            self._unsent.clear()
            for client in tuple(self._clients.values()):
                client.child_died(reason, was_ready=was_ready)
            await asyncio.sleep(_BACKOFF.pause_us(failures) / SECOND_US)

    async def _run_child(self) -> tuple[str, bool]:
        """Runs one child; returns why it ended, and whether it was ready."""
        command = [self._installed.node, str(SCRIPTS / "bridge.cjs"), *([self._network] if self._network else [])]
        environ = self._installed.environment(self._environ)
        errors: collections.deque[str] = collections.deque(maxlen=_ERROR_LINES)
        was_ready = False
        try:
            async with child(command, environ, longest_line=_LONGEST_LINE_BYTES) as process:
                reading = asyncio.create_task(_read_errors(process, errors))
                try:
                    async with asyncio.timeout(_START_S):
                        first = await _line(process)
                    if first:
                        self._begin(process, msgspec.json.decode(first)["ready"])
                        was_ready = True
                    while line := await _line(process):
                        self._dispatch(msgspec.json.decode(line))
                    await process.wait()
                    await reading
                finally:
                    self._process = None
                    reading.cancel()
        except Exception as error:  # noqa: BLE001 - a new child is started after any error
            return f"the SDK's process cannot be used ({str(error) or type(error).__name__})", was_ready
        return _reason(process.returncode, errors), was_ready

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

    def _dispatch(self, message: dict[str, Any]) -> None:
        client = self._clients.get(message["client"])
        if client is not None:
            client.handle(message)


async def create(app_id: int, *, network: str | None = None, environ: Mapping[str, str] | None = None) -> BridgeClient:
    """``ZIM.create``: a client in its own child process, which ends with :meth:`BridgeClient.destroy`.

    SdkUnavailableError if Node.js or the SDK's package is missing.
    """
    variables = os.environ if environ is None else environ
    bridge = Bridge(await find(variables), network=network, environ=variables)
    await bridge.start()
    return bridge.create(app_id, owns_bridge=True)


def _created(number: int, app_id: int) -> bytes:
    return msgspec.json.encode({"create": number, "appId": app_id})


async def _line(process: asyncio.subprocess.Process) -> bytes:
    """The next complete line; empty at the end."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = await process.stdout.readline()
    return line if line.endswith(b"\n") else b""


async def _read_errors(process: asyncio.subprocess.Process, errors: collections.deque[str]) -> None:
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(ValueError):  # a line that is too long
        async for line in process.stderr:
            errors.append(line.decode(errors="replace").strip())


def _reason(status: int | None, lines: collections.deque[str]) -> str:
    if status is not None and status < 0:
        return f"the SDK's process was ended by {signal.Signals(-status).name}"
    errors = [line for line in lines if "Error" in line]
    return f"the SDK's process ended ({errors[-1] if errors else f'exit status {status}'})"
