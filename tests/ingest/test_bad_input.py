"""Invalid bodies get the documented response, and valid events among them are kept."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from sidecar.store import log_positions
from sidecar.store.log import rejected_events
from tests.support.running import Zimwatch
from tests.support.wire import wire_event, without


def a_gibibyte_of_zeros() -> bytes:
    """1 GiB in about 1 MB of gzip, made in slices."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join([*(packer.compress(block) for _ in range(1024)), packer.flush()])


GOOD = json.dumps(wire_event()).encode()

# By name: the body, its headers and the status of the answer.
BROKEN_BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "empty": (b"", {}, 400),
    "not JSON": (b"hello", {}, 400),
    "an object": (GOOD, {}, 400),
    "a string": (b'"alice"', {}, 400),
    "null": (b"null", {}, 400),
    "cut off": (b"[" + GOOD[:-5], {}, 400),
    "trailing comma": (b"[" + GOOD + b",]", {}, 400),
    "two arrays": (b"[][]", {}, 400),
    "nested 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, {}, 400),
    "nested 10,000 deep and cut off": (b"[" * 10_000, {}, 400),
    "NaN": (b"[NaN]", {}, 400),
    "UTF-8 that is none": (b'["\xff\xfe"]', {}, 400),
    "UTF-16": ("[]".encode("utf-16"), {}, 400),
    "not gzip": (b"[]", {"Content_Encoding": "gzip"}, 400),
    "gzip cut off": (gzip.compress(b"[" + GOOD + b"]")[:-12], {"Content_Encoding": "gzip"}, 400),
    "an encoding that nobody reads": (b"[]", {"Content_Encoding": "br"}, 415),
    "a type that nobody reads": (b"<events/>", {"Content_Type": "application/xml"}, 415),
    "a form": (b"a=1", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
    "too large": (b"[" + b" " * 1_100_000 + b"]", {}, 413),
}

# By name: the invalid event among valid ones.
BAD_EVENTS: dict[str, Any] = {
    "a number": 7,
    "null": None,
    "an array": [],
    "an empty object": {},
    "no id": without("id"),
    "no type": without("type"),
    "no time": without("occurred_at"),
    "no client": without("client_id"),
    "no seq": without("seq"),
    "no app": without("app_id"),
    "no state": without("state"),
    "no event": without("event"),
    "an unknown type": wire_event(type="teleported"),
    "a type that is no text": wire_event(type=5),
    "an id that is no UUID": wire_event(id="alice"),
    "an id that is nil": wire_event(id="00000000-0000-0000-0000-000000000000"),
    "an id that is a number": wire_event(id=5),
    "a session that is no UUID": wire_event(session_id=""),
    "a date without an offset": wire_event(occurred_at="2026-11-23T14:03:20"),
    "a date that is a number": wire_event(occurred_at=1_795_442_400),
    "a date that never was": wire_event(occurred_at="2026-02-30T00:00:00Z"),
    "seq 0": wire_event(seq=0),
    "a negative seq": wire_event(seq=-1),
    "a seq of one and a half": wire_event(seq=1.5),
    "a seq that is a boolean": wire_event(seq=True),
    "a seq past 64 bits": wire_event(seq=2**64),
    "an app past 64 bits": wire_event(app_id=10**30),
    "a negative app": wire_event(app_id=-1),
    "an app that is text": wire_event(app_id="1"),
    "a user that is a number": wire_event(user_id=5),
    "an empty user": wire_event(user_id=""),
    "a user of 11 kB": wire_event(user_id="a" * 11_000),
    "a state past 64 bits": wire_event(state=2**70),
    "a state that is null": wire_event(state=None),
    "a state that is a list": wire_event(state=[2]),
    "extended data that is an object": wire_event(extended_data={"reason": 1}),
    "extended data of 70 kB": wire_event(extended_data="x" * 70_000),
    "an SDK that is text": wire_event(sdk="2.29.0"),
    "token_will_expire without a second": wire_event(type="token_will_expire"),
    "a login that does not say whether offline": wire_event(type="login"),
    "an api_error without a code": wire_event(type="api_error", method="login"),
}


async def test_a_body_that_cannot_be_read_is_refused_as_a_whole(running: Zimwatch) -> None:
    for name, (body, headers, expected) in BROKEN_BODIES.items():
        status, answer = await running.send(body, **headers)
        assert (status, answer["status"]) == (expected, expected), name
        assert answer["detail"], name
        assert await running.store.read(log_positions.newest_position) == 0, name
    assert await running.get("/livez") == (200, {"status": "ok"})


async def test_an_invalid_event_is_rejected_by_name_and_kept_and_the_others_accepted(running: Zimwatch) -> None:
    for number, (name, bad) in enumerate(BAD_EVENTS.items(), 1):
        status, answer = await running.send([wire_event(user_id="alice"), bad, wire_event(user_id="bob", seq=2)])
        assert status == 200, name
        assert (answer["accepted"], answer["duplicates"]) == (2, 0), name
        (refused,) = answer["rejected"]
        assert (refused["index"], bool(refused["error"])) == (1, True), name
        given = bad.get("id") if isinstance(bad, dict) else None
        assert refused["id"] == (given if isinstance(given, str) else None), name
        kept = (await running.store.read(rejected_events.newest, 1))[0]
        assert (kept.index, kept.error) == (1, refused["error"]), name
        assert json.dumps(bad, ensure_ascii=False)[:20].replace(" ", "") in kept.body.replace(" ", ""), name
        assert await running.store.read(log_positions.newest_position) == 2 * number, name


async def test_a_gibibyte_in_a_megabyte_is_refused_without_being_buffered(running: Zimwatch) -> None:
    status, answer = await running.send(a_gibibyte_of_zeros()[:1_000_000], Content_Encoding="gzip")
    assert status == 413
    assert "after decompression" in answer["detail"]


@pytest.mark.parametrize(
    "raw",
    [b'{"id": NaN}', b'{"id": "\xff"}', b'{"user_id": "\\ud800"}', b"{" + b'"a":[' * 5_000, b"\xef\xbb" + GOOD],
)
async def test_one_invalid_line_of_ndjson_rejects_no_other(running: Zimwatch, raw: bytes) -> None:
    body = b"\r\n".join([GOOD, b"", raw, json.dumps(wire_event(seq=2)).encode(), b""])
    status, answer = await running.send(body, Content_Type="application/x-ndjson")
    assert (status, answer["accepted"], len(answer["rejected"])) == (200, 2, 1)
    assert answer["rejected"][0]["index"] == 1


@pytest.mark.parametrize(
    "event",
    [
        wire_event(user_id="a" * 10_000),
        wire_event(user_id="a\x00b"),
        wire_event(user_id="<script>alert(1)</script>"),
        wire_event(user_id="\u202eecila 🙂 ../../%2F'\""),
        wire_event(state=99, event="Teleported"),
        wire_event(state=-1, event=-7),
        wire_event(extended_data=None),
        wire_event(extended_data="Token expired for timer 45"),
        wire_event(from_the_future={"a": [1]}),
        wire_event(user_id=None),
        wire_event(seq=2**63 - 1),
        wire_event(id="5B1C3C5E-2B58-4D39-9D51-0D4E1F6B7A10"),
    ],
)
async def test_unusual_but_valid_values_are_kept_verbatim(running: Zimwatch, event: dict[str, Any]) -> None:
    status, answer = await running.send([event])
    assert (status, answer) == (
        200,
        {"accepted": 1, "duplicates": 0, "rejected": [], "rejected_more": 0, "heartbeat_after_s": 15},
    )


async def test_of_a_field_given_twice_the_last_counts(running: Zimwatch) -> None:
    twice = GOOD[:-1] + b', "user_id": "bob"}'
    assert (await running.send(b"[" + twice + b"]"))[1]["accepted"] == 1
    assert (await running.get("/v1/users/1234567890/bob"))[0] == 200
