"""Pages with the origin null, which any page can have, need the setting and a token to send events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event


async def sent(running: Zimwatch, **headers: str) -> tuple[int, str | None]:
    """The status, and the origin that may read the answer."""
    async with running.http.post("/v1/events", json=[wire_event()], headers={"Origin": "null"} | headers) as answer:
        return answer.status, answer.headers.get("Access-Control-Allow-Origin")


async def preflight_status(running: Zimwatch) -> int:
    preflight = {"Origin": "null", "Access-Control-Request-Method": "POST"}
    async with running.http.options("/v1/events", headers=preflight) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("allowed", "preflight", "with_token"),
    [((), 403, (403, None)), (("https://app.example.com",), 403, (403, None)), (("null",), 204, (200, "null"))],
)
async def test_the_origin_null_needs_the_setting_and_a_token(
    tmp_path: Path, allowed: tuple[str, ...], preflight: int, with_token: tuple[int, str | None]
) -> None:
    async with zimwatch(tmp_path, allowed_origins=allowed) as running:
        assert await preflight_status(running) == preflight
        assert (await sent(running))[0] == 403  # of this machine, but no token was ever made
        _, secret = await new_token(running.store, "ingest")
        _, reader = await new_token(running.store, "write")
        assert (await sent(running))[0] in {401, 403}
        assert await sent(running, Authorization=f"Bearer {secret}") == with_token
        headers = {"Origin": "null", "Authorization": f"Bearer {reader}"}
        async with running.http.post("/v1/silences", json={}, headers=headers) as answer:
            assert answer.status == 403
