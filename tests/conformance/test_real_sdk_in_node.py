"""The real Web SDK in Node.js, with no network: what its listener hears is what is stored, shown and exported."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from sidecar.domain.connection import EVENTS, STATES
from tests.support.otlp_receiver import attributes, receiving
from tests.support.running import zimwatch

pytestmark = pytest.mark.node

TOKEN_S = 14
SCRIPT = Path(__file__).with_name("record.cjs")


async def test_every_callback_is_a_row_a_span_and_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        async with zimwatch(tmp_path, environ) as running:
            statuses: list[str] = []

            async def look() -> None:
                found = await running.store.user(1, "dave")
                if found is not None and [found.user.status] != statuses[-1:]:
                    statuses.append(found.user.status)

            looks: set[asyncio.Task[None]] = set()
            running.store.subscribe(lambda _commit: looks.add(asyncio.ensure_future(look())))
            process = await asyncio.create_subprocess_exec(
                shutil.which("node") or "node",
                str(SCRIPT),
                running.url,
                str(TOKEN_S),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            async with asyncio.timeout(60):
                out, _ = await process.communicate()
            heard = [json.loads(line) for line in out.splitlines()]
            named = [(STATES[state], EVENTS[event], extended) for state, event, extended in heard]
            assert named[-1] == ("DISCONNECTED", "TOKEN_EXPIRED", f"Token expired for timer {TOKEN_S}")
            await receiver.wait_for(spans=len(heard))
            await asyncio.gather(*looks)
            _, user = await running.get("/v1/users/1/dave")
            assert (user["status"], user["reason"]) == ("not_logged_in", "TOKEN_EXPIRED")
        assert {"online", "offline"} & set(statuses)
        assert statuses[-1] == "not_logged_in"
        assert len(receiver.spans) == len(heard)
        spans = sorted(receiver.spans, key=lambda span: (span.start_time_unix_nano, attributes(span)["zim.event.id"]))
        assert [attributes(span)["zim.connection.state"] for span in spans] == [state for state, _, _ in named]
    connection = sqlite3.connect(tmp_path / "zimwatch.db")
    stored = connection.execute(
        "SELECT connection_state, connection_event, extended_data FROM events"
        " WHERE type = 'connection_state_changed' ORDER BY seq"
    ).fetchall()
    types = {row[0] for row in connection.execute("SELECT DISTINCT type FROM events")}
    connection.close()
    assert stored == named
    assert {"login", "login_result", "token_will_expire"} <= types
