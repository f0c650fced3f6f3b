"""Store, leases, alert rules, dispatcher and span relay in one thread on virtual time, from one seed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar import alerting, app, telemetry
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.domain.events import HEARTBEAT
from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError
from sidecar.http_client import Answer, HttpClient
from sidecar.lifecycle import Background
from sidecar.settings import AlertSettings, DatabaseSettings, Settings
from sidecar.store import Store
from sidecar.store.log import span_outbox
from sidecar.store.users import user_list
from sidecar.store.users.user_query import UserQuery
from sidecar.system.files import RealFiles
from sidecar.telemetry.otlp.exporter import ExportResult
from tests.support import virtual
from tests.support.clocks import Machine
from tests.support.events import BEGIN_US, Phone

MINUTES = 3
SILENT_S = 45
COURSE = "course.txt"
USERS = ("alice", "bob", "carol", "dave", "erin", "frank")
# Audit events of Python when work leaves this thread: https://docs.python.org/3/library/audit_events.html
LEAVES = ("_thread.start_new_thread", "subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect", "time.sleep")


class Log(list[str]):
    """Lines with their time on the virtual clock."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def add(self, text: str) -> None:
        self.append(f"{self._machine.steady_us / SECOND_US:.6f} {text}")


class Collector:
    """An exporter that accepts every request."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def export(self, request: bytes) -> ExportResult:
        await asyncio.sleep(0.02)
        spans = ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0].spans
        self._log.add("spans " + " ".join(span.span_id.hex() for span in spans))
        return ExportResult()

    async def close(self) -> None:
        pass


class Ops(HttpClient):
    """The network of the receiver ``ops``, where some requests fail."""

    def __init__(self, log: Log, chance: Random) -> None:
        self._log = log
        self._chance = chance

    async def request(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **_more: object,
    ) -> Answer:
        await asyncio.sleep(0.05)
        status = 503 if self._chance.random() < 0.3 else 200
        alert = msgspec.json.decode(body)["alert"]
        what = f"{method} {url} {(headers or {})['webhook-id']} {alert['kind']} {alert['state']} {alert['summary']}"
        self._log.add(f"{status} {what}")
        return Answer(status, {}, b"", is_whole=True)

    async def close(self) -> None:
        pass


async def life(user_id: str, store: Store, log: Log, machine: Machine, chance: Random) -> None:
    """A client that logs in, sends heartbeats, and then stops, is kicked out or loses its connection."""
    phone = Phone(user_id)

    def at() -> float:
        return (machine.now_us - BEGIN_US) / SECOND_US

    while True:
        await store.append([phone.login(at()), phone.says("CONNECTED", "SUCCESS", at())])
        for _ in range(chance.randrange(1, 5)):
            await asyncio.sleep(chance.uniform(10, 20))
            await store.append([phone.event(HEARTBEAT, at())])
        match chance.choice(("silent", "kicked out", "reconnecting")):
            case "silent":
                log.add(f"{user_id} is silent from now on")
            case "kicked out":
                await store.append([phone.says("DISCONNECTED", "KICKED_OUT", at())])
            case "reconnecting":
                await store.append([phone.says("RECONNECTING", "LOGIN_INTERRUPTED", at())])
        await asyncio.sleep(chance.uniform(SILENT_S + 5, 100))


async def statuses(store: Store, log: Log) -> None:
    """Logs each new status of a user."""
    seen: dict[str, str] = {}
    while True:
        for user in (await store.read(user_list.list_users, UserQuery(), store.now())).users:
            status = f"{user.user_id} {user.status}{' unconfirmed' if user.unconfirmed else ''}"
            if seen.get(user.user_id) != status:
                seen[user.user_id] = status
                log.add(status)
        await asyncio.sleep(1)


async def simulated(folder: Path, seed: int, machine: Machine) -> Log:
    """Runs everything for ``MINUTES`` of virtual time."""
    log, chance = Log(machine), Random(seed)  # noqa: S311 - it must be reproducible
    system = app.System(
        clock=machine.clock,
        steady=machine.steady,
        chance=chance,
        threads=virtual.OneThread(),
        http=lambda _allowed: Ops(log, chance),
        exporter=lambda: Collector(log),
    )
    settings = Settings(
        database=DatabaseSettings(url=f"sqlite:///{folder / 'zimwatch.db'}"),
        alerts=AlertSettings(receivers=(WebhookSettings(name="ops", url="https://ops.example.com/hook"),)),
    )
    reaction, background = alerting.reaction_of(settings, chance), Background()
    async with contextlib.AsyncExitStack() as stack:
        store = app.open_store(settings, system, reaction, export_spans=True)
        stack.push_async_callback(store.close)
        await alerting.begin(settings, store, reaction, system.clock)
        for part in (
            app.tending(store, background),
            app.exporting_spans(
                settings, {}, system, store, background, metrics=telemetry.Metrics(store, system.clock)
            ),
            app.alerting_beside(settings, system, store, reaction, background, exports_spans=True),
        ):
            await stack.enter_async_context(part)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(life(user_id, store, log, machine, chance)) for user_id in USERS]
            tasks.append(group.create_task(statuses(store, log)))
            await asyncio.sleep(MINUTES * 60)
            for task in tasks:
                task.cancel()
        await asyncio.sleep(5)
        log.add(f"{(await store.read(span_outbox.backlog)).spans} spans are pending")
        assert background.problems() == []
    return log


def run(folder: Path, seed: int) -> Log:
    """The log of a run, which takes some seconds."""
    machine = Machine()
    return virtual.run(machine, simulated(folder, seed, machine))


def moments(log: list[str], text: str) -> list[float]:
    return [float(line.split()[0]) for line in log if line.endswith(f" {text}")]


def test_a_seed_gives_the_same_log_in_one_thread_of_any_process(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, str(tmp_path / "there"), "7"],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        stdout=subprocess.DEVNULL,
    )
    log = run(tmp_path / "here", 7)
    assert child.wait() == 0
    assert (tmp_path / "there" / COURSE).read_text().splitlines() == log
    # Leases: each silent client is marked when its lease ends.
    silent = [(user_id, at) for user_id in USERS for at in moments(log, f"{user_id} is silent from now on")]
    marked = [(user_id, at) for user_id in USERS for at in moments(log, f"{user_id} online unconfirmed")]
    assert silent
    for user_id, at in silent:
        due = [m for one, m in marked if one == user_id and SILENT_S <= m - at < SILENT_S + 3]
        assert due or at > MINUTES * 60 - SILENT_S - 3
    # Alerts: opened, and retried until accepted, with the same id.
    sent = [line.split() for line in log if "https://ops" in line]
    accepted = {line[4] for line in sent if line[1] == "200"}
    assert {line[5] for line in sent} >= {"client_lost", "kicked_out"}
    assert {line[4] for line in sent if line[1] == "503"} & accepted
    # Spans: each once.
    spans = [span for line in log if " spans " in line for span in line.split()[2:] if len(span) == 16]
    assert len(spans) == len(set(spans)) > len(USERS)
    assert log[-1].endswith(" 0 spans are pending")


class Mount(RealFiles):
    """A disk that may be unmounted."""

    is_there = True

    def identity(self, path: Path) -> tuple[int, int] | None:
        return super().identity(path) if self.is_there else None


def test_a_disk_that_returns_is_used_within_a_second_without_any_event(tmp_path: Path) -> None:
    machine, mount = Machine(), Mount()

    async def main() -> None:
        store = Store.open(
            f"sqlite:///{tmp_path / 'zimwatch.db'}",
            clock=machine.clock,
            steady=machine.steady,
            threads=virtual.OneThread(),
            files=mount,
        )
        mount.is_there = False
        with pytest.raises(StoreUnavailableError):
            await store.append([Phone("alice").says("CONNECTED", "SUCCESS", 0)])
        await asyncio.sleep(60)
        failing = store.problem
        assert failing is not None
        mount.is_there = True
        await asyncio.sleep(1.1)
        assert store.problem is None
        await store.close()

    virtual.run(machine, main())


if __name__ == "__main__":
    left: list[str] = []
    sys.addaudithook(lambda event, _args: left.append(event) if event in LEAVES else None)
    folder = Path(sys.argv[1])
    course = run(folder, int(sys.argv[2]))
    (folder / COURSE).write_text("\n".join([*left, *course]))
