"""The address that Zimwatch listens at, and its probe."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from sidecar.clock import now_us
from sidecar.domain.lease import Leases
from sidecar.settings import ServerSettings
from sidecar.store import Store
from tests.support.process import free_port
from tests.support.running import zimwatch
from tests.support.tokens import new_token

V4, V6 = "127.0.0.1", "[::1]"
v6 = pytest.mark.ipv6


async def make_token(folder: Path) -> None:
    """Without one Zimwatch listens on loopback alone."""
    url = f"sqlite:///{folder / 'zimwatch.db'}"
    store = Store.open(url, clock=now_us, leases=Leases(heartbeat_us=1, silent_us=1), export_spans=None)
    await new_token(store, "read")
    await store.close()


async def probe(folder: Path, *options: str, **environ: str) -> tuple[int | None, str]:
    """Its exit status and output. It ignores a proxy of the environment."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ZIMWATCH_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.probe", *options),
        cwd=folder,
        env={**clean, "http_proxy": "http://127.0.0.1:9", **environ},
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    ("host", "reached", "closed"),
    [
        ("127.0.0.1", [V4], []),
        ("0.0.0.0", [V4], []),  # noqa: S104 - that is what is tested
        pytest.param("::1", [V6], [V4], marks=v6),
        pytest.param("::", [V4, V6], [], marks=v6),
        pytest.param("[::]", [V4, V6], [], marks=v6),
    ],
)
async def test_it_listens_at_the_set_address_and_the_probe_connects_there(
    tmp_path: Path, host: str, reached: list[str], closed: list[str]
) -> None:
    await make_token(tmp_path)
    port = free_port()
    async with zimwatch(tmp_path, server=ServerSettings(host=host), port=port), aiohttp.ClientSession() as http:
        for address in reached:
            async with http.get(f"http://{address}:{port}/livez") as response:
                assert response.status == 200
        for address in closed:
            with pytest.raises(aiohttp.ClientConnectionError):
                await http.get(f"http://{address}:{port}/livez")
        at = {"ZIMWATCH_SERVER__HOST": host, "ZIMWATCH_SERVER__PORT": str(port)}
        assert await probe(tmp_path, **at) == (0, "")


async def test_the_probe_uses_the_options_that_a_process_was_started_with(tmp_path: Path) -> None:
    await make_token(tmp_path)
    settings = tmp_path / "other.toml"
    async with zimwatch(tmp_path) as running:
        settings.write_text(f"[server]\nport = {running.url.rpartition(':')[2]}\n")
        options = ("serve", "--config", str(settings), "--database-url", "sqlite:///x.db")
        stand_in = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys; sys.stdin.read()", *options, stdin=asyncio.subprocess.PIPE
        )
        try:
            assert await probe(tmp_path, "--pid", str(stand_in.pid)) == (0, "")
        finally:
            stand_in.kill()
            await stand_in.wait()


async def test_the_probe_fails_with_a_reason_where_nothing_answers(tmp_path: Path) -> None:
    status, output = await probe(tmp_path, "--port", str(free_port()))
    assert (status, "refused" in output) == (1, True)
    status, output = await probe(tmp_path, ZIMWATCH_SERVER__PORT="loud")
    assert (status, "server.port" in output) == (1, True)
