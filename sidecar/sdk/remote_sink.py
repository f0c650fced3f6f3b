"""Sends events to a Zimwatch elsewhere: at least once, in order, with the same ids, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import sqlite3
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final, Self

import aiohttp
import msgspec

from sidecar.clock import Clock, now_us
from sidecar.errors import ZimwatchError
from sidecar.sdk.outgoing import Outgoing
from sidecar.sdk.recorder import WireEvent

PATH: Final = "/v1/events"
BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 500_000
GATHER_S: Final = 0.05  # a call and the callbacks inside it travel together
ANSWER_S: Final = 10.0
FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 30.0
REFUSED_RETRY_S: Final = 300.0  # a token that is refused is seldom accepted a moment later
LAST_WORDS_S: Final = 2.0
MOST_BYTES: Final = 16 << 20
_GZIP_FROM_BYTES: Final = 1_000
_OK, _BAD_REQUEST, _TOO_LARGE, _TOO_MANY = 200, 400, 413, 429


class SinkStatus(msgspec.Struct, frozen=True):
    """``queued`` events wait, ``dropped`` were lost in all; ``problem`` is why nothing gets through, else None."""

    queued: int
    dropped: int
    problem: str | None


class RemoteSink:
    """A sink for :func:`sidecar.sdk.observing.observe`. An asynchronous context manager.

    ``folder`` holds the queue, and belongs to one process at a time; what an earlier process left there is sent
    first. On leaving the context two seconds are spent on what waits, and the rest stays for the next process.
    """

    def __init__(
        self,
        endpoint: str,
        ingest_token: str | None = None,
        *,
        folder: Path,
        most_bytes: int = MOST_BYTES,
        clock: Clock = now_us,
        rng: Random | None = None,
    ) -> None:
        if not endpoint.lower().startswith(("http://", "https://")):
            raise ZimwatchError(f"the endpoint must be the http(s) address of a Zimwatch server, not {endpoint!r}")
        self._url = endpoint.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {ingest_token}"} if ingest_token else {}
        self._queue = Outgoing(folder, most_bytes=most_bytes)
        self._clock = clock
        self._rng = rng or SystemRandom()
        self._problem: str | None = None
        self._lost = 0
        self._in_flight = 0
        self._failures = 0
        self._batch_events = BATCH_EVENTS
        self._pushed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._emptied = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._pushed.set()
        self._task = asyncio.create_task(self._run(), name="remote sink")
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.flush(LAST_WORDS_S)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            self._queue.close()

    @property
    def status(self) -> SinkStatus:
        """How it stands."""
        return SinkStatus(self._queue.count, self._queue.dropped + self._lost, self._problem)

    def put(self, event: WireEvent) -> None:
        """Keeps an event on disk until it is answered for. Never raises: one that cannot be kept counts as dropped."""
        try:
            self._queue.push(event, in_flight=self._in_flight)
        except Exception as error:  # noqa: BLE001 - a full disk or whatever it is, it is not the app's trouble
            self._lost += 1
            self._problem = f"an event could not be kept ({error})"
        self._pushed.set()

    async def flush(self, within_s: float) -> int:
        """Tries at once, unless the server asked for time, and waits until all is delivered; how many still wait."""
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._emptied:
                await self._emptied.wait_for(lambda: self._queue.count == 0)
        return self._queue.count

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while True:
                await self._pushed.wait()
                self._pushed.clear()
                await asyncio.sleep(GATHER_S)
                while self._queue.count:
                    rest_s, asked_for = await self._one_batch(session)
                    await self._rest(rest_s, asked_for=asked_for)
                async with self._emptied:
                    self._emptied.notify_all()

    async def _one_batch(self, session: aiohttp.ClientSession) -> tuple[float, bool]:
        try:
            batch = self._queue.oldest(self._batch_events, BATCH_BYTES)
            self._in_flight = batch[-1][0]
            return await self._send(session, batch)
        except sqlite3.Error as error:
            return self._again(f"the queue cannot be used ({error})", LAST_RETRY_S), False
        finally:
            self._in_flight = 0

    async def _rest(self, rest_s: float, *, asked_for: bool) -> None:
        """A flush cuts it short, but for the time that the server asked for."""
        if asked_for or rest_s <= 0:
            await asyncio.sleep(rest_s)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), rest_s)
        self._hurry.clear()

    async def _send(self, session: aiohttp.ClientSession, batch: list[tuple[int, bytes]]) -> tuple[float, bool]:
        """One attempt: how long to rest after it, and whether the server asked for that."""
        body = b"[" + b",".join(body for _, body in batch) + b"]"
        headers = {"Content-Type": "application/json"}
        if len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await _json(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._again(
                f"the server was not reached ({str(error) or type(error).__name__})", LAST_RETRY_S
            ), False
        positions = [position for position, _ in batch]
        # Whatever stands between may answer 200 as well; only the server itself says how many it took.
        if response.status == _OK and isinstance(answer.get("accepted"), int):
            self._taken(positions, answer)
            return 0.0, False
        if response.status in {_BAD_REQUEST, _TOO_LARGE}:
            self._too_much(positions, response.status)
            return 0.0, False
        refused = 400 <= response.status < 500 and response.status != _TOO_MANY  # noqa: PLR2004 - HTTP's client errors
        rest_s = self._again(f"the server answered {response.status}", REFUSED_RETRY_S if refused else LAST_RETRY_S)
        asked_s = self._retry_after_s(response.headers)
        return max(rest_s, asked_s), asked_s > 0

    def _taken(self, positions: list[int], answer: dict[str, Any]) -> None:
        self._queue.remove(positions)
        self._failures = 0
        self._batch_events = min(BATCH_EVENTS, self._batch_events * 2)
        rejected = answer.get("rejected") or []
        self._problem = f"the server refused an event: {rejected[0].get('error')}" if rejected else None

    def _too_much(self, positions: list[int], status: int) -> None:
        """Half of it may pass; what is refused all alone will be refused for ever."""
        if len(positions) > 1:
            self._batch_events = (len(positions) + 1) // 2
            return
        self._queue.remove(positions, dropped=True)
        self._problem = f"the server could not take an event ({status})"

    def _again(self, why: str, longest_s: float) -> float:
        self._problem = why
        full = min(FIRST_RETRY_S * 2.0**self._failures, longest_s)
        self._failures = min(self._failures + 1, 20)
        return full * self._rng.uniform(0.5, 1.0)

    def _retry_after_s(self, headers: Mapping[str, str]) -> float:
        text = headers.get("Retry-After", "")
        if text.isdigit():
            return min(float(text), REFUSED_RETRY_S)
        try:
            until_s = parsedate_to_datetime(text).timestamp()
        except ValueError:
            return 0.0
        return min(max(until_s - self._clock() / 1_000_000, 0.0), REFUSED_RETRY_S)


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(await response.read())
    except msgspec.MsgspecError:
        return {}
    return answer if isinstance(answer, dict) else {}
