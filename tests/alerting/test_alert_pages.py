"""Alerts on the pages: in groups, several at once, on the user's page and the overview; and a test message."""

from __future__ import annotations

import html
import re
import uuid
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sidecar.alerting.receivers.pagerduty import PagerDutySettings
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.settings import AlertSettings
from tests.support.called import ROUTING_KEY, SECRET, Called, listening
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event

APP = 1234567890


@pytest.fixture
async def running(running: Zimwatch) -> Zimwatch:
    for user_id, event in (("carol", 4), ("dave", 5), ("erin", 4)):
        await running.send([fresh_event(user_id=user_id, client_id=str(uuid.uuid4()), state=0, event=event)])
    return running


async def page(running: Zimwatch, path: str) -> str:
    async with running.http.get(path) as answer:
        return html.unescape(await answer.text())


async def submit(running: Zimwatch, path: str, form: str, fields: list[tuple[str, str]]) -> tuple[int, str]:
    """Posts a form of the page ``form``, as a browser would."""
    token = (await page(running, form)).split('name="form_token" value="')[1].split('"')[0]
    headers = {"Origin": running.url, "Content-Type": "application/x-www-form-urlencoded"}
    data = urlencode([("form_token", token), *fields])
    async with running.http.post(path, data=data, headers=headers, allow_redirects=False) as answer:
        return answer.status, html.unescape(await answer.text())


async def states(running: Zimwatch) -> dict[str, bool]:
    """User → whether somebody has taken the alert on."""
    _, body = await running.get("/v1/alerts")
    return {one["user_id"]: one["acknowledged"] is not None for one in body["alerts"]}


@pytest.mark.parametrize(
    ("group", "headings"),
    [
        ("kind", ["Kicked out", "Token expired"]),
        ("cause", ["Kicked out", "Token expired"]),
        ("user", ["carol", "dave", "erin"]),
        ("app", [str(APP)]),
    ],
)
async def test_alerts_are_grouped_the_largest_group_first(running: Zimwatch, group: str, headings: list[str]) -> None:
    text = await page(running, f"/alerts?group={group}")
    found = re.findall(r'<section class="stack">\s*<div class="heading">\s*<h2>(.*?)</h2>', text)
    assert [one.split(" · ")[0] for one in found if one not in {"carol", "dave", "erin"}] == (
        headings if group != "user" else []
    )
    assert sorted(found) == headings or group != "user"


async def test_a_group_that_there_is_not_is_named(running: Zimwatch) -> None:
    async with running.http.get("/alerts?group=weather") as answer:
        assert answer.status == 400
        assert "There is no such state, kind or group." in await answer.text()


async def test_several_are_taken_on_after_a_preview_and_the_others_are_not(running: Zimwatch) -> None:
    preview = await page(running, "/alerts/several?alert=1&alert=3&alert=99&alert=x&do=ack")
    assert "Acknowledge 2 alerts" in preview
    assert "carol" in preview
    assert "dave" not in preview
    assert await states(running) == {"carol": False, "dave": False, "erin": False}
    chosen = [("do", "ack"), ("alert", "1"), ("alert", "3")]
    status, _ = await submit(running, "/alerts/several", "/alerts/several?alert=1&do=ack", chosen)
    assert status == 303
    assert await states(running) == {"carol": True, "dave": False, "erin": True}


async def test_several_are_silenced_each_about_its_own_and_not_without_a_reason(running: Zimwatch) -> None:
    form = "/alerts/several?alert=1&alert=2&do=silence"
    chosen = [("do", "silence"), ("alert", "1"), ("alert", "2"), ("duration", "1h")]
    status, text = await submit(running, "/alerts/several", form, [*chosen, ("reason", " ")])
    assert (status, "Reason is missing" in text) == (400, True)
    status, _ = await submit(running, "/alerts/several", form, [*chosen, ("reason", "a release")])
    assert status == 303
    _, body = await running.get("/v1/silences")
    assert sorted(one["matchers"]["user_id"][0] for one in body["silences"]) == ["carol", "dave"]


async def test_choosing_none_is_refused_with_a_message(running: Zimwatch) -> None:
    assert "None of the selected alerts is firing." in await page(running, "/alerts/several?do=ack")


async def test_a_users_page_lists_its_alerts_and_their_notifications(tmp_path: Path) -> None:
    async with listening(Called()) as called:
        webhook = WebhookSettings(name="ops", url=f"{called.url}/hook", secret=SECRET)
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(webhook,))) as running:
            await running.send([fresh_event(user_id="carol", state=0, event=4)])
            await called.wait(1)
            text = await page(running, f"/users/{APP}/carol")
            assert "Alerts and notifications" in text
            assert 'href="/alerts/1"' in text
            assert "ops: firing" in text
            assert "1 alert firing" in await page(running, "/")


async def test_a_receiver_is_tried_and_what_it_answered_is_shown(tmp_path: Path) -> None:
    async with listening(Called()) as called:
        receivers = (
            WebhookSettings(name="ops", url=f"{called.url}/hook", secret=SECRET),
            PagerDutySettings(name="night", url=f"{called.url}/v2/enqueue", routing_key=ROUTING_KEY),
        )
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=receivers)) as running:
            status, text = await submit(running, "/settings/try/ops", "/settings", [])
            assert (status, "ops accepted the test message" in text) == (200, True)
            await called.wait(1)
            status, text = await submit(running, "/settings/try/night", "/settings", [])
            assert (status, "night accepted the test message" in text) == (200, True)
            # What PagerDuty would keep open is over at once.
            await called.wait(3)
            called.refusing(400, 1)
            status, text = await submit(running, "/settings/try/ops", "/settings", [])
            assert (status, "ops did not accept the test message" in text) == (200, True)
            assert (await submit(running, "/settings/try/nobody", "/settings", []))[0] == 404
            assert (await running.get("/v1/alerts"))[1]["alerts"] == []


async def test_a_receiver_is_not_tried_by_a_form_of_another_site(tmp_path: Path) -> None:
    async with listening(Called()) as called:
        webhook = WebhookSettings(name="ops", url=f"{called.url}/hook")
        async with (
            zimwatch(tmp_path, alerts=AlertSettings(receivers=(webhook,))) as running,
            running.http.post("/settings/try/ops", headers={"Origin": "https://evil.example"}) as answer,
        ):
            assert answer.status == 403


async def test_the_page_of_a_storm_lists_its_users_and_their_pages_name_it(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        users = [f"storm-{number:02}" for number in range(60)]
        await running.send([fresh_event(user_id=user, client_id=str(uuid.uuid4()), state=0, event=4) for user in users])
        (storm,) = (await running.get("/v1/alerts?kind=kick_storm"))[1]["alerts"]
        linked = re.compile(rf'href="/users/{APP}/(storm-\d\d)"')
        text = await page(running, f"/alerts/{storm['id']}")
        first = linked.findall(text)
        (more,) = re.findall(r'href="(\?cursor=[^"#]*)#its-users"', text)
        text = await page(running, f"/alerts/{storm['id']}{more}")
        assert first + linked.findall(text) == users
        assert "More users" not in text
        user = await page(running, f"/users/{APP}/storm-33")
        assert f'href="/alerts/{storm["id"]}"' in user
        single = (await running.get("/v1/alerts?kind=kicked_out&limit=1"))[1]["alerts"][0]
        assert "Users of this storm" not in await page(running, f"/alerts/{single['id']}")


SHOWN = re.compile(r'<a class="id" href="/alerts/\d+">([^<:]*)')


async def test_the_most_urgent_of_many_alerts_come_first_and_the_rest_is_a_link_away(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        await running.send([fresh_event(user_id="carol", state=0, event=4)])
        warned = [
            fresh_event(user_id=f"user {number}", type="token_will_expire", second=30, client_id=str(uuid.uuid4()))
            for number in range(60)
        ]
        assert (await running.send(warned))[1]["rejected"] == []
        for path in ("/", "/wall"):
            shown = SHOWN.findall(await page(running, path))
            assert shown[:2] == ["carol was kicked out on an unnamed device", "user 59"], path
        assert "and 53 more" in await page(running, "/wall")
        text = await page(running, "/alerts")
        shown = SHOWN.findall(text)
        assert (shown[0], len(shown)) == ("carol was kicked out on an unnamed device", 50)
        (more,) = re.findall(r'href="(/alerts\?state=firing)">More of them<', text)
        pages = [await page(running, more)]
        (older,) = re.findall(r'href="(/alerts\?[^"]*cursor=[^"]*)">Older alerts<', pages[0])
        pages.append(await page(running, older))
        assert len({one for text in pages for one in SHOWN.findall(text)}) == 61
        assert "More of them" not in await page(running, "/alerts?q=carol")


async def test_a_group_of_many_shows_some_and_says_how_many_there_are(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        kicks = [fresh_event(user_id=f"user {n}", client_id=str(uuid.uuid4()), state=0, event=4) for n in range(25)]
        await running.send(kicks)
        for group, rest in (("kind", "/alerts?kind=kicked_out"), ("app", "/alerts?")):
            text = await page(running, f"/alerts?group={group}")
            assert len(SHOWN.findall(text)) in {20, 21}, group  # a storm is another kind, of the same app
            assert re.search(r">2[56] alerts<", text), group
            assert f'href="{rest}">More of them<' in text, group
