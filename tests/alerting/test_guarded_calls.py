"""Every call to an address of the settings goes through one guarded client, however the address is spelled."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar.address_guard import UNUSUAL, AddressGuard
from sidecar.alerting.notify.test_message import send_test_message
from sidecar.alerting.receivers import receiver_of
from sidecar.alerting.receivers.alertmanager import AlertmanagerSettings
from sidecar.alerting.receivers.apprise import AppriseSettings
from sidecar.alerting.receivers.pagerduty import PagerDutySettings
from sidecar.alerting.receivers.slack import SlackSettings
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.canary.canary_token import TokenError, token_source
from sidecar.clock import now_us
from sidecar.errors import ZimwatchError
from sidecar.http_client import DeliveryError, HttpClient
from sidecar.ingest.server_query import query
from sidecar.settings import AlertSettings, CanarySettings
from sidecar.settings.alert_settings import ReceiverSettings
from tests.support.small_server import served

PRIVATE = "10.9.8.7"
ROUTING_KEY = "R" * 32


class Counted:
    """A server on loopback with a fixed response; ``paths`` are those of its requests."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.port = 0
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.ok

    async def ok(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="04token")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Counted]:
    counted = Counted()
    async with served(web.route("*", "/{path:.*}", counted.handle), shutdown_timeout=0) as address:
        counted.port = int(address.rpartition(":")[2])
        yield counted


@pytest.mark.parametrize(
    "host",
    [
        "１２７.0.0.1",  # noqa: RUF001 - full-width digits
        "127。0。0。1",
        "①②⑦.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.1",
        "127.0.1",
        "０x7f.1",  # noqa: RUF001
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[::ffff:10.9.8.7]",
        "[2002:a09:807::1]",
        "[64:ff9b::10.9.8.7]",
        "[fec0::1]",
        "[fe80::1]",
        "[ff02::1]",
        "[::]",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "169.254.169.254",
        "224.0.0.1",
        "192.88.99.1",
        "192.0.0.192",
        "168.63.129.16",
        "[3ffe::1]",
        "١٢٧.0.0.1",
        "%31%32%37.0.0.1",
    ],
)
async def test_no_spelling_of_a_private_address_is_called(server: Counted, host: str) -> None:
    async with HttpClient() as http:
        with pytest.raises(DeliveryError) as caught:
            await http.send(f"http://{host}:{server.port}/x")
    assert caught.value.permanent
    assert server.paths == []


@pytest.mark.parametrize("host", ["0x7f.1", "0X7F000001", "10.0.0x1", "0x", "१२७.0.0.1", "8.8.2056", "127.1."])
def test_a_host_that_ends_in_a_number_is_no_name(host: str) -> None:
    assert AddressGuard([]).refusal(f"https://{host}/x") == UNUSUAL(host=urlsplit(f"https://{host}").hostname)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "hooks.example.com", "0x7f.example", "a1", "1.example.com", "host-1", "x0x1"]
)
def test_a_public_address_and_a_name_with_numbers_are_usual(host: str) -> None:
    assert AddressGuard([]).refusal(f"https://{host}/x") is None


@pytest.mark.parametrize(
    ("address", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        (PRIVATE, socket.AF_INET),
        ("64:ff9b::a00:1", socket.AF_INET6),
        ("2002:a00:1::", socket.AF_INET6),
        ("::10.0.0.1", socket.AF_INET6),
        ("::ffff:127.0.0.1", socket.AF_INET6),
    ],
)
async def test_a_name_that_resolves_to_a_private_address_is_not_called(
    monkeypatch: pytest.MonkeyPatch, server: Counted, address: str, family: socket.AddressFamily
) -> None:
    resolved: list[str] = []

    class Names(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, _family: Any = socket.AF_INET) -> list[ResolveResult]:
            resolved.append(host)
            return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

        async def close(self) -> None: ...

    monkeypatch.setattr("sidecar.http_client.ThreadedResolver", Names)
    async with HttpClient() as http:
        with pytest.raises(DeliveryError, match=r"alerts\.allowed_hosts") as caught:
            await http.send(f"http://hooks.example.com:{server.port}/x")
    assert caught.value.permanent
    assert server.paths == []
    assert resolved == ["hooks.example.com"]


async def test_the_connection_is_made_to_the_checked_address(monkeypatch: pytest.MonkeyPatch, server: Counted) -> None:
    answers = [PRIVATE, "127.0.0.1"]

    class Turning(AbstractResolver):
        """Resolves to another address on each query."""

        async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host=answers.pop(), port=port, family=family, proto=0, flags=0)]

        async def close(self) -> None: ...

    monkeypatch.setattr("sidecar.http_client.ThreadedResolver", Turning)
    async with HttpClient(["127.0.0.0/8"]) as http:
        assert (await http.send(f"http://hooks.example.com:{server.port}/x"))[0] == 200
    assert (answers, server.paths) == ([PRIVATE], ["/x"])


def _settings(port: int) -> dict[str, ReceiverSettings]:
    here = f"http://127.0.0.1:{port}"
    return {
        "webhook": WebhookSettings(name="r", url=f"{here}/hook"),
        "slack": SlackSettings(name="r", token="x", channel="#x", url=f"{here}/api/"),
        "pagerduty": PagerDutySettings(name="r", routing_key=ROUTING_KEY, url=f"{here}/enqueue"),
        "alertmanager": AlertmanagerSettings(name="r", url=here),
        "apprise": AppriseSettings(name="r", url=f"json://127.0.0.1:{port}/x?redirect=yes"),
    }


async def _called(what: str, port: int) -> None:
    """Makes one call of the kind ``what``."""
    here = f"http://127.0.0.1:{port}/x"
    if what == "canary":
        await token_source(CanarySettings(app_id=1, user_id="canary", token_url=here), os.environ)()
    elif what == "zego":
        async with HttpClient() as http:
            await query(http, here, (1, "s" * 32), ["alice"], now_us)
    elif what == "heartbeat":
        async with HttpClient() as http:
            await http.send(here, method="GET")
    else:
        alerts = AlertSettings(receivers=(_settings(port)[what],))
        await send_test_message(alerts, "r", "http://127.0.0.1:8790", now_us())


CALLS = ("webhook", "slack", "pagerduty", "alertmanager", "apprise", "canary", "zego", "heartbeat")


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("status", [302, 307])
async def test_no_call_follows_a_redirect(server: Counted, what: str, status: int) -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    server.answer = away
    with pytest.raises(ZimwatchError):
        await _called(what, server.port)
    assert len(server.paths) == 1
    assert "/elsewhere" not in server.paths


@pytest.mark.parametrize("what", [one for one in CALLS if one != "apprise"])
async def test_no_call_reads_an_endless_response(server: Counted, what: str) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while written < 1 << 26:
            await response.write(b"x" * 65_536)
            written += 65_536
        return response

    server.answer = endless
    with contextlib.suppress(ZimwatchError):
        await _called(what, server.port)
    # What the client reads, and the buffers of the sockets.
    assert written < 1 << 25


@pytest.mark.parametrize(
    "url",
    [f"json://{PRIVATE}:9/x", "json://[64:ff9b::10.0.0.1]/x", f"mailto://a:b@d.example?smtp={PRIVATE}&to=c@d.example"],
)
async def test_the_host_of_an_apprise_url_is_checked(url: str) -> None:
    alerts = AlertSettings(receivers=(AppriseSettings(name="r", url=url),))
    with pytest.raises(DeliveryError, match="not a public address") as caught:
        await send_test_message(alerts, "r", "http://127.0.0.1:8790", now_us())
    assert caught.value.permanent


async def test_the_host_of_a_hosted_service_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host part of such a URL belongs to a secret, which must not reach a name server."""
    looked_up: list[str] = []
    async with HttpClient() as http:
        monkeypatch.setattr(http, "addresses", lambda host, _port: looked_up.append(host))
        taker: Any = receiver_of(AppriseSettings(name="r", url="tgram://123456789:abcdefg_hijklmnop/12315544/"), http)
        monkeypatch.setattr(taker._service, "notify", lambda **_told: True)
        assert taker._notify("title", "text", "info")
    assert looked_up == []


async def test_the_canarys_token_is_not_fetched_from_a_private_address_unless_that_is_allowed() -> None:
    settings = CanarySettings(app_id=1, user_id="canary", token_url="http://10.9.8.7:9/token")
    with pytest.raises(TokenError, match=r"not a public address; to allow it, add it to alerts\.allowed_hosts"):
        await token_source(settings, os.environ)()
