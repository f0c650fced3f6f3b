"""Which pages may read, send and change, directly and behind proxies, and the headers of every response."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from sidecar.settings import ServerSettings
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import wire_event

APP = 1234567890
FOREIGN_READS = [
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Origin": "https://attacker.example"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "embed"},
    {},
]
PUBLIC = "https://ops.example.com:8443/zimwatch"


@pytest.mark.parametrize("host", ["10.244.0.5:8790", "[fd00::5]:8790", "zimwatch.monitoring.svc", "attacker.example"])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_probe_may_send_any_host_and_needs_no_token(running: Zimwatch, path: str, host: str) -> None:
    await new_token(running.store, "read")
    status, answer = await running.get(path, Host=host)
    assert (status, answer["status"]) == (200, "ok")


async def test_a_failing_probe_reveals_nothing_of_the_database(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'connection to server at "db.internal" (10.0.0.5), user "zim" failed'
    monkeypatch.setattr(type(running.store), "problem", property(lambda _self: secret))
    status, answer = await running.get("/readyz", Host="10.244.0.5")
    assert status == 503
    assert "internal" not in str(answer)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("headers", FOREIGN_READS)
async def test_a_foreign_page_learns_nothing_from_a_read(running: Zimwatch, headers: dict[str, str], site: str) -> None:
    await running.send([wire_event()])
    for path in (f"/v1/users/{APP}/alice", f"/v1/users/{APP}/nobody", "/", f"/users/{APP}/alice", "/v1/stream"):
        async with running.http.get(path, headers=headers | {"Sec-Fetch-Site": site}) as response:
            assert response.status == 403, path


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
async def test_a_link_from_anywhere_opens_a_page(running: Zimwatch, site: str) -> None:
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for path in ("/", "/users", "/users.csv"):
        async with running.http.get(path, headers=link) as response:
            assert response.status == 200


async def test_allowed_pages_of_other_origins_load_the_tap_and_send_events(running: Zimwatch) -> None:
    origin = {"Origin": "http://localhost:5173", "Sec-Fetch-Site": "same-site"}
    script = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    async with running.http.get("/tap/zim-tap.js", headers=origin | script) as response:
        assert response.status == 200
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    fetch = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    async with running.http.options("/v1/events", headers=origin | fetch) as response:
        assert response.status == 204
    async with running.http.post("/v1/events", json=[wire_event()], headers=origin | fetch) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    foreign = {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"}
    async with running.http.post("/v1/events", json=[wire_event()], headers=foreign | fetch) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/users.csv", 200),
        ("GET", "/static/zimwatch.css", 200),
        ("GET", "/v1/summary", 200),
        ("GET", "/v1/stream", 200),
        ("GET", "/live/users", 200),
        ("GET", "/metrics", 200),
        ("GET", "/livez", 200),
        ("GET", "/nowhere", 404),
        ("GET", f"/v1/users/{APP}/nobody", 404),
        ("POST", "/v1/users", 405),
        ("POST", "/v1/events", 415),
        ("GET", "/language?to=en", 303),
    ],
)
async def test_no_response_may_be_framed_or_read_by_another_origin(
    running: Zimwatch, method: str, path: str, status: int
) -> None:
    async with running.http.request(method, path, allow_redirects=False) as response:
        assert response.status == status
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


SILENCE = {"matchers": {"user_id": "dave"}, "duration": "1h", "reason": "rehearsal", "author": "dana"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # nginx with "Host $host", "$host:$server_port", and its default, the upstream's name.
        ({"Host": "ops.example.com", "Origin": "https://ops.example.com:8443"}, 201),
        ({"Host": "ops.example.com:8443", "Origin": "https://ops.example.com:8443"}, 201),
        ({"Origin": "https://ops.example.com:8443"}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://other.example"}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://ops.example.com:8443"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://grafana.example.com"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://ops.example.com"}, 403),
        ({"Origin": "http://ops.example.com:8443"}, 403),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Host": "ops.example.com:443", "Origin": "https://ops.example.com"}, 201),
        # No trusted proxy sent it.
        ({"X-Forwarded-Host": "attacker.example", "Origin": "https://attacker.example"}, 403),
    ],
)
async def test_only_pages_of_the_public_url_may_change_anything(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with zimwatch(tmp_path, server=ServerSettings(public_url=PUBLIC)) as running:
        _, secret = await new_token(running.store, "write")
        given = headers | {"Authorization": f"Bearer {secret}"}
        async with running.http.post("/v1/silences", json=SILENCE, headers=given) as response:
            assert response.status == status
            if status == 403:
                assert "server.public_url" in (await response.json())["detail"]


async def test_a_trusted_proxy_forwards_the_host_of_the_page(tmp_path: Path) -> None:
    trusting = ServerSettings(trusted_proxies=("127.0.0.0/8",), allowed_hosts=("ops.example.com",))
    async with zimwatch(tmp_path, server=trusting) as running:
        _, secret = await new_token(running.store, "write")
        given = {"Authorization": f"Bearer {secret}", "X-Forwarded-Host": "ops.example.com"}
        for origin, status in (("https://ops.example.com", 201), ("https://attacker.example", 403)):
            async with running.http.post("/v1/silences", json=SILENCE, headers=given | {"Origin": origin}) as response:
                assert response.status == status
        async with running.http.get("/v1/users", headers=given | {"X-Forwarded-Host": "attacker.example"}) as response:
            assert response.status == 421


@pytest.mark.parametrize(
    "back",
    [
        *("//evil.example", "/\\evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", "/\r\\evil"),
        *("https://evil.example", "evil.example", "", " /users", "/.//evil.example", "/a//evil.example", "/\x00/x"),
        *(
            "javascript:alert(1)",
            "/\x7f/evil.example",
            "/\N{NO-BREAK SPACE}/x",
            "/users\r\nSet-Cookie: a=b",
            "?a",
            "\\/x",
        ),
    ],
)
async def test_no_redirect_leads_away(running: Zimwatch, back: str) -> None:
    path = f"/language?to=en&back={quote(back, safe='')}"
    async with running.http.get(path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("back", ["/users", "/users?q=a%2Fb&status=online#x", f"/users/{APP}/a%2F%2Fb", "/?u=http://x"])
async def test_a_redirect_leads_back_to_the_page(running: Zimwatch, back: str) -> None:
    path = f"/language?to=en&back={quote(back, safe='')}"
    async with running.http.get(path, allow_redirects=False) as response:
        assert response.headers["Location"] == back
