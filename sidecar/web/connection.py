"""One connection, with bounds on the time and size of headers and bodies.

aiohttp bounds each header and the time between requests, not the time that a request takes to arrive or the size of all
headers together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from sidecar.ingest.body import BodyTimeoutError
from sidecar.web import headers, problem
from sidecar.web.problem import Problem

HEAD_BYTES: Final = 98_304
_HEAD_TOO_LARGE: Final = f"the headers are larger than {HEAD_BYTES} bytes together"


class Slots(Protocol):
    """The places that connections take, and how long they may wait for a request."""

    head_s: float
    body_s: float

    def opened(self, connection: Connection) -> bool:
        """Takes a slot; False where none is free."""

    def closed(self, connection: Connection) -> None:
        """Frees the slot of the connection, if it has one."""


class Connection(RequestHandler):
    """One connection. A part of a request that takes too long or is too large ends it with an error response.

    ``on_lost`` is called once it is closed: aiohttp notifies a handler only when that writes.
    """

    __slots__ = ("_deadline", "_head_bytes", "_is_refused", "_payload", "_slots", "on_lost")

    def __init__(self, server: web.Server, slots: Slots, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(server, **options)
        self._slots = slots
        self._head_bytes = 0
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False
        self.on_lost: Callable[[], None] | None = None

    def is_unused(self) -> bool:
        """Whether no whole request has arrived on it yet."""
        return self._request_count == 0

    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""
        return self._current_request is None and not self._messages

    def is_sending(self) -> bool:
        """Whether the body of its request is still incomplete."""
        return not self._payload.is_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a slot, or answers 503 and closes."""
        super().connection_made(transport)
        if self._slots.opened(self):
            self._expect(self._slots.head_s)
        else:
            self._is_refused = True
            full = unhandled(Problem(503, "too many connections are open", {"Retry-After": "1"}))
            cast("asyncio.Transport", transport).write(_bytes_of(full))  # uvloop's is none of asyncio's classes
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Frees the slot."""
        self._slots.closed(self)
        self._expect(None)
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Parses the data, and sets the deadline for what is still missing."""
        if self._is_refused:
            return
        before, had_body_to_come = self._request_count, self.is_sending()
        super().data_received(data)
        if self._request_count != before:
            self._head_received(data)
        elif had_body_to_come:
            if not self.is_sending():
                self._expect(None)
        else:
            if self._deadline is None and data:
                self._expect(self._slots.head_s)
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, _HEAD_TOO_LARGE)

    def _head_received(self, data: bytes) -> None:
        """The headers of at least one request are complete; its body may still be on its way."""
        size, self._head_bytes = self._head_bytes + len(data), 0
        message, payload = self._messages[-1] if self._messages else (None, EMPTY_PAYLOAD)
        self._payload = payload
        self._expect(None if payload.is_eof() else self._slots.body_s)
        if isinstance(message, _ErrInfo):
            self._is_refused = True  # what follows is no HTTP either
        # The data may hold the beginning of the body, or other requests, beside the headers.
        if size > HEAD_BYTES and isinstance(message, RawRequestMessage) and _size_of_head(message) > HEAD_BYTES:
            self._messages.pop()
            self._refuse(431, _HEAD_TOO_LARGE)

    def _expect(self, within_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if within_s is None else self._loop.call_later(within_s, self._on_deadline)

    def _on_deadline(self) -> None:
        self._deadline = None
        if self._payload.is_eof():
            if self.is_unused() and not self._head_bytes:
                self.force_close()  # nothing was sent, so nobody waits for an answer
            else:
                self._refuse(408, "the headers did not arrive in time")
        elif self._current_request is None:
            self.force_close()
        else:
            self._lingering_time = 0.0  # do not wait for the rest
            self._payload.set_exception(BodyTimeoutError())

    def _refuse(self, status: int, sentence: str) -> None:
        """Answers in the order of the requests, and reads no more."""
        self._is_refused = True
        self._expect(None)
        self._messages.append((_ErrInfo(status, HttpProcessingError(code=status), sentence), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answers what never reached a handler: bytes that are no request, or that exceed a limit."""
        if status >= 500:  # noqa: PLR2004 - a failure of ours
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("a response was begun already")
        sentence = (message or "this is not HTTP").partition("\n")[0].rstrip(":").strip()
        response = unhandled(Problem(status, sentence))
        response.force_close()
        return response


def unhandled(error: Problem) -> web.Response:
    """A response to what never reached a handler, with the headers that the application would add."""
    response = problem.response(error)
    headers.protect(response.headers)
    return response


def _size_of_head(message: RawRequestMessage) -> int:
    return len(message.path) + sum(len(name) + len(value) for name, value in message.raw_headers)


def _bytes_of(response: web.Response) -> bytes:
    """A response that is written without a request."""
    body = bytes(response.body or b"") if isinstance(response.body, bytes | bytearray) else b""
    fields = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {response.status} {response.reason}\r\n{head}\r\n".encode() + body
