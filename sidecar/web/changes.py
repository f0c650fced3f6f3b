"""The hub of changes: serves event streams, from one subscription to commits that lasts while any stream is open.

The API's stream and the open pages are its sources. A source decides what its readers get; the hub writes it out, keeps
idle connections alive, and ends a stream with a reason once its request loses access.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from aiohttp import web

from sidecar import access
from sidecar.domain.texts import Text
from sidecar.store import Store
from sidecar.store.values import Commit
from sidecar.web.event_stream import EventStream, Payload

KEEP_ALIVE_S: Final = 15.0
_STILL_HERE: Final = Payload(b": still here\n\n")


class Reader(ABC):
    """One open event stream. ``awake`` is set while there may be something to send.

    A source keeps at most one message for a reader. One that is slow gets the newest state later.
    """

    def __init__(self) -> None:
        self.awake = asyncio.Event()

    async def begin(self, stream: EventStream) -> None:  # noqa: B027 - most begin with nothing
        """Writes what comes before any change."""

    @abstractmethod
    async def send(self, stream: EventStream) -> None:
        """Writes what there is to send; called after ``awake`` was set."""


R = TypeVar("R", bound=Reader)


class Source(ABC, Generic[R]):
    """Follows commits for its readers. All methods run in the event loop and do not block."""

    @abstractmethod
    def join(self, reader: R) -> None:
        """Wakes ``reader`` from now on."""

    @abstractmethod
    def leave(self, reader: R) -> None:
        """Forgets ``reader``; with the last one, stops every task of the source."""

    @abstractmethod
    def follow(self, commit: Commit) -> None:
        """Notes what the commit changed."""


class Hub:
    """All open event streams of a server."""

    def __init__(self, store: Store, authenticator: access.Authenticator) -> None:
        self._store = store
        self._authenticator = authenticator
        self._readers: Counter[Source[Any]] = Counter()
        self._unsubscribe: Callable[[], None] | None = None

    async def serve(
        self, request: web.Request, source: Source[R], reader: R, *, reason: Callable[[Text], str] = str
    ) -> web.StreamResponse:
        """Streams to ``reader`` until it disconnects or its request loses access; ``reason`` words why."""
        stream = EventStream()
        with contextlib.suppress(ConnectionError):  # the reader disconnected
            try:
                await stream.begin(request)
                with self._joined(source, reader):
                    await reader.begin(stream)
                    watch = access.Watch(self._authenticator, request, KEEP_ALIVE_S)
                    while True:
                        if await watch.wait(reader.awake):
                            await reader.send(stream)
                        else:
                            await stream.write(_STILL_HERE)
            except access.EndedError as ended:
                await stream.write(Payload(ended.message(reason(ended.text))))
            await stream.end()
        return stream.response

    @contextlib.contextmanager
    def _joined(self, source: Source[R], reader: R) -> Iterator[None]:
        if self._unsubscribe is None:
            self._unsubscribe = self._store.subscribe(self._follow)
        self._readers[source] += 1
        source.join(reader)
        try:
            yield
        finally:
            source.leave(reader)
            self._readers[source] -= 1
            if not self._readers[source]:
                del self._readers[source]
            if not self._readers and self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None

    def _follow(self, commit: Commit) -> None:
        for source in self._readers:
            source.follow(commit)
