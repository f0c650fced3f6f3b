"""The image: small, the same each time, and as safe for events as a process on the machine itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sidecar.version import VERSION
from tests.conformance import watching
from tests.conformance.app_pages import app_server, to
from tests.support import container
from tests.support.chromium import chromium
from tests.support.container import Image
from tests.support.process import free_port

pytestmark = [pytest.mark.soak, pytest.mark.image, pytest.mark.browser, pytest.mark.node]

LARGEST_BYTES = 150_000_000
LOG_IN = """async ([endpoint, ingestToken, appID, token]) => {
  window.tap = ZimTap.install(ZIM, { endpoint, ingestToken });
  window.zim = ZIM.create({ appID });
  await zim.login("dave", { userName: "", token, isOfflineLogin: true, customStatus: "", customStatusDuration: 0 });
}"""
LOG_OUT = "() => { zim.logout(); }"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """As the image makes it, and of another user, as where somebody runs it with ``--user``."""
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o700)
    os.chown(folder, container.USER_ID, container.USER_ID)
    return folder


async def new_token(image: Image, volume: Path, scope: str, *options: str) -> str:
    async with container.container(image, volume, "token", "create", "--scope", scope, *options) as started:
        output, _ = await asyncio.wait_for(started.process.communicate(), container.START_TIMEOUT_S)
        assert started.process.returncode == 0
    return output.split()[-1].decode()


async def stored(address: str, token: str) -> list[dict[str, Any]]:
    """The events of the user whom the browser logs in."""
    path = f"/v1/users/{watching.APP}/{watching.USER}/events"
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(address) as http, http.get(path, headers=headers) as response:
        events: list[dict[str, Any]] = (await response.json())["events"] if response.ok else []
        return events


def test_it_is_small_and_a_second_build_has_the_same_digest(digest: str, image: Image, tmp_path: Path) -> None:
    assert image.compressed_bytes < LARGEST_BYTES
    os.link(container.BUILT / "base.tar", tmp_path / "base.tar")
    assert container.build(tmp_path) == digest


def test_it_is_labelled_with_the_version(image: Image) -> None:
    assert image.config["Labels"]["org.opencontainers.image.version"] == VERSION


async def test_what_the_real_sdk_reports_survives_kill_9_and_a_restart_on_the_volume(
    image: Image, volume: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    read = await new_token(image, volume, "read")
    ingest = await new_token(image, volume, "ingest", "--app-id", str(watching.APP))

    async def is_there(kind: str) -> bool:
        return kind in [event["type"] for event in await stored(address, read)]

    async with (
        watching.dead_network() as network,
        chromium(to(network)) as browser,
        app_server(address) as app,
    ):
        page = await browser.new_page()
        async with container.serving(image, volume, address, "serve", "--port", str(port)) as first:
            await check_rights(first)
            assert await first.is_healthy()
            await page.goto(app)
            await page.evaluate(LOG_IN, [address, ingest, watching.APP, watching.token04(watching.TOKEN_S)])
            await watching.eventually(lambda: is_there("connection_state_changed"))
            before = await stored(address, read)
            await first.end(signal.SIGKILL)

        await page.evaluate(LOG_OUT)
        # The port is in the environment now, where the health check has to find it as well.
        async with container.serving(image, volume, address, "serve", ZIMWATCH_SERVER__PORT=str(port)) as second:
            assert await second.is_healthy()
            await page.evaluate("tap.flush()")
            await watching.eventually(lambda: is_there("logout"))
            after = await stored(address, read)
            assert [event for event in after if event["id"] in {one["id"] for one in before}] == before
            assert await second.end(signal.SIGTERM) == 0


async def check_rights(started: container.Container) -> None:
    """Another user without any right, on files that are read-only."""
    process = Path(f"/proc/{started.pid}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    assert set(status["Uid"].split()) == {str(container.USER_ID)}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    mounts = [line.split() for line in (process / "mounts").read_text().splitlines()]
    assert next(options for _, at, _, options, *_ in mounts if at == "/").split(",")[0] == "ro"


def test_its_bill_of_materials_is_valid_and_names_the_packages_of_both_kinds(digest: str) -> None:
    assert digest
    text = (container.BUILT / "sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    named = {component["purl"].partition("@")[0] for component in json.loads(text)["components"]}
    assert named >= {"pkg:pypi/zimwatch", "pkg:pypi/aiohttp", "pkg:deb/debian/libssl3", "pkg:deb/debian/python3.11"}


def test_nothing_of_the_machine_that_built_it_is_in_the_image(image: Image) -> None:
    for path in ("etc/pip.conf", "etc/apt/apt.conf.d/99mmdebstrap", "etc/machine-id", "opt/tools", "src"):
        file = image.files / path
        assert not (file.exists() and (file.is_dir() or file.read_bytes())), path
    assert not [one for one in image.config["Env"] if one.startswith(("PIP_", "SSL_", "http"))]
