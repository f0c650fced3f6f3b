"""The doctor finds what keeps a set-up from working, and only that is a problem."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import web

from sidecar.alerting.receivers.apprise import AppriseSettings
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.clock import now_us, steady_us
from sidecar.doctor import Result, examine, machine
from sidecar.domain.units import HOUR_US, MS_US
from sidecar.settings import (
    AlertSettings,
    BackupSettings,
    DatabaseSettings,
    GroupSettings,
    IngestSettings,
    Loaded,
    OidcSettings,
    ServerSettings,
    Settings,
    ZegoSettings,
)
from sidecar.store.backup_folder import BackupFolder
from tests.support import commands
from tests.support.called import Called, listening
from tests.support.clocks import Machine
from tests.support.events import APP_ID
from tests.support.oidc.hostile import HostileProvider
from tests.support.otlp_receiver import receiving
from tests.support.process import free_port
from tests.support.proxies import KEEPS, proxy
from tests.support.running import zimwatch
from tests.support.small_server import served
from tests.support.wire import fresh_event
from tests.support.zego import SERVER_SECRET, zego_server

GIB = 1 << 30


def settings_of(folder: Path, **sections: Any) -> Settings:
    database = DatabaseSettings(url=f"sqlite:///{folder / 'zimwatch.db'}")
    sections = {"server": ServerSettings(port=free_port()), **sections}
    return Settings(database=database, **sections)


async def results(settings: Settings, environ: dict[str, str] | None = None, clock: Any = now_us) -> list[Result]:
    return [one async for one in examine(Loaded(settings, {}), environ or {}, clock=clock, steady=steady_us)]


async def problems(settings: Settings, environ: dict[str, str] | None = None, clock: Any = now_us) -> list[Result]:
    """But those of this machine's own disk, which may be busy with other tests."""
    disk = {"disk", "room"}
    found = [one for one in await results(settings, environ, clock) if one.level == "problem" and one.check not in disk]
    assert all(one.advice for one in found)
    return found


async def test_a_fresh_folder_needs_nothing_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    ended = await commands.zimwatch("doctor", "--json", "--port", free_port(), folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert found["problems"] == 0
    assert {one["level"] for one in found["results"]} == {"ok", "note"}
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - blocks for no time


async def test_a_problem_is_printed_with_what_to_do_and_the_command_exits_1(tmp_path: Path) -> None:
    async with something_else() as port:
        ended = await commands.zimwatch("doctor", "--port", port, folder=tmp_path)
    assert ended.code == 1
    assert "problem  port: another program answers" in ended.out
    assert "→ Set server.port" in ended.out


async def test_a_running_server_can_be_reached_and_its_tap_be_loaded(tmp_path: Path) -> None:
    page = "https://app.example"
    async with zimwatch(tmp_path, allowed_origins=(page,)) as running:
        await running.send([fresh_event(app_id=APP_ID)])
        server = ServerSettings(port=urlsplit(running.url).port or 0)
        allowed = IngestSettings(allowed_origins=(page,))
        assert await problems(settings_of(tmp_path, server=server, ingest=allowed)) == []
        # A page that the running server does not know, as it was started with other settings.
        other = IngestSettings(allowed_origins=(page, "https://other.example"))
        (found,) = await problems(settings_of(tmp_path, server=server, ingest=other))
        assert found.check == "tap on https://other.example"


async def test_the_public_url_is_requested_through_the_proxy(tmp_path: Path) -> None:
    port, at = free_port(), free_port()
    url = f"http://127.0.0.1:{at}/zimwatch"
    server = ServerSettings(port=port, public_url=url)
    settings = settings_of(tmp_path, server=server)
    async with zimwatch(tmp_path, server=server, port=port):
        (away,) = [one for one in await problems(settings) if one.check == "public URL"]
        assert "cannot be reached" in away.text
        async with proxy("nginx", tmp_path, port, at, path="/zimwatch", prefix=KEEPS):
            found = await results(settings)
            assert [one.check for one in found if one.level == "problem" and one.check != "disk"] == []
            assert [one.text for one in found if one.check == "proxy"] == [
                "it is reached through nginx, whose address is not in server.trusted_proxies"
            ]
            elsewhere = msgspec.structs.replace(server, public_url=f"http://127.0.0.1:{at}/other")
            (lost,) = [
                one for one in await problems(settings_of(tmp_path, server=elsewhere)) if one.check == "public URL"
            ]
            assert "answers 404" in lost.text


async def test_an_exposed_and_a_damaged_database_are_problems(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        await running.send([fresh_event(app_id=APP_ID)])
    settings = settings_of(tmp_path)
    file = tmp_path / "zimwatch.db"
    file.chmod(0o644)
    assert [one.check for one in await problems(settings)] == ["file modes"]
    file.chmod(0o600)
    raw = bytearray(file.read_bytes())
    raw[8_192:12_288] = b"\xff" * 4_096
    file.write_bytes(raw)
    assert {one.check for one in await problems(settings)} == {"database"}


async def test_events_from_the_future_show_a_clock_that_is_wrong(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        await running.send([fresh_event(app_id=APP_ID)])
    (found,) = await problems(settings_of(tmp_path), clock=lambda: now_us() - HOUR_US)
    assert found.check == "clock"


async def test_the_collector_gets_a_request_without_spans(tmp_path: Path) -> None:
    async with receiving() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        assert await problems(settings_of(tmp_path), environ) == []
        assert (collector.requests, collector.spans) == (1, [])
        collector.failures, collector.refusal = 1, 401
        (found,) = await problems(settings_of(tmp_path), environ)
        assert (found.check, "401" in found.text) == ("collector", True)
    (found,) = await problems(settings_of(tmp_path), environ)
    assert found.check == "collector"


async def test_a_channel_is_connected_to_and_gets_no_message(tmp_path: Path) -> None:
    async with listening(Called()) as hook:
        receivers = (
            WebhookSettings(name="ops", url=f"{hook.url}/hook"),
            WebhookSettings(name="away", url=f"http://127.0.0.1:{free_port()}/hook"),
            AppriseSettings(name="chat", url="json://127.0.0.1/x"),
        )
        found = await results(settings_of(tmp_path, alerts=AlertSettings(receivers=receivers)))
        levels = {one.check: one.level for one in found if one.check.startswith("channel ")}
        assert levels == {"channel ops": "ok", "channel away": "problem", "channel chat": "note"}
        assert hook.taken == []


async def test_zego_is_queried_with_the_secret_of_each_app(tmp_path: Path) -> None:
    async with zego_server() as zego:
        right = ZegoSettings(server_url=zego.url, server_secrets=(f"{APP_ID}:{SERVER_SECRET}",))
        assert await problems(settings_of(tmp_path, zego=right)) == []
    (found,) = await problems(settings_of(tmp_path, zego=right))
    assert found.check == f"ZEGO's server, app {APP_ID}"


async def test_the_provider_for_sign_in_is_that_of_the_settings(tmp_path: Path) -> None:
    groups = GroupSettings(roles={"sre": "operator"})
    provider = HostileProvider(Machine())
    async with provider.running():
        right = OidcSettings(issuer=provider.issuer, client_id="zimwatch")
        assert await problems(settings_of(tmp_path, oidc=right, groups=groups)) == []
        provider.metadata = {"issuer": f"{provider.issuer}/"}
        (found,) = await problems(settings_of(tmp_path, oidc=right, groups=groups))
        assert f"its issuer is {provider.issuer}/, that of the settings {provider.issuer}" in found.text


@pytest.mark.parametrize(
    ("sync_us", "level"), [(3 * MS_US, "ok"), (49 * MS_US, "ok"), (50 * MS_US, "note"), (500 * MS_US, "problem")]
)
def test_only_a_disk_that_stalls_commits_is_a_problem(sync_us: int, level: str) -> None:
    assert machine.speed_of(sync_us).level == level


@pytest.mark.parametrize(
    ("free", "most", "level"),
    [(20 * GIB, 10 * GIB, "ok"), (9 * GIB, 10 * GIB, "note"), (GIB // 2, GIB // 4, "note"), (GIB // 20, 1, "problem")],
)
def test_only_a_disk_without_room_is_a_problem(free: int, most: int, level: str) -> None:
    assert machine.room_of(free, most).level == level


def test_a_sqlite_whose_bug_is_avoided_is_a_note() -> None:
    assert [machine.sqlite_version(one).level for one in ((3, 40, 1), (3, 51, 2), (3, 51, 3))] == ["note", "note", "ok"]


async def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    assert machine.disk_speed(tmp_path / "away", steady_us).level == "problem"


@contextlib.asynccontextmanager
async def something_else() -> AsyncIterator[int]:
    """A program of somebody else's."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with served(web.get("/{path:.*}", hello)) as address:
        yield int(address.rpartition(":")[2])


async def test_backups_that_are_overdue_or_missing_are_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    settings = settings_of(tmp_path, backups=BackupSettings(folder=str(folder)))

    def verdict() -> tuple[str, str]:
        found = machine.backups(settings, now_us())
        return found.level, found.text

    assert machine.backups(settings_of(tmp_path), now_us()).level == "note"
    assert verdict() == ("problem", f"{folder} cannot be read: No such file or directory")
    folder.mkdir()
    assert verdict() == ("problem", f"{folder} has no good backup yet")
    made = BackupFolder(folder, settings.database.url)
    made.target(now_us() - 49 * HOUR_US).touch()
    assert verdict()[0] == "problem"
    assert "49 h ago" in verdict()[1]
    made.target(now_us() - HOUR_US).touch()
    assert verdict()[0] == "ok"
    assert "backups" in {one.check for one in await results(settings)}
