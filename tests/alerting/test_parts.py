"""Single functions of alerting: signatures, addresses and answers."""

from __future__ import annotations

import base64
import hmac
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar.address_guard import AddressGuard, RefusedAddressError
from sidecar.alerting.receivers.webhook import signer
from sidecar.http_client import DeliveryError, HttpClient, raise_for
from tests.support.called import Called, listening


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of its specification 1.0.0, "Signature scheme".
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1614265330, UTC)
    signature = signer(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_key_of_a_secret_without_whsec_is_its_text() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = hmac.digest(b"hunter2 \xc3\xa4", b"msg_1.1614265330.{}", "sha256")
    assert signer("hunter2 ä").sign("msg_1", at, "{}") == f"v1,{base64.b64encode(signed).decode()}"


def may_call(host: str, address: str, *allowed: str) -> bool:
    try:
        AddressGuard(allowed).check(host, address)
    except RefusedAddressError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "address", "allowed", "may"),
    [
        ("hooks.example.com", "93.184.215.14", (), True),
        ("127.0.0.1", "127.0.0.1", (), True),
        ("localhost", "127.0.0.1", (), True),
        ("::1", "::1", (), True),
        ("rebound.example.com", "127.0.0.1", (), False),
        ("rebound.example.com", "::ffff:127.0.0.1", (), False),
        ("rebound.example.com", "169.254.169.254", (), False),
        ("169.254.169.254", "169.254.169.254", (), False),
        ("10.1.2.3", "10.1.2.3", (), False),
        ("10.1.2.3", "10.1.2.3", ("10.0.0.0/8",), True),
        ("am.internal", "10.1.2.3", ("am.internal",), True),
        ("am.internal", "10.1.2.3", ("10.1.2.3",), True),
        ("other.internal", "10.1.2.3", ("am.internal",), False),
        ("a.example", "0.0.0.0", (), False),  # noqa: S104 - an address to refuse
        ("a.example", "fd00::1", (), False),
        ("a.example", "224.0.0.1", (), False),
    ],
)
def test_a_name_resolves_only_to_allowed_addresses(
    host: str, address: str, allowed: tuple[str, ...], *, may: bool
) -> None:
    assert may_call(host, address, *allowed) is may


async def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    http = HttpClient()
    try:
        for url in ("http://169.254.169.254/latest/meta-data", "http://10.0.0.1:1/x"):
            with pytest.raises(DeliveryError, match=r"alerts\.allowed_hosts") as caught:
                await http.send(url)
            assert caught.value.permanent
    finally:
        await http.close()


class Rebound(AbstractResolver):
    """A name server that resolves every name to this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


@pytest.mark.parametrize("allowed", [(), ("hooks.example.com",)])
async def test_a_name_that_resolves_to_this_machine_is_refused_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sidecar.http_client.ThreadedResolver", Rebound)
    async with listening(Called()) as called:
        http = HttpClient(allowed)
        url = called.url.replace("127.0.0.1", "hooks.example.com") + "/any"
        try:
            if allowed:
                assert (await http.send(url))[0] == 200
            else:
                with pytest.raises(DeliveryError, match=r"hooks.example.com is 127.0.0.1, .* alerts\.allowed_hosts"):
                    await http.send(url)
        finally:
            await http.close()
        assert len(called.taken) == len(allowed)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(301, True), (400, True), (404, True), (410, True), (408, False), (429, False), (503, False)],
)
def test_the_status_decides_whether_an_attempt_is_repeated(status: int, *, permanent: bool) -> None:
    with pytest.raises(DeliveryError) as caught:
        raise_for(status, {"Retry-After": "7"}, "no")
    assert caught.value.permanent is permanent
    raise_for(204, {}, "")
