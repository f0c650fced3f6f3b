"""The real Web SDK in Node.js with the tap, and a server in another process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.conformance import watching
from tests.support.otlp_receiver import receiving
from tests.support.process import serving

SCRIPT = Path(__file__).parent / "scripts/watched-app.cjs"

pytestmark = pytest.mark.node


async def test_every_callback_is_a_row_and_a_span_and_moves_the_status(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        serving(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as (address, _),
        watching.dead_network() as port,
    ):
        token = watching.token04(watching.TOKEN_S)
        options = {
            "endpoint": address,
            "appId": watching.APP,
            "userId": watching.USER,
            "userName": watching.NICKNAME,
            "token": token,
            "network": f"ws://127.0.0.1:{port}/",
        }
        process = await asyncio.create_subprocess_exec(
            *("node", str(SCRIPT), json.dumps(options)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        seen = asyncio.create_task(watching.statuses(address))
        output, _ = await asyncio.wait_for(process.communicate(), watching.ENDS_WITHIN_S)
        assert process.returncode == 0
        callbacks = watching.check_callbacks([json.loads(line) for line in output.splitlines()])
        statuses = [(status, reason) for status, reason, _ in await seen]
        ids = watching.check_rows(tmp_path, callbacks, token)
        await watching.check_spans(receiver, ids, callbacks)
    assert statuses[-3:] == [
        ("online", "SUCCESS"),
        ("offline", "LOGIN_INTERRUPTED"),
        ("not_logged_in", "TOKEN_EXPIRED"),
    ]
