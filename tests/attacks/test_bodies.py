"""A body is read within bounds, and only from permitted senders: counted in bytes read."""

from __future__ import annotations

import gzip
import os
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from sidecar.ingest import body
from sidecar.settings import AlertSettings, ZegoSettings
from tests.support import raw
from tests.support.running import Zimwatch
from tests.support.tokens import new_token

LIMIT = 1 << 20
CHUNK = 4_096
EMPTY_MEMBER = gzip.compress(b"")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Sent:
    """Chunks without end, and how many of their bytes were taken."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.bytes += len(chunk)
            yield chunk


def for_ever(first: bytes, then: bytes) -> Iterator[bytes]:
    yield first
    while True:
        yield then * (CHUNK // len(then))


def zeros() -> Iterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    while True:
        yield packer.compress(bytes(1 << 20))


def random_bytes() -> Iterator[bytes]:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    while True:
        yield packer.compress(os.urandom(CHUNK))


# By name: what never ends, and whether it is packed.
ENDLESS: dict[str, tuple[Callable[[], Iterator[bytes]], bool]] = {
    "plain": (lambda: for_ever(b"[", b" "), False),
    "empty members": (lambda: for_ever(b"", EMPTY_MEMBER), True),
    "a file name without an end": (lambda: for_ever(b"\x1f\x8b\x08\x08" + bytes(6), b"a"), True),
    "a comment without an end": (lambda: for_ever(b"\x1f\x8b\x08\x10" + bytes(6), b"a"), True),
    "empty stored blocks": (lambda: for_ever(b"\x1f\x8b\x08\x00" + bytes(6), b"\x00\x00\x00\xff\xff"), True),
    "zeros": (zeros, True),
    "what cannot be packed": (random_bytes, True),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_endless_body_is_refused_near_the_limit(name: str) -> None:
    made, gzipped = ENDLESS[name]
    sent = Sent(made())
    with pytest.raises((body.TooLargeError, body.TooDenseError)):
        await body.read(aiter(sent), gzipped=gzipped, limit=LIMIT)
    assert sent.bytes <= LIMIT * 1.01 + 2 * CHUNK


async def test_a_body_of_many_members_is_refused_after_a_few_of_them() -> None:
    sent = Sent(for_ever(b"", EMPTY_MEMBER))
    with pytest.raises(body.TooDenseError):
        await body.read(aiter(sent), gzipped=True, limit=LIMIT)
    assert sent.bytes <= body.MEMBERS_MOST * len(EMPTY_MEMBER) + CHUNK


async def test_a_body_with_a_high_compression_ratio_is_refused_early() -> None:
    sent = Sent(zeros())
    with pytest.raises(body.TooDenseError):
        await body.read(aiter(sent), gzipped=True, limit=1 << 30)
    assert sent.bytes <= 2 * CHUNK


@pytest.mark.parametrize("cut", [1, 7, CHUNK])
async def test_an_honest_body_is_read_however_it_is_cut(cut: int) -> None:
    plain = os.urandom(30_000) + b" " * 30_000
    packed = b"".join(gzip.compress(plain[at : at + 1_024]) for at in range(0, len(plain), 1_024))
    for sent, gzipped in ((plain, False), (gzip.compress(plain), True), (packed, True)):
        chunks = (sent[at : at + cut] for at in range(0, len(sent), cut))
        assert await body.read(aiter(Sent(chunks)), gzipped=gzipped, limit=len(plain)) == plain


async def test_compressed_random_bytes_up_to_the_limit_are_accepted() -> None:
    plain = os.urandom(LIMIT)
    for level in (0, 1, 9):
        sent = Sent(iter([gzip.compress(plain, level)]))
        assert await body.read(aiter(sent), gzipped=True, limit=LIMIT) == plain


@pytest.fixture
def options() -> dict[str, Any]:
    alerts = AlertSettings(chatops_secret=SECRET, slack_signing_secret="slack")
    zego = ZegoSettings(callback_secrets=("7:secret",))
    return {"alerts": alerts, "zego": zego}


@pytest.fixture
async def running(running: Zimwatch) -> Zimwatch:
    await new_token(running.store, "read")
    return running


NOW = int(time.time())
# By name: the path, and headers of who may not send there.
STRANGERS = {
    "events": ("/v1/events", ""),
    "an acknowledgement": ("/v1/alerts/1/ack", "Authorization: Bearer nothing\r\n"),
    "a silence": ("/v1/silences", ""),
    "a form": ("/silences", ""),
    "a command": ("/v1/chatops", ""),
    "a command of an old signature": (
        "/v1/chatops",
        f"webhook-id: 1\r\nwebhook-timestamp: {NOW - 900}\r\nwebhook-signature: v1,x\r\n",
    ),
    "a command without an id": ("/v1/chatops", f"webhook-timestamp: {NOW}\r\nwebhook-signature: v1,x\r\n"),
    "a command of Slack's": ("/v1/chatops/slack", ""),
    "a command of Slack's without a signature": ("/v1/chatops/slack", f"X-Slack-Request-Timestamp: {NOW}\r\n"),
    "a packed command": (
        "/v1/chatops",
        f"webhook-id: 1\r\nwebhook-timestamp: {NOW}\r\nwebhook-signature: v1,x\r\nContent-Encoding: gzip\r\n",
    ),
    "a packed callback": ("/v1/callbacks/zego", "Content-Encoding: gzip\r\n"),
    "a long callback": ("/v1/callbacks/zego", "Content-Length: 70000\r\n"),
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_an_unauthenticated_sender_is_refused_before_the_body_is_read(running: Zimwatch, name: str) -> None:
    path, headers = STRANGERS[name]
    length = "" if "Content-Length" in headers else "Content-Length: 60000\r\n"
    # No byte of the body is ever sent: who waits for it does not answer.
    status, fields, _ = await raw.ask(
        running.url, f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n".encode()
    )
    assert 400 <= status < 500
    assert fields["content-type"].startswith("application/problem+json")
