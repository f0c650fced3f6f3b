"""Sends events to a Zimwatch server: at least once, in order, with the same ids."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final, Self

import aiohttp
import msgspec

from sidecar.clock import Clock, now_us
from sidecar.domain import rfc3339
from sidecar.domain.retry import Backoff, retry_after_us
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.errors import ZimwatchError
from sidecar.sdk.recording.event_queue import EventQueue
from sidecar.sdk.recording.recorder import WireEvent

log = logging.getLogger(__name__)  # the app's own logging: this runs in other programs too

PATH: Final = "/v1/events"
BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 500_000
GATHER_S: Final = 0.05  # batches a call with the callbacks inside it
ANSWER_S: Final = 10.0
_BACKOFF: Final = Backoff(first_us=SECOND_US, longest_us=30 * SECOND_US, longest_requested_us=5 * MINUTE_US)
# A token that is refused is seldom accepted a moment later.
_REFUSED_BACKOFF: Final = Backoff(first_us=SECOND_US, longest_us=5 * MINUTE_US, longest_requested_us=5 * MINUTE_US)
CLOSE_FLUSH_S: Final = 2.0
MOST_BYTES: Final = 16 << 20
_GZIP_FROM_BYTES: Final = 1_000
_OK, _BAD_REQUEST, _TOO_LARGE, _TOO_MANY = 200, 400, 413, 429


MakeAssertion = Callable[[str], Awaitable[str | None]]
"""Returns an assertion for a user id."""


class _Named(msgspec.Struct):
    user_id: str | None = None


_user: Final = msgspec.json.Decoder(_Named)


def _of_one_user(batch: list[tuple[int, bytes]]) -> tuple[list[tuple[int, bytes]], str | None]:
    """The events before the first of a second user, as an assertion is of one; and that user."""
    user_id: str | None = None
    for place, (_, body) in enumerate(batch):
        own = _user.decode(body).user_id
        if own is not None and own != (user_id := user_id or own):
            return batch[:place], user_id
    return batch, user_id


class SinkStatus(msgspec.Struct, frozen=True):
    """``queued`` events wait, ``dropped`` were lost in total; ``problem`` is why delivery fails, else None."""

    queued: int
    dropped: int
    problem: str | None


class RemoteSink:
    """A sink for :func:`sidecar.sdk.recording.observing.observe`. An asynchronous context manager.

    ``assertion`` returns the assertion of the app's backend for a user whose events are about to be sent, or None;
    where it raises, the events wait. ``folder`` holds the queue, for one process at a time; events that an earlier
    process left are sent first. On exit the context flushes for up to two seconds, and leaves the rest to the next
    process.
    """

    def __init__(
        self,
        endpoint: str,
        ingest_token: str | None = None,
        *,
        folder: Path,
        assertion: MakeAssertion | None = None,
        most_bytes: int = MOST_BYTES,
        clock: Clock = now_us,
        rng: Random | None = None,
    ) -> None:
        if not endpoint.lower().startswith(("http://", "https://")):
            raise ZimwatchError(f"the endpoint must be the http(s) address of a Zimwatch server, not {endpoint!r}")
        self._url = endpoint.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {ingest_token}"} if ingest_token else {}
        self._assertion = assertion
        self._queue = EventQueue(folder, most_bytes=most_bytes)
        self._clock = clock
        self._rng = rng or SystemRandom()
        self.heartbeat_after_s: float | None = None
        self._problem: str | None = None
        self._refusal_logged = False
        self._lost = 0
        self._in_flight = 0
        self._failures = 0
        self._batch_events = BATCH_EVENTS
        self._pushed = asyncio.Event()
        self._flushing = asyncio.Event()
        self._emptied = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._pushed.set()
        self._task = asyncio.create_task(self._run(), name="remote sink")
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.flush(CLOSE_FLUSH_S)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            self._queue.close()

    @property
    def status(self) -> SinkStatus:
        """The current status."""
        return SinkStatus(self._queue.count, self._queue.dropped + self._lost, self._problem)

    def put(self, event: WireEvent) -> None:
        """Stores an event until it is acknowledged. Never raises: an event that cannot be stored counts as dropped."""
        try:
            self._queue.push(event, in_flight=self._in_flight)
        except Exception as error:  # noqa: BLE001 - no error, such as a full disk, may reach the app
            self._lost += 1
            self._problem = f"an event could not be stored ({error})"
        self._pushed.set()

    def discard(self) -> None:
        """Discards all events that wait, as where consent is withdrawn: end what :func:`observe` gave before it."""
        self._queue.clear()

    async def flush(self, within_s: float) -> int:
        """Sends at once, unless within a Retry-After, and waits until all is delivered; returns how many still wait."""
        self._flushing.set()
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
                    pause_s, is_requested = await self._send_oldest(session)
                    await self._pause(pause_s, is_requested=is_requested)
                async with self._emptied:
                    self._emptied.notify_all()

    async def _send_oldest(self, session: aiohttp.ClientSession) -> tuple[float, bool]:
        try:
            batch = self._queue.oldest(self._batch_events, BATCH_BYTES)
            self._in_flight = batch[-1][0]
            if self._assertion is None:
                return await self._send(session, batch)
            batch, user_id = _of_one_user(batch)
            proof = None if user_id is None else await self._assertion(user_id)
            return await self._send(session, batch, proof)
        except sqlite3.Error as error:
            return self._failed(f"the queue cannot be used ({error})"), False
        except Exception as error:  # noqa: BLE001 - queued events are retried after any error
            return self._failed(f"the events could not be sent ({error!r})"), False
        finally:
            self._in_flight = 0

    async def _pause(self, pause_s: float, *, is_requested: bool) -> None:
        """Waits; a flush ends the pause unless the server requested it."""
        if is_requested or pause_s <= 0:
            await asyncio.sleep(pause_s)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flushing.wait(), pause_s)
        self._flushing.clear()

    async def _send(
        self, session: aiohttp.ClientSession, batch: list[tuple[int, bytes]], proof: str | None = None
    ) -> tuple[float, bool]:
        """Makes one attempt; returns the pause after it, and whether the server requested that pause."""
        body = b"[" + b",".join(body for _, body in batch) + b"]"
        headers = {"Content-Type": "application/json"}
        if proof:
            headers["Zimwatch-Assertion"] = proof
        if len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            # From this the server knows how far this clock is off.
            sent_us = self._clock()
            query = {"sent_at": rfc3339.text(sent_us)}
            request = session.post(self._url, params=query, data=body, headers=headers, allow_redirects=False)
            async with request as response:
                answer = await _json(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._failed(f"the server was not reached ({str(error) or type(error).__name__})"), False
        positions = [position for position, _ in batch]
        # A proxy may answer 200 too; only the server itself returns how many it accepted.
        if response.status == _OK and isinstance(answer.get("accepted"), int):
            self._acknowledged(positions, answer)
            return 0.0, False
        if response.status in {_BAD_REQUEST, _TOO_LARGE}:
            self._halve(positions, response.status)
            return 0.0, False
        refused = 400 <= response.status < 500 and response.status != _TOO_MANY  # noqa: PLR2004 - HTTP's client errors
        backoff = _REFUSED_BACKOFF if refused else _BACKOFF
        requested_us = retry_after_us(response.headers, sent_us) or 0
        return self._failed(f"the server answered {response.status}", backoff, requested_us), requested_us > 0

    def _acknowledged(self, positions: list[int], answer: dict[str, Any]) -> None:
        self._queue.remove(positions)
        self._failures = 0
        self._batch_events = min(BATCH_EVENTS, self._batch_events * 2)
        self._problem = answer.get("assertion_error")
        self.heartbeat_after_s = answer.get("heartbeat_after_s")
        rejected = answer.get("rejected") or []
        if rejected:
            self._lost += len(rejected) + (answer.get("rejected_more") or 0)
            self._refused(rejected[0].get("error"))

    def _halve(self, positions: list[int], status: int) -> None:
        """Halves the next batch; a single event that is refused is dropped."""
        if len(positions) > 1:
            self._batch_events = (len(positions) + 1) // 2
            return
        self._queue.remove(positions, dropped=True)
        self._refused(status)

    def _refused(self, reason: object) -> None:
        """Logs once that events were refused for good, because the sender has to be fixed."""
        self._problem = f"the server refused an event ({reason})"
        if not self._refusal_logged:
            log.warning("%s; further ones are only counted", self._problem)
        self._refusal_logged = True

    def _failed(self, why: str, backoff: Backoff = _BACKOFF, requested_us: int = 0) -> float:
        """Records why an attempt failed; returns the seconds until the next one."""
        self._problem = why
        self._failures += 1
        return backoff.pause_us(self._failures, self._rng.random(), requested_us) / SECOND_US


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(await response.read())
    except msgspec.MsgspecError:
        return {}
    return answer if isinstance(answer, dict) else {}
