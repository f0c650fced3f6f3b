"""The codes that a check of a token names, beside those that the real SDK gives for the same token."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.clock import now_us
from sidecar.domain.token04.check import check
from sidecar.domain.units import SECOND_US
from sidecar.sdk import Bridge, LoginConfig, ZimError
from tests.conformance import watching
from tests.conformance.worlds import bridge
from tests.support.token04 import FLAWED, content, made

pytestmark = pytest.mark.node

WITHIN_S = 60
# The SDK looks at the beginning of a token alone.
OF_THE_BEGINNING = {"empty", "no_token04", "other_version", "cut_off", "no_time", "milliseconds"}


async def code_of(started: Bridge, number: int, token: str) -> int | None:
    """The code that the SDK refuses a login with; None where it accepts the token, as it does without a server."""
    client = started.create(watching.APP + number)
    config = LoginConfig(token=token, user_name="", is_offline_login=True)
    try:
        await asyncio.wait_for(client.login(watching.USER, config), WITHIN_S)
    except ZimError as error:
        return error.code
    return None


async def test_what_the_sdk_refuses_by_itself_has_its_code() -> None:
    at_s = now_us() // SECOND_US
    good = [made(content(1, "alice", at_s, at_s + 3_600), mode=mode) for mode in (None, 0, 1)]
    texts = [text for text, flaw in FLAWED if text.isprintable() and flaw in OF_THE_BEGINNING] + good
    async with watching.dead_network() as port, bridge(f"ws://127.0.0.1:{port}/") as started:
        codes = await asyncio.gather(*(code_of(started, number, text) for number, text in enumerate(texts)))
    named = [[one.code for one in check(text, now_us(), {}).problems] for text in texts]
    refused = {text: (code, ours) for text, code, ours in zip(texts, codes, named, strict=True) if code is not None}
    assert {text: found for text, found in refused.items() if found[1] != [found[0]]} == {}
    assert {code for code, _ours in refused.values()} == {6_000_103, 6_000_106, 6_000_107}
    assert not refused.keys() & set(good)
