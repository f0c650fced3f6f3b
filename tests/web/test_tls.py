"""TLS by certificate files: what is refused, what is served, and that a new pair disturbs nobody."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from sidecar import app, checks, probe
from sidecar.clock import now_us
from sidecar.doctor import reach
from sidecar.http_client import HttpClient
from sidecar.reload import Reload
from sidecar.settings import KEYS, DatabaseSettings, Loaded, ServerSettings, Settings
from sidecar.web import tls
from tests.support.running import Zimwatch
from tests.support.tokens import new_token


def made(folder: Path, name: str, *, days: int = 100) -> tuple[Path, Path]:
    """A certificate of its own signature and its key, in files that end in ``.crt`` and ``.key``."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    order = f"openssl req -x509 -newkey rsa:2048 -nodes -days {days} -subj /CN={name}"
    alt = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    order = f"{order} -addext {alt} -keyout {key} -out {cert}"
    subprocess.run(order.split(), check=True, capture_output=True)
    return cert, key


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return made(tmp_path, "first")


@contextlib.asynccontextmanager
async def serving(folder: Path, pair: tuple[Path, Path]) -> AsyncIterator[tuple[Zimwatch, Reload]]:
    """A Zimwatch with this pair; its client trusts any certificate."""
    settings = Settings(
        server=ServerSettings(port=0, tls_cert=str(pair[0]), tls_key=str(pair[1])),
        database=DatabaseSettings(url=f"sqlite:///{folder / 'zimwatch.db'}"),
    )
    reload = Reload(Loaded(settings, dict.fromkeys(KEYS, "default")))
    async with (
        app.running(settings, {}, reload=reload) as served,
        aiohttp.ClientSession(served.url, connector=aiohttp.TCPConnector(ssl=False)) as http,
    ):
        yield Zimwatch(served.url, served.store, http), reload


def port_of(running: Zimwatch) -> int:
    return urlsplit(running.url).port or 0


async def common_name(port: int, **bounds: ssl.TLSVersion) -> str:
    """Of the certificate that a new connection gets. It sends no server name, as the host is an address."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, version in bounds.items():
        setattr(context, name, version)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    from cryptography import x509  # noqa: PLC0415 - here alone

    value = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    return value.removeprefix("CN=")


async def test_pages_calls_and_cookies_are_those_of_https(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    async with serving(tmp_path, pair) as (running, _):
        assert running.url.startswith("https://127.0.0.1:")
        _, secret = await new_token(running.store, "read")
        form = {"name": "dana", "password": secret}
        async with running.http.post("/sign-in", data=form, allow_redirects=False) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        server = ServerSettings(port=port_of(running), tls_cert=str(pair[0]), tls_key=str(pair[1]))
        await asyncio.to_thread(probe.answer, server)


async def test_a_request_in_clear_text_gets_a_sentence_and_old_versions_get_nothing(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    async with serving(tmp_path, pair) as (running, _), aiohttp.ClientSession() as plain:
        async with plain.get(running.url.replace("https:", "http:")) as answer:
            assert (answer.status, "https://" in await answer.text()) == (400, True)
        async with HttpClient(["127.0.0.1"]) as http:
            found = await reach.port(ServerSettings(port=port_of(running)), http)
        assert found.result.text.startswith("Zimwatch speaks TLS on 127.0.0.1:")
        assert await common_name(port_of(running), maximum_version=ssl.TLSVersion.TLSv1_2) == "first"
        with pytest.raises((ssl.SSLError, ConnectionError)), pytest.warns(DeprecationWarning, match="TLSv1_1"):
            await common_name(port_of(running), maximum_version=ssl.TLSVersion.TLSv1_1)
        # Neither has disturbed anybody.
        assert (await running.get("/readyz"))[0] == 200


async def test_a_new_pair_is_for_new_connections_and_a_broken_one_for_none(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    second = made(tmp_path, "second")
    async with serving(tmp_path, pair) as (running, reload):
        port = port_of(running)
        async with running.http.get("/v1/stream") as stream:  # a connection that stays open
            assert await stream.content.readany()
            shutil.copy(second[0], pair[0])  # half of it
            await reload.run()
            assert await common_name(port) == "first"
            assert await is_broken(running)
            shutil.copy(second[1], pair[1])
            await reload.run()
            assert await common_name(port) == "second"
            pair[1].unlink()
            await reload.run()
            assert await common_name(port) == "second"
            shutil.copy(second[1], pair[1])
            await reload.run()
            assert not await is_broken(running)
            await running.send([])
            assert not stream.content.at_eof()


async def is_broken(running: Zimwatch) -> bool:
    async with running.http.get("/metrics") as answer:
        found = re.search(r"^zimwatch_tls_broken(?:\{.*\})? (\S+)$", await answer.text(), re.MULTILINE)
        ends = re.search(r"^zimwatch_tls_ends_seconds(?:\{.*\})? \S+$", await answer.text(), re.MULTILINE)
    assert found is not None
    assert ends is not None
    return float(found[1]) == 1


async def test_connections_without_a_handshake_are_few_and_the_oldest_goes(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.web.server._within_descriptors", lambda _wanted: 8)
    async with serving(tmp_path, pair) as (running, _):
        silent = [await asyncio.open_connection("127.0.0.1", port_of(running)) for _ in range(20)]
        assert (await running.get("/readyz"))[0] == 200
        ended = [asyncio.create_task(reader.read()) for reader, _ in silent]
        done, waiting = await asyncio.wait(ended, timeout=5, return_when=asyncio.ALL_COMPLETED)
        assert len(done) >= 12
        assert ended[0] in done
        assert ended[-1] in waiting
        for task in waiting:
            task.cancel()
        for _, writer in silent:
            writer.close()


def said(folder: Path, cert: Path | None, key: Path | None) -> list[str]:
    server = ServerSettings(tls_cert=None if cert is None else str(cert), tls_key=None if key is None else str(key))
    settings = Settings(server=server, database=DatabaseSettings(url=f"sqlite:///{folder / 'z.db'}"))
    return checks.problems(Loaded(settings, {}), {})


def test_each_reason_why_a_pair_cannot_be_used_is_named(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    cert, key = pair
    other = made(tmp_path, "other")
    locked = tmp_path / "locked.key"
    order = f"openssl rsa -in {key} -aes128 -passout pass:secret -out {locked}"
    subprocess.run(order.split(), check=True, capture_output=True)
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    wrong: list[tuple[Any, Any, str]] = [
        (cert, None, "server.tls_key must be given"),
        (None, key, "server.tls_cert must be given"),
        (tmp_path / "none.crt", key, "server.tls_cert cannot be read from"),
        (cert, tmp_path, "server.tls_key cannot be read from"),
        (empty, key, "must be a certificate in PEM"),
        (cert, cert, "must be a private key in PEM"),
        (cert, locked, "without a passphrase"),
        (cert, other[1], "server.tls_key is not the key of the certificate in server.tls_cert."),
    ]
    for one, two, sentence in wrong:
        (problem,) = said(tmp_path, one, two)
        assert sentence in problem
    assert said(tmp_path, cert, key) == []


def test_an_expired_certificate_is_a_warning(pair: tuple[Path, Path]) -> None:
    server = ServerSettings(tls_cert=str(pair[0]), tls_key=str(pair[1]))
    assert list(tls.warnings(server, now_us())) == []
    (warning,) = tls.warnings(server, now_us() + 101 * 86_400_000_000)
    assert "expired on" in warning
    (warning,) = tls.warnings(server, now_us() - 86_400_000_000)
    assert "is not valid before" in warning
    assert list(tls.warnings(msgspec.structs.replace(server, tls_cert=None), 0)) == []
