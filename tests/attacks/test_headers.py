"""No request makes Zimwatch fail: invalid input gets a problem document that names it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sidecar import alerting, web_application
from sidecar.clock import now_us
from sidecar.domain.app_ids import AppIds
from sidecar.settings import AlertSettings, Settings, ZegoSettings
from tests.support import header_bytes, raw
from tests.support.running import Zimwatch
from tests.support.tokens import new_token

CALLS = [
    (b"POST", b"/v1/events", b"[]"),
    (b"POST", b"/v1/chatops", b'{"text":"help"}'),
    (b"POST", b"/v1/chatops/slack", b"text=help"),
    (b"POST", b"/v1/callbacks/zego", b"{}"),
    (b"POST", b"/v1/silences", b"{}"),
    (b"POST", b"/silences", b"a=b"),
    (b"POST", b"/sign-in", b"name=a&password=b"),
    (b"POST", b"/sign-out", b""),
    (b"GET", b"/sign-in", b""),
    (b"GET", b"/v1/rejected", b""),
    (b"GET", b"/v1/users", b""),
    (b"GET", b"/v1/users/1/alice", b""),
    (b"GET", b"/v1/stream", b""),
    (b"GET", b"/live/users", b""),
    (b"GET", b"/", b""),
    (b"GET", b"/users/1/alice", b""),
    (b"GET", b"/tap/zim-tap.js", b""),
    (b"GET", b"/language", b""),
    (b"GET", b"/hand-off/x", b""),
    (b"OPTIONS", b"/v1/events", b""),
    (b"HEAD", b"/v1/stream", b""),
    (b"HEAD", b"/live/", b""),
]


@pytest.fixture
def options() -> dict[str, Any]:
    alerts = AlertSettings(chatops_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", slack_signing_secret="slack")
    return {"alerts": alerts, "zego": ZegoSettings(callback_secrets=("7:secret",))}


@pytest.mark.parametrize("has_owner", [False, True])
async def test_no_byte_in_a_header_a_path_or_a_query_makes_a_call_fail(running: Zimwatch, *, has_owner: bool) -> None:
    if has_owner:
        await new_token(running.store, "read")
    # Each request of the many to one of the calls, so that every call gets some of each kind.
    every = [list(header_bytes.requests(*call[:2], header_bytes.TELLING_BYTES, call[2])) for call in CALLS]
    sent = [every[place % len(every)][place] for place in range(len(every[0]))]
    assert await header_bytes.failures(running.url, sent) == []


# Some of the calls: above every call gets the bytes that tell most.
@pytest.mark.soak
@pytest.mark.parametrize("call", CALLS[::5], ids=lambda call: f"{call[0].decode()} {call[1].decode()}")
async def test_no_byte_at_all_in_any_place_makes_any_call_fail(
    running: Zimwatch, call: tuple[bytes, bytes, bytes]
) -> None:
    sent = header_bytes.requests(*call[:2], header_bytes.EVERY_BYTE, call[2])
    assert await header_bytes.failures(running.url, sent) == []


@pytest.mark.parametrize("path", ["/v1/stream", "/live/", "/live/users", "/live/alerts"])
async def test_a_head_of_a_stream_ends(running: Zimwatch, path: str) -> None:
    request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    async with raw.connected(running.url) as (reader, writer):
        writer.write(request)
        assert b" 405 " in (await reader.read()).splitlines()[0]


DEEP = "[" * 25_000 + "]" * 25_000
DIGITS = "9" * 5_000
BODIES = [
    f'{{"text": "help", "unknown": {DEEP}}}',
    f'{{"matchers": {{"user_id": {DEEP}}}}}',
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    f'{{"text": "ack {DIGITS}"}}',
    f'{{"text": {DIGITS}}}',
    f'{{"matchers": {{"app_id": {DIGITS}}}, "reason": "x", "duration": "{DIGITS}h"}}',
    f'{{"appid": {DIGITS}, "event": "user_action", "timestamp": 1, "nonce": 1, "signature": "x"}}',
    f'{{"appid": 7, "event": "user_action", "timestamp": "{DIGITS}", "nonce": 1, "signature": "é"}}',
    '{"matchers": {"user_id": "x"}, "reason": "x", "ends_at": "9999-12-31T23:59:59-23:59"}',
    '{"text": "\\ud800", "user": "\\udfff"}',
    '{"text": "status \\u0000"}',
    "\ufeff{}",
    "",
]


@pytest.mark.parametrize(
    "path", ["/v1/events", "/v1/chatops", "/v1/silences", "/v1/alerts/1/ack", "/v1/callbacks/zego"]
)
async def test_no_json_makes_a_call_fail(running: Zimwatch, path: str) -> None:
    for body in BODIES:
        for given in (body, f"[{body}]"):
            async with running.http.post(
                path, data=given.encode(), headers={"Content-Type": "application/json"}
            ) as answer:
                assert answer.status < 500, given[:80]
                if answer.status >= 400:
                    assert answer.content_type == "application/problem+json"


PARTS = (b"9" * 5_000, b"9" * 19, b"1/%ff", b"%ff", b"%00", b"%ed%a0%80", b"..", b"%2f", b"-1", "é".encode())
_PARAMETER = re.compile(rb"\{[a-z_]+\}")


async def no_metrics(_apps: AppIds) -> tuple[bytes, str]:
    return b"", ""


async def test_no_part_of_a_path_makes_any_route_fail(running: Zimwatch) -> None:
    reaction = alerting.reaction_of(Settings())
    application = web_application.build(Settings(), running.store, reaction, now_us, metrics_text=no_metrics)
    sent = []
    for method, path in {(one.method, one.resource.canonical) for one in application.router.routes() if one.resource}:
        if method == "GET" and (path == "/v1/stream" or path.startswith("/live")):
            continue  # an answer that does not end; tried above
        for part in PARTS if "{" in path else PARTS[:1]:
            filled = _PARAMETER.sub(lambda _, part=part: part, path.encode())  # type: ignore[misc]
            headers = {} if path.startswith("/v1/") else {b"Accept": b"text/html"}
            sent.append(header_bytes.made(method.encode(), filled, headers, b""))
            sent.append(header_bytes.made(method.encode(), filled + b"?id=" + part, headers, b""))
    assert len(sent) > 200
    assert await header_bytes.failures(running.url, sent) == []
