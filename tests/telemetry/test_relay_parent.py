"""The relay in a child process: no span is lost and no process is left when either of the two dies or cannot write."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import structlog

from sidecar import lifecycle, telemetry
from sidecar.clock import now_us
from sidecar.domain.retry import Backoff
from sidecar.domain.units import MS_US
from sidecar.errors import SettingsError, StoreUnavailableError
from sidecar.lifecycle import Background, Task
from sidecar.settings import LogSettings
from sidecar.store import Store
from sidecar.system import processes
from sidecar.system.processes import Child
from tests.support.events import Phone
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.process import serving
from tests.support.running import zimwatch
from tests.telemetry.test_relay import (
    changes,
    drained,
    ids,
    opened,
    until,
)


@contextlib.asynccontextmanager
async def relaying(store: Store, receiver: Receiver) -> AsyncIterator[telemetry.RelayParent]:
    outbox = telemetry.StoreOutbox(store, telemetry.Metrics(store, now_us))
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    relay = telemetry.RelayParent(outbox, f"sqlite:///{store.name}", environ, LogSettings(level="error"))
    task = Task(name="span relay", run=relay.run, stop=relay.stop)
    async with Background().running(task, finish_s=20):
        yield relay
    assert relay.pid is None


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_relay_killed_before_the_answer_is_restarted_and_sends_the_same_spans(
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
        assert [(line["log_level"], line["task"]) for line in logged] == [("error", "span relay")]
        assert f"exit code {-signal.SIGKILL}" in logged[0]["problem"]


async def test_spans_whose_acknowledgement_could_not_be_committed_are_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver, opened(tmp_path) as store:
        write = store.write

        async def full_disk(*_args: object) -> None:
            monkeypatch.setattr(store, "write", write)
            raise StoreUnavailableError("the disk is full")

        monkeypatch.setattr(store, "write", full_disk)
        await store.append(changes(5))
        async with relaying(store, receiver):
            await receiver.wait_for(spans=10)
            await drained(store)
    assert ids(receiver.spans[5:]) == ids(receiver.spans[:5])


async def test_spans_appended_later_are_exported_and_counted(tmp_path: Path) -> None:
    async with receiving() as receiver, zimwatch(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as running:

        async def exported() -> float:
            async with running.http.get("/metrics") as response:
                lines = (await response.text()).splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith("zimwatch_spans_exported_total"))

        before = await exported()
        for number in range(3):
            await running.store.append([Phone(f"user-{number}").says("CONNECTED", "SUCCESS", at=0)])
            await receiver.wait_for(spans=number + 1)
        await drained(running.store)
        async with asyncio.timeout(30):
            while await exported() - before < 3:  # noqa: ASYNC110 - it is counted after the commit
                await asyncio.sleep(0.01)


async def test_a_relay_that_cannot_start_fails_readiness_and_is_shown_until_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts, has_descriptors = 0, False

    async def start(order: Sequence[str], environ: Mapping[str, str], *, longest_line: int) -> Child:
        nonlocal attempts
        attempts += 1
        if has_descriptors:
            return await processes.start(order, environ, longest_line=longest_line)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(lifecycle, "BACKOFF", Backoff(first_us=50 * MS_US, longest_us=50 * MS_US))
    async with (
        receiving() as receiver,
        zimwatch(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}, start=start) as running,
    ):
        await running.store.append(changes(3))
        await until(lambda: attempts > 1)
        assert (await running.get("/readyz"))[0] == 503
        async with running.http.get("/") as page:
            assert "span relay failed and is started again: [Errno 24] Too many open files" in await page.text()
        has_descriptors = True
        await receiver.wait_for(spans=3)
        async with running.http.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        counted = [line for line in lines if line.startswith("zimwatch_background_restarts_total{")]
        assert [line for line in counted if 'task="span relay"' in line]


async def test_the_child_exits_when_its_server_is_killed(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        serving(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as (_, process),
    ):
        await until(lambda: bool(children_of(process.pid)))
        (child,) = children_of(process.pid)
        process.kill()
        await process.wait()
        await until(lambda: not is_alive(child))


async def test_an_unreadable_certificate_stops_the_start(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(wrong),
    }
    with pytest.raises(SettingsError, match="certificates for the collector cannot be used"):
        async with zimwatch(tmp_path, environ):
            pass
