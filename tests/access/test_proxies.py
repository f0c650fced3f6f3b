"""The client, host and scheme of a request, directly and through proxies."""

from __future__ import annotations

import ipaddress
from typing import Any
from unittest import mock

import pytest
from aiohttp import HttpVersion10
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from sidecar.access.proxies import address, host_of, public_request, same_host, shows_proxy
from sidecar.settings import ServerSettings

PROXY = "10.0.0.9"
TRUSTING = ServerSettings(trusted_proxies=("10.0.0.0/8", "::1"))


def request(*headers: tuple[str, str], peer: str = PROXY, **more: Any) -> Any:
    transport = mock.Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 40_000) if name == "peername" else default
    return make_mocked_request(
        "GET", "/", headers=CIMultiDict([("Host", "app.internal:8790"), *headers]), transport=transport, **more
    )


def test_a_direct_request_shows_its_own_peer_host_and_scheme() -> None:
    seen = public_request(request(), ServerSettings())
    assert (seen.url, str(seen.client), seen.through_proxy) == ("http://app.internal:8790", PROXY, False)


def test_only_a_trusted_proxy_is_believed() -> None:
    forwarded = (
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "Ops.example.com"),
    )
    stranger = public_request(request(*forwarded), ServerSettings(trusted_proxies=("10.0.0.8",)))
    assert (stranger.url, str(stranger.client)) == ("http://app.internal:8790", PROXY)
    assert stranger.through_proxy
    seen = public_request(request(*forwarded), TRUSTING)
    assert (seen.url, str(seen.client)) == ("https://ops.example.com", "203.0.113.9")


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the hops before were sent by the client itself
        (["198.51.100.1", "203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        (["203.0.113.9:51234"], "203.0.113.9"),
        (["[2001:db8::7]:51234"], "2001:db8::7"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["10.1.2.3, 10.1.2.4"], "10.1.2.3"),
        (["203.0.113.9, unknown"], PROXY),
        (["203.0.113.9, 10.1.2.3, '; --"], PROXY),
        ([""], PROXY),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_trusted_proxy(hops: list[str], client: str) -> None:
    seen = public_request(request(*(("X-Forwarded-For", hop) for hop in hops)), TRUSTING)
    assert str(seen.client) == client


def test_the_standard_header_is_believed_where_the_proxy_writes_no_other() -> None:
    forwarded = ("Forwarded", 'for="[2001:db8::7]:4711";proto=https;host=ops.example.com')
    seen = public_request(request(forwarded), TRUSTING)
    assert (seen.url, str(seen.client)) == ("https://ops.example.com", "2001:db8::7")
    both = public_request(request(forwarded, ("X-Forwarded-For", "203.0.113.9")), TRUSTING)
    assert (both.url, str(both.client)) == ("http://app.internal:8790", "203.0.113.9")


@pytest.mark.parametrize("host", ["evil.example/path", "a b", "user@host", "[::1", "[1.2.3.4]", "x" * 400, "a\\b", "é"])
@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Host"])
def test_an_invalid_host_is_ignored(name: str, host: str) -> None:
    seen = public_request(request((name, host)), TRUSTING)
    assert seen.host == ("" if name == "Host" else "app.internal:8790")


def test_two_hosts_count_as_none_and_a_missing_one_looks_up_no_name() -> None:
    assert host_of(request(("Host", "other.example"))) == ""
    assert host_of(make_mocked_request("GET", "/")) == ""


def test_the_public_url_overrides_headers() -> None:
    server = ServerSettings(public_url="https://ops.example.com/zimwatch/", trusted_proxies=(PROXY,))
    seen = public_request(request(("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "http")), server)
    assert seen.url == "https://ops.example.com/zimwatch"
    assert seen.prefix == "/zimwatch"


@pytest.mark.parametrize(
    "name",
    [
        *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Client-Cert", "Forwarded", "Via"),
        *("X-Real-IP", "CF-Connecting-IP", "CF-Ray", "True-Client-IP", "X-Envoy-External-Address", "Fly-Client-IP"),
        *("X-Original-URL", "X-Amzn-Trace-Id", "Fastly-Client-IP", "X-Client-IP", "CDN-Loop", "x-fOrWaRdEd"),
        *("X-Forward-For", "X-Varnish", "X-NginX-Proxy", "CloudFront-Viewer-Address", "Ali-CDN-Real-IP", "Remote-User"),
        *("Tailscale-User-Login", "X-Auth-Request-User", "SSL-Client-Cert", "Proxy-Connection", "Incap-Client-IP"),
        *("X-Remote-IP", "X-Goog-IAP-JWT-Assertion", "x_forwarded_for", "True_Client_IP"),
    ],
)
def test_each_header_that_proxies_add_shows_a_proxy(name: str) -> None:
    assert shows_proxy(request((name, "")))


def test_the_http_version_of_nginx_upstreams_shows_a_proxy() -> None:
    assert shows_proxy(request(version=HttpVersion10))


@pytest.mark.parametrize("target", ["http://localhost/v1/summary", "https://[::1]:8790/"])
def test_a_whole_address_on_the_request_line_shows_a_proxy(target: str) -> None:
    assert shows_proxy(make_mocked_request("GET", target, headers=CIMultiDict([("Host", "localhost")])))


def test_the_host_on_the_request_line_is_the_requested_one() -> None:
    line, field = "http://Evil.example:80/v1/summary", CIMultiDict([("Host", "localhost")])
    assert host_of(make_mocked_request("GET", line, headers=field)) == "evil.example:80"
    assert host_of(make_mocked_request("CONNECT", "localhost:80", headers=field)) == ""


def test_headers_of_browsers_and_programs_show_no_proxy() -> None:
    names = (
        "User-Agent",
        "Accept",
        "Origin",
        "Referer",
        "Sec-Fetch-Site",
        "X-Requested-With",
        "X-Request-Id",
        "Cookie",
        "Traceparent",
        "Last-Event-ID",
        "HX-Request",
        "Upgrade-Insecure-Requests",
    )
    assert not shows_proxy(request(*((name, "x") for name in names)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::1]:80", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("127.1", None),
        ("[127.0.0.1]", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_an_address_is_read_in_every_form_that_headers_have(text: str, found: str | None) -> None:
    assert address(text) == (found and ipaddress.ip_address(found))


@pytest.mark.parametrize(
    ("one", "other", "scheme", "same"),
    [
        ("ops.example.com", "OPS.example.com:443", "https", True),
        ("ops.example.com", "ops.example.com:80", "http", True),
        ("ops.example.com", "ops.example.com:80", "https", False),
        ("ops.example.com", "ops.example.com:8443", "https", False),
        ("", "", "https", False),
    ],
)
def test_the_default_port_may_be_left_out(one: str, other: str, scheme: str, *, same: bool) -> None:
    assert same_host(one, other, scheme) is same
