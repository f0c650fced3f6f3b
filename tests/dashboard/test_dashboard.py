"""The pages as the server renders them."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from pyarrow import parquet
from yarl import URL

from dashboard import export, navigation
from dashboard.page import fill, shown
from dashboard.text.status_texts import texts_for
from sidecar.domain.paths import user_path
from sidecar.domain.sdk_words import EVENTS
from sidecar.domain.status import STATUSES
from sidecar.domain.units import SECOND_US
from sidecar.settings import DashboardSettings, ZegoSettings
from sidecar.store.postgres.postgres_database import LONGEST_ID_BYTES
from sidecar.store.values import Summary
from tests.support.clocks import Machine
from tests.support.events import APP_ID, BEGIN_US
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event, wire_event
from tests.support.zego import SECRET, user_action

pytestmark = pytest.mark.both_engines("soak")

ALICE = "/users/1234567890/alice"


async def page(running: Zimwatch, path: str) -> tuple[int, str]:
    async with running.http.get(URL(running.url + path, encoded=True)) as response:
        return response.status, await response.text()


async def test_a_page_may_run_no_script_but_its_own(running: Zimwatch) -> None:
    async with running.http.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
        text = await response.text()
    found = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert found is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert set(re.findall(r'<script nonce="([^"]+)"', text)) == {found[1]}
    assert not re.search(r"<script(?! nonce)|style=|<style|\son[a-z]+=", text)


@pytest.mark.of_sqlite
def test_what_would_turn_the_direction_of_a_sentence_is_marked() -> None:
    assert shown("\u202ealice\u2066") == "\ufffdalice\ufffd"
    assert shown("سارة") == "سارة"


@pytest.mark.of_sqlite
def test_large_counts_are_grouped_and_the_wall_knows_their_length() -> None:
    text = fill("counts.html", summary=Summary(1_234_567, 0, 89, 0, 0))
    assert "<strong>1,234,567</strong>" in text
    assert 'class="counts digits-7"' in text


async def test_with_no_data_the_overview_teaches_and_then_comes_alive(running: Zimwatch) -> None:
    _, text = await page(running, "/")
    assert "ZimTap.install" in text
    await running.send([wire_event()])
    _, text = await page(running, "/")
    assert "ZimTap.install" not in text
    assert "alice" in text


async def test_the_overview_counts_the_firing_alerts(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="carol", state=0, event=4)])
    _, text = await page(running, "/")
    assert '<a href="/alerts?state=firing">1 alert firing</a>' in text


async def test_a_user_that_was_kicked_out_is_explained(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="carol", state=0, event=4)])
    status, text = await page(running, "/users/1234567890/carol")
    assert status == 200
    assert "Not logged in" in text
    assert "carol was kicked out" in text
    assert "change your password" in text
    assert "2026-11-23 14:03:20 UTC" in text


async def test_a_device_that_kicked_itself_gets_no_advice_about_the_password(running: Zimwatch) -> None:
    states = [(2, 0), (3, 3), (2, 0), (0, 4)]
    carol = [
        wire_event(user_id="carol", seq=seq, state=state, event=event, platform="Web")
        for seq, (state, event) in enumerate(states, 1)
    ]
    await running.send(carol)
    _, text = await page(running, "/users/1234567890/carol")
    assert ("password" in text, "2.12.0 or newer" in text) == (False, True)


async def test_a_user_never_seen_is_shown_as_such(running: Zimwatch) -> None:
    status, text = await page(running, "/users/1234567890/nobody")
    assert status == 404
    assert "Not logged in" in text
    assert "Never seen" in text


async def test_a_filter_that_cannot_be_meant_is_named_on_the_page(running: Zimwatch) -> None:
    status, text = await page(running, "/users?status=%3Cb%3E")
    assert status == 400
    assert "There is no status “&lt;b&gt;”." in text


@pytest.mark.parametrize(
    "user_id",
    [
        "<script>alert(1)</script>",
        "\"'><img src=x>",
        "a/b",
        "100%",
        "\u202egnp.exe",
        "🙂" * 100,
        "a" * 10_000,
        ".",
        "null\0byte\nand\x1b[31m",
    ],
)
async def test_no_user_id_breaks_a_page(running: Zimwatch, engine: str, user_id: str) -> None:
    if engine == "postgresql":
        user_id = user_id[:LONGEST_ID_BYTES]
    await running.send([wire_event(user_id=user_id, extended_data=user_id)])
    for path in ("/", "/users", user_path(1234567890, user_id)):
        status, text = await page(running, path)
        assert status == 200
        assert "<script>alert" not in text
        assert "<img" not in text
    assert quote(user_id, safe="") in text or user_id == "."


async def test_a_long_timeline_goes_on_on_another_page(running: Zimwatch) -> None:
    client = str(uuid.uuid4())
    await running.send([wire_event(client_id=client, seq=seq, state=2 - 2 * (seq % 2)) for seq in range(1, 61)])
    _, first = await page(running, ALICE)
    older = re.search(r'href="\?(before=\d+)"', first)
    assert older is not None
    _, second = await page(running, f"{ALICE}?{older[1]}")
    assert first.count('<tr id="event-') == 50
    assert second.count('<tr id="event-') == 10
    assert 'href="?before=' not in second


@pytest.fixture
def that_day() -> Machine:
    """A clock by which the events of tests have just come: a week later a device's clock would be called wrong."""
    return Machine(BEGIN_US + 600 * SECOND_US)


async def test_tries_to_reconnect_are_one_line_that_counts_them(tmp_path: Path, that_day: Machine) -> None:
    client = str(uuid.uuid4())
    first = wire_event(client_id=client)
    times = [f"2026-11-23T14:04:{second:02}Z" for second in range(0, 60, 4)]
    tries = [wire_event(client_id=client, seq=2 + at, state=3, event=3, occurred_at=t) for at, t in enumerate(times)]
    async with zimwatch(tmp_path, machine=that_day) as running:
        await running.send([first, *tries])
        _, text = await page(running, ALICE)
    assert text.count('<tr id="event-') == 2
    assert "15 attempts in 56 s" in text


async def test_a_kick_out_names_the_device_that_caused_it(running: Zimwatch) -> None:
    phone, desk = str(uuid.uuid4()), str(uuid.uuid4())
    await running.send(
        [
            wire_event(client_id=phone, seq=1),
            wire_event(client_id=desk, seq=1, occurred_at="2026-11-23T14:03:25Z"),
            wire_event(client_id=phone, seq=2, state=0, event=4, occurred_at="2026-11-23T14:03:26Z"),
        ]
    )
    _, text = await page(running, ALICE)
    assert re.search(r"Kicked out by the login on device [AB]", text)
    assert 'class="joined"' in text


async def test_every_event_is_there_as_it_is_stored(running: Zimwatch) -> None:
    sent = wire_event(extended_data='{"x": "<b>"}')
    await running.send([sent])
    _, text = await page(running, ALICE)
    (raw,) = re.findall(r'<pre class="wrap" tabindex="0">(.*?)</pre>', text, re.DOTALL)
    found = json.loads(html.unescape(raw))
    assert (found["id"], found["extended_data"]) == (sent["id"], sent["extended_data"])


async def test_a_session_leads_to_its_trace(tmp_path: Path, that_day: Machine) -> None:
    session = "0193aaaa-0000-7000-8000-00000000000a"
    template = "https://tempo.example.com/trace/{trace_id}?from={start_ms}&to={end_ms}"
    dashboard = DashboardSettings(trace_url_template=template)
    async with zimwatch(tmp_path, dashboard=dashboard, machine=that_day) as running:
        await running.send([wire_event(session_id=session)])
        _, text = await page(running, ALICE)
    (link,) = set(re.findall(r'<a href="(https://tempo[^"]+)"', text))
    at_ms = 1_795_442_600_123
    assert html.unescape(link) == (
        f"https://tempo.example.com/trace/{session.replace('-', '')}?from={at_ms - 3_600_000}&to={at_ms + 3_600_000}"
    )


async def test_a_past_moment_is_shown_as_it_was_and_nonsense_is_named(running: Zimwatch) -> None:
    await running.send([wire_event()])
    _, text = await page(running, f"{ALICE}?as_of=2020-01-01T00:00:00Z")
    assert "State as known at" in text
    assert "Never seen" in text
    assert "/live/" not in text
    _, text = await page(running, f"{ALICE}?as_of=tomorrow")
    assert "“tomorrow” is not a moment such as" in text


async def test_a_share_link_shows_neither_ids_nor_raw_data(running: Zimwatch) -> None:
    await running.send([wire_event(device_id="phone-7", extended_data="a secret word", state=0, event=4)])
    _, text = await page(running, f"{ALICE}?hand_off=1h")
    found = re.search(r'value="(http://[^"]+/hand-off/[\w.-]+)"', text)
    assert found is not None
    # Whoever has the link needs no token.
    await new_token(running.store, "read")
    async with running.http.get(found[1], headers=BROWSER) as response:
        shared = await response.text()
        assert response.status == 200
    assert "the user was kicked out" in shared
    assert not [word for word in ("alice", "phone-7", "secret word", "/live/", "/users") if word in shared]
    async with running.http.get(found[1] + "x", headers=BROWSER) as response:
        assert response.status == 410
        assert "This link is not valid any more" in await response.text()


async def test_the_pages_of_the_settings_lead_to_each_other(running: Zimwatch) -> None:
    for link in navigation.SETTINGS:
        _, text = await page(running, link.path)
        assert re.findall(r'<a href="([^"]+)" aria-current="page">', text) == ["/settings", link.path]
        for other in navigation.SETTINGS:
            assert f'<a href="{other.path}"' in text
    _, secret = await new_token(running.store, "write")
    async with running.http.get("/settings", headers={"Authorization": f"Bearer {secret}"}) as response:
        text = await response.text()
    assert 'href="/tokens"' in text
    assert 'href="/accounts"' not in text


async def test_the_settings_say_what_is_in_force_and_give_no_secret_away(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "write")
    mine = {"Authorization": f"Bearer {secret}"}
    async with running.http.get("/settings", headers=mine) as response:
        text = html.unescape(await response.text())
    assert "leases.heartbeat" in text
    assert f"curl -O {running.url}/tap/zim-tap.js" in text
    assert secret[:13] not in text
    async with running.http.get("/tokens", headers=mine) as response:
        text = await response.text()
    assert secret[:13] in text
    assert secret not in text
    _, bound = await new_token(running.store, "write", 7)
    async with running.http.get("/settings", headers={"Authorization": f"Bearer {bound}"}) as response:
        text = await response.text()
    assert "leases.heartbeat" not in text
    assert secret[:13] not in text


async def test_a_page_is_chinese_for_a_chinese_browser(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="carol", state=0, event=4)])
    path = "/users/1234567890/carol"
    async with running.http.get(path, headers={"Accept-Language": "zh-CN,zh;q=0.9"}) as response:
        text = await response.text()
    assert '<html lang="zh-Hans">' in text
    assert "被踢下线" in text
    _, text = await page(running, path)
    assert '<html lang="en">' in text
    async with running.http.get(f"/language?to=zh-Hans&back={path}", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, path)
        chosen = response.headers["Set-Cookie"].split(";")[0]
    async with running.http.get(path, headers={"Cookie": chosen}) as response:
        text = await response.text()
    assert '<html lang="zh-Hans">' in text


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil.example", "evil"])
async def test_a_choice_of_language_leads_nowhere_else(running: Zimwatch, back: str) -> None:
    async with running.http.get("/language", params={"to": "en", "back": back}, allow_redirects=False) as response:
        assert response.headers["Location"] == "/"


EVIL = "=cmd|' /C calc'!A0"


async def test_the_list_is_exported_with_its_filters(running: Zimwatch) -> None:
    users = [("alice", 2, 0), ("bob", 3, 3), (EVIL, 2, 0)]
    await running.send([wire_event(user_id=who, client_id=str(uuid.uuid4()), state=s, event=e) for who, s, e in users])
    async with running.http.get("/users.csv?status=online") as response:
        assert response.headers["Content-Disposition"] == 'attachment; filename="users.csv"'
        rows = list(csv.DictReader(io.StringIO(await response.text())))
    # A spreadsheet must not run what a user calls itself.
    assert {row["user_id"] for row in rows} == {"alice", f"'{EVIL}"}
    async with running.http.get("/users.json?status=online") as response:
        found = await response.json()
    assert {row["user_id"] for row in found["users"]} == {"alice", EVIL}
    async with running.http.get("/users.parquet?q=bo") as response:
        table = parquet.read_table(io.BytesIO(await response.read()))
    assert table.column("user_id").to_pylist() == ["bob"]
    assert table.column("status").to_pylist() == ["offline"]
    for name in ("csv", "json", "parquet"):
        async with running.http.get(f"/users.{name}?status=gone") as response:
            assert response.status == 400
        async with running.http.get(f"/users.{name}?q=nobody") as response:
            assert response.status == 200


async def test_an_export_has_every_page(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROWS", 3)
    await running.send([wire_event(user_id=f"user {n}", client_id=str(uuid.uuid4())) for n in range(10)])
    async with running.http.get("/users.json") as response:
        assert len((await response.json())["users"]) == 10
    async with running.http.get("/users.csv") as response:
        assert len(list(csv.reader(io.StringIO(await response.text())))) == 11
    async with running.http.get("/users.parquet") as response:
        table = parquet.read_table(io.BytesIO(await response.read()))
    assert len(set(table.column("user_id").to_pylist())) == 10


async def test_a_list_may_be_pasted_with_any_separators_and_is_shown_clean(running: Zimwatch) -> None:
    await running.send([wire_event(), wire_event(user_id="bob", client_id=str(uuid.uuid4()))])
    for pasted in ("alice\r\nbob\r\n", "alice\rbob", "'alice', 'bob'", '"alice";"bob"', "alice\tbob"):
        _, text = await page(running, f"/users?{urlencode({'ids': pasted})}")
        assert "of 2 users" in text
        assert "Never seen:" not in text
        assert "\ufffd" not in text
        assert ">alice\nbob</textarea>" in text
        assert "</span> alice, bob</span>" in text


async def test_a_moment_that_is_still_to_come_is_refused_everywhere(running: Zimwatch) -> None:
    await running.send([wire_event()])
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    query = urlencode({"as_of": later})
    status, text = await page(running, f"/users?{query}")
    assert (status, "is in the future" in text) == (400, True)
    _, text = await page(running, f"/users/{APP_ID}/alice?{query}")
    assert "is in the future" in text
    assert "State as known at" not in text
    for name in ("csv", "json", "parquet"):
        async with running.http.get(f"/users.{name}?{query}") as response:
            assert response.status == 400


async def test_parquet_is_offered_only_where_it_can_be_made(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    await running.send([wire_event()])
    assert 'href="/users.parquet' in (await page(running, "/users"))[1]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("dashboard.parts.export_formats.find_spec", lambda _name: None)
    _, text = await page(running, "/users")
    assert 'href="/users.parquet' not in text
    assert "zimwatch[parquet]" in text
    async with running.http.get("/users.parquet") as response:
        assert response.status == 501
        assert "zimwatch[parquet]" in await response.text()


async def test_a_pasted_list_says_who_was_never_seen(running: Zimwatch) -> None:
    await running.send([wire_event()])
    _, text = await page(running, "/users?ids=alice%0D%0Azoe%0D%0A")
    assert "Never seen:" in text
    assert "<code>zoe</code>" in text
    assert "of 1 user" in text


async def test_a_view_is_all_in_its_address(running: Zimwatch) -> None:
    await running.send([wire_event()])
    _, text = await page(running, "/users?q=ali&match=prefix&status=online&col_set=1&col=sdk&col=token")
    assert 'value="ali"' in text
    assert '<option value="prefix" selected>' in text
    assert 'data-label="SDK"' in text
    assert 'data-label="Platform"' not in text
    assert 'href="/users?match=prefix&amp;status=online&amp;col_set=1&amp;col=sdk&amp;col=token"' in text
    assert 'href="/users.csv?q=ali&amp;match=prefix&amp;status=online' in text


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "sentence"),
    [
        ("/nowhere", {}, 404, "No such address."),
        ("/users/1234567890", {}, 404, "No such address."),
        ("/users", {"Host": "attacker.example"}, 421, "Unknown Host; add it to server.allowed_hosts"),
        ("/users", {"Authorization": "Bearer zw_guess"}, 401, "The token is unknown."),
    ],
)
async def test_a_browser_gets_a_page_for_an_error_and_a_program_a_problem_document(
    running: Zimwatch, path: str, headers: dict[str, str], status: int, sentence: str
) -> None:
    async with running.http.get(path, headers=BROWSER | headers) as response:
        text = html.unescape(await response.text())
        assert (response.status, response.content_type) == (status, "text/html")
        assert ("WWW-Authenticate" in response.headers) is (status == 401)
        assert sentence in text
        assert "hx-sse:connect" not in text
    async with running.http.get(path, headers=headers) as response:
        assert (response.status, response.content_type) == (status, "application/problem+json")


async def test_an_error_on_a_machines_path_is_a_problem_document_even_in_a_browser(running: Zimwatch) -> None:
    async with running.http.get("/v1/users?status=x", headers=BROWSER) as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")


ZEGO = ZegoSettings(callback_secrets=(f"{APP_ID}:{SECRET}",))


async def zego_callback(running: Zimwatch, action: int, at: float = 0, **fields: Any) -> None:
    async with running.http.post("/v1/callbacks/zego", json=user_action(action, at=at, **fields)) as response:
        assert response.status == 200


async def test_the_server_view_is_beside_the_status_and_on_the_timeline(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, zego=ZEGO, machine=machine) as running:
        await running.send([wire_event()])
        await zego_callback(running, 0)
        machine.passes(9)
        await zego_callback(running, 1, at=9, logout_reason="<b>bye</b>", os="IOS_PHONE")
        _, text = await page(running, f"/users/{APP_ID}/alice")
        assert "Status at ZEGO" in text
        assert re.search(r"<strong>Logged out</strong> · <time [^>]*2026-11-23 14:00:09 UTC", text)
        assert "&lt;b&gt;bye&lt;/b&gt;" in text
        assert "iPhone" in text
        assert len(re.findall("<td>ZEGO.s server: ", text)) == 2
        assert "disagree" not in text
        machine.passes(60)
        _, text = await page(running, f"/users/{APP_ID}/alice")
        assert "Devices and server disagree" in text
        assert "Devices: “Online”; server: “Logged out”." in text
        assert "You are connected." not in text
        for path in ("/", "/users", "/users?disagreement=true"):
            assert "server disagrees" in (await page(running, path))[1]
        assert "No user matches" in (await page(running, "/users?disagreement=false"))[1]


async def test_a_version_that_is_empty_is_a_dash_in_the_list(running: Zimwatch) -> None:
    sdk = {"name": "zego-zim-web", "version": ""}
    await running.send([wire_event(sdk=sdk, app_version="4.2")])
    _, text = await page(running, "/users?col_set=1&col=sdk&col=version")
    cells = dict(re.findall(r'<td data-label="([^"]+)"[^>]*>\s*([^<]*?)\s*</td>', text))
    assert (cells["SDK"], cells["App version"]) == ("\u2013", "4.2")


async def test_a_user_s_alerts_say_why_they_were_not_notified(running: Zimwatch) -> None:
    kicked = {"state": 0, "event": "KickedOut"}
    await running.send([fresh_event(user_id="bob", **kicked), wire_event(user_id="carol", **kicked)])
    unrouted = "Not notified: no receiver is configured, or no route matches."
    assert unrouted in (await page(running, f"/users/{APP_ID}/bob"))[1]
    late = "Not notified: it arrived too late."
    assert late in (await page(running, f"/users/{APP_ID}/carol"))[1]


async def test_large_numbers_are_grouped(running: Zimwatch) -> None:
    kicks = [fresh_event(user_id=f"user {number}", state=0, event="KickedOut") for number in range(1_000)]
    await running.send(kicks)
    assert ">1,000</strong>" in (await page(running, "/alerts"))[1]
    assert "1,000 events" in (await page(running, "/settings"))[1]
    _, text = await page(running, "/")
    assert "1,000 users" in text
    assert re.search(r">1,00\d alerts firing<", text)


async def test_a_user_known_only_to_the_server_is_shown_without_devices(tmp_path: Path) -> None:
    async with zimwatch(tmp_path, zego=ZEGO, machine=Machine()) as running:
        await zego_callback(running, 0, user_id="bob")
        status, text = await page(running, f"/users/{APP_ID}/bob")
        assert status == 200
        assert "server has reported this user, and no device has" in text
        assert "Not logged in" in text


async def test_a_silent_user_is_not_called_connected(tmp_path: Path) -> None:
    machine = Machine()
    async with zimwatch(tmp_path, machine=machine) as running:
        await running.send([wire_event(occurred_at="2026-11-23T14:00:00Z"), wire_event(type="heartbeat", seq=2)])
        assert "You are connected." in (await page(running, f"/users/{APP_ID}/alice"))[1]
        machine.passes(46)
        await running.store.tend()
        for path in (f"/users/{APP_ID}/alice", "/users?unconfirmed=true"):
            _, text = await page(running, path)
            assert re.search("No sign of life from|Silent since it was connected", text)
            assert "The SDK is connected." not in text
            assert "You are connected." not in text
        assert "No user matches" in (await page(running, "/users?unconfirmed=false"))[1]


@pytest.mark.of_sqlite
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("reason", [None, *EVENTS, "99"])
def test_there_are_words_for_every_status_and_reason(status: str, reason: str | None) -> None:
    words = texts_for(status, reason)
    assert all((words.reason, words.say, words.advice))
