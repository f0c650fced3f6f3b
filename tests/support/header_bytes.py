"""Requests with every byte that a header, a path or a query can hold, and answers that must be no failure of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator

import msgspec

from tests.support import raw

EVERY_BYTE = range(256)
# Control characters, those that mean something in some header, and each kind of byte of UTF-8, good and bad.
TELLING_BYTES = (*b'\x00\t\x1f "%,;=:/[\\<\x7f', 0x80, 0xC3, 0xED, 0xFF)
DIGITS = b"9" * 5_000

HEADERS = (
    b"Accept",
    b"Accept-Encoding",
    b"Accept-Language",
    b"Authorization",
    b"Connection",
    b"Content-Encoding",
    b"Content-Length",
    b"Content-Type",
    b"Cookie",
    b"Expect",
    b"Forwarded",
    b"Host",
    b"If-Modified-Since",
    b"If-None-Match",
    b"If-Range",
    b"Last-Event-ID",
    b"Origin",
    b"Range",
    b"Referer",
    b"Sec-Fetch-Dest",
    b"Sec-Fetch-Mode",
    b"Sec-Fetch-Site",
    b"Transfer-Encoding",
    b"Upgrade",
    b"User-Agent",
    b"Via",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"X-Forwarded-Proto",
    b"X-Slack-Request-Timestamp",
    b"X-Slack-Signature",
    b"webhook-id",
    b"webhook-signature",
    b"webhook-timestamp",
)
# What stands before and behind the byte, by header: where the text is looked at further.
AROUND = {
    b"Accept": [(b"text/html", b"")],
    b"Authorization": [(b"Bearer ", b""), (b"Basic ", b""), (b"Basic YTpi", b""), (b"", b" x")],
    b"Content-Type": [
        (b"application/json; charset=", b""),
        (b'text/plain; charset="', b""),
        (b"multipart/form-data; boundary=", b""),
        (b"application/x-www-form-urlencoded; charset=", b""),
    ],
    b"Cookie": [
        (b"zimwatch-language=", b""),
        (b'a="', b"; b=c"),
        (b"__Host-", b"=1"),
        (b"zimwatch-session=", b""),
        (b"__Host-zimwatch-session=a", b""),
    ],
    b"Forwarded": [(b'for="', b""), (b"for=[::1", b";proto=https")],
    b"Host": [(b"[::1", b""), (b"localhost", b""), (b"localhost:", b"")],
    b"Origin": [(b"http://[::1", b""), (b"http://localhost:", b""), (b"http://", b"@localhost")],
    b"Referer": [(b"http://[", b"")],
    b"X-Forwarded-For": [(b"127.0.0.1, ", b"")],
}
HOSTLESS = b"Host"


class Probe(msgspec.Struct, frozen=True):
    """One request, and its description for a wrong answer."""

    name: str
    request: bytes


def requests(method: bytes, path: bytes, values: Iterable[int], body: bytes = b"") -> Iterator[Probe]:
    """Each header with each of the bytes, with numbers without an end, and the path and the query with each byte."""
    for header in HEADERS:
        for before, after in [(b"", b""), *AROUND.get(header, [])]:
            for text in (*(bytes([value]) for value in values), DIGITS):
                yield made(method, path, {header: before + text + after}, body)
    for value in values:
        for text in (bytes([value]), b"%%%02x" % value):
            yield made(method, path + b"/" + text, {}, body)
            yield made(method, path + b"?limit=1&q=" + text + b"&as_of=" + text + b"&" + text + b"=1", {}, body)
    for name in (b"limit", b"cursor", b"before", b"app_id", b"as_of", b"q", b"user_id", b"since", b"page", b"dry_run"):
        yield made(method, path + b"?" + name + b"=" + DIGITS, {}, body)


def made(method: bytes, path: bytes, headers: dict[bytes, bytes], body: bytes) -> Probe:
    """A request that closes its connection, unless ``headers`` say otherwise."""
    fields = {b"Host": b"localhost", b"Connection": b"close", b"Content-Type": b"application/json"}
    if body:
        fields[b"Content-Length"] = b"%d" % len(body)
    head = b"".join(b"%b: %b\r\n" % field for field in (fields | headers).items())
    shown = ", ".join(f"{name.decode()}: {value[:60]!r}" for name, value in headers.items())
    return Probe(f"{method.decode()} {path[:80]!r} {shown}", b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, path, head, body))


async def failures(url: str, probes: Iterable[Probe], *, at_once: int = 16) -> list[str]:
    """What was answered with a failure of ours, not at all, or wrong and not as a problem."""
    found: list[str] = []
    left = iter(probes)

    async def work() -> None:
        for one in left:
            wrong = await _wrong(url, one)
            if wrong:
                found.append(f"{one.name}: {wrong}")

    await asyncio.gather(*(work() for _ in range(at_once)))
    return found


async def _wrong(url: str, probe: Probe) -> str | None:
    async with raw.connected(url) as (reader, writer):
        writer.write(probe.request)
        if probe.request.startswith(b"HEAD") or b"Content-Length" in probe.request:
            writer.write_eof()
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        except asyncio.IncompleteReadError as error:
            # A request whose body has no end, or whose framing is unclear, may be disconnected.
            return None if not error.partial else f"half an answer: {error.partial!r}"
        except (ConnectionError, TimeoutError) as error:
            return f"no answer: {type(error).__name__}"
        status = int(head.split()[1])
        lower = head.lower()
        if status >= 500:
            return f"{status} {(await reader.read(2_000))[:200]!r}"
        if status >= 400 and b"problem+json" not in lower and b"text/html" not in lower:
            return f"{status} that is no problem document: {head!r}"
        if status >= 400 and b"problem+json" in lower and not probe.request.startswith(b"HEAD"):
            problem = json.loads(await reader.readexactly(int(lower.split(b"content-length:")[1].split()[0])))
            return None if problem["status"] == status else f"{status} says {problem}"
        return None
