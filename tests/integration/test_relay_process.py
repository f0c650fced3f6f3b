"""The relay in its own process: whoever of the two dies, or cannot write, no span is lost and no process is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from sidecar import telemetry
from sidecar.clock import now_us
from sidecar.errors import SettingsError, StoreUnavailableError
from sidecar.settings import LogSettings
from sidecar.store import Store
from tests.integration.test_relay import changes, drained, ids, opened, until
from tests.support.events import Phone
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.process import serving
from tests.support.running import zimwatch


@contextlib.asynccontextmanager
async def relaying(store: Store, receiver: Receiver) -> AsyncIterator[telemetry.RelayProcess]:
    outbox = telemetry.StoreOutbox(store, telemetry.Metrics(store, now_us))
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    relay = telemetry.RelayProcess(outbox, store.path, environ, LogSettings(level="error"))
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(task, 20)
        assert relay.pid is None


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_relay_that_is_killed_before_it_was_answered_is_started_again_and_sends_the_same(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        receiver.answering.clear()
        await store.append(changes(5))
        with structlog.testing.capture_logs() as logged:
            async with relaying(store, receiver) as relay:
                await receiver.wait_for(requests=1)
                first = relay.pid
                assert first is not None
                os.kill(first, signal.SIGKILL)
                receiver.answering.set()
                await receiver.wait_for(spans=5, requests=2)
                await drained(store)
                assert relay.pid not in {None, first}
        assert set(ids(receiver.spans)) == set(ids(receiver.spans[:5]))
        assert [(line["log_level"], line["exit_code"]) for line in logged] == [("warning", -signal.SIGKILL)]


async def test_what_could_not_be_committed_is_sent_and_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        done = store.spans_done

        async def full_disk(*_args: object) -> None:
            monkeypatch.setattr(store, "spans_done", done)
            raise StoreUnavailableError("the disk is full")

        monkeypatch.setattr(store, "spans_done", full_disk)
        await store.append(changes(5))
        async with relaying(store, receiver):
            await receiver.wait_for(spans=10)
            await drained(store)
    assert ids(receiver.spans[5:]) == ids(receiver.spans[:5])


async def test_what_is_appended_later_follows_and_is_counted(tmp_path: Path) -> None:
    async with receiving() as receiver, zimwatch(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as running:

        async def exported() -> float:
            async with running.http.get("/metrics") as response:
                told = (await response.text()).splitlines()
            return sum(float(line.split()[-1]) for line in told if line.startswith("zimwatch_spans_exported_total"))

        before = await exported()
        for number in range(3):
            await running.store.append([Phone(f"user-{number}").says("CONNECTED", "SUCCESS", at=0)])
            await receiver.wait_for(spans=number + 1)
        await drained(running.store)
        async with asyncio.timeout(30):
            while await exported() - before < 3:  # noqa: ASYNC110 - it is counted behind the commit
                await asyncio.sleep(0.01)


async def test_it_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        serving(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as (_, process),
    ):
        await until(lambda: bool(children_of(process.pid)))
        (child,) = children_of(process.pid)
        process.kill()
        await process.wait()
        await until(lambda: not is_alive(child))


async def test_a_certificate_that_is_none_keeps_it_from_starting(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(wrong),
    }
    with pytest.raises(SettingsError, match="certificates for the collector cannot be used"):
        async with zimwatch(tmp_path, environ):
            pass
