"""What the apps are called on the pages, and the link from a user to the back office."""

from __future__ import annotations

import csv
import io
import re
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from sidecar.settings import AppsSettings
from tests.support.events import APP_ID
from tests.support.running import Zimwatch
from tests.support.streams import streaming
from tests.support.tokens import new_token
from tests.support.wire import fresh_event, wire_event

NAME = "Prod <chat>"
SHOWN = "Prod &lt;chat&gt;"
ODD = 'a/b ?&"<'


@pytest.fixture
def options() -> dict[str, Any]:
    template = "https://office.example.com/{app_id}/find?user={user_id}"
    return {"named": AppsSettings(names={str(APP_ID): NAME}, user_url_template=template)}


async def page(running: Zimwatch, path: str) -> str:
    async with running.http.get(path, headers={"Accept": "text/html"}) as response:
        assert response.status in {200, 404}, path
        return await response.text()


async def test_the_page_of_a_user_names_the_app_and_leads_to_the_back_office(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="alice")])
    text = await page(running, f"/users/{APP_ID}/alice")
    assert f"{SHOWN} ({APP_ID})" in text
    assert f'href="https://office.example.com/{APP_ID}/find?user=alice"' in text


async def test_the_link_has_the_user_id_percent_encoded(running: Zimwatch) -> None:
    text = await page(running, f"/users/{APP_ID}/?id=a%2Fb%20%3F%26%22%3C")
    assert f'href="https://office.example.com/{APP_ID}/find?user=a%2Fb%20%3F%26%22%3C"' in text


async def test_an_app_without_a_name_is_its_id(running: Zimwatch) -> None:
    text = await page(running, "/users/7/alice")
    assert ">App 7<" in text


async def test_an_alert_about_an_app_begins_with_its_name(running: Zimwatch) -> None:
    at = {"event": 4, "state": 0}
    await running.send(
        [fresh_event(user_id=f"user-{number}", client_id=str(uuid.uuid4()), **at) for number in range(25)]
    )
    text = await page(running, "/alerts?kind=kick_storm")
    assert re.search(rf">{re.escape(SHOWN)}: [^<]*users were kicked out", text)
    assert f"{SHOWN}: user-" not in await page(running, "/alerts?kind=kicked_out")


async def test_lists_filters_and_chips_name_the_app(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="alice")])
    text = await page(running, "/users")
    assert f'title="{APP_ID}"' in text
    assert re.search(rf'title="{APP_ID}">\s*{re.escape(SHOWN)}\s*<', text)
    assert f'<option value="{SHOWN}">{APP_ID}</option>' in text
    for given in (str(APP_ID), NAME, NAME.upper()):
        found = await page(running, f"/users?{urlencode({'app_id': given})}")
        assert f"</span> {SHOWN} ({APP_ID})</span>" in found
        assert "alice" in found
    assert "alice" not in await page(running, "/users?app_id=7")


async def test_a_text_that_is_no_app_is_refused(running: Zimwatch) -> None:
    async with running.http.get("/users", params={"app_id": "Test chat"}, headers={"Accept": "text/html"}) as response:
        assert response.status == 400
        assert "neither an AppID" in await response.text()


async def test_a_token_of_one_app_sees_no_name_of_another(running: Zimwatch) -> None:
    _, secret = await new_token(running.store, "read", app_id=7)
    async with running.http.get(
        "/users", headers={"Accept": "text/html", "Authorization": f"Bearer {secret}"}
    ) as response:
        assert response.status == 200
        assert SHOWN not in await response.text()


@pytest.mark.parametrize(("asked", "other"), [(str(APP_ID), SHOWN), (NAME, str(APP_ID))])
async def test_an_app_that_one_may_not_see_keeps_its_name_and_id(running: Zimwatch, asked: str, other: str) -> None:
    _, secret = await new_token(running.store, "read", app_id=7)
    headers = {"Accept": "text/html", "Authorization": f"Bearer {secret}"}
    for path in ("/users", "/users?happened=kicked_out", "/alerts", "/silences"):
        async with running.http.get(path, params={"app_id": asked}, headers=headers) as response:
            assert other not in await response.text()


async def test_exports_have_the_name_beside_the_id(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="alice"), wire_event(user_id="bob", app_id=7, client_id=str(uuid.uuid4()))])
    async with running.http.get("/users.csv") as response:
        rows = {row["user_id"]: row for row in csv.DictReader(io.StringIO(await response.text()))}
    assert (rows["alice"]["app_id"], rows["alice"]["app_name"]) == (str(APP_ID), NAME)
    assert (rows["bob"]["app_id"], rows["bob"]["app_name"]) == ("7", "")


async def test_silences_take_the_name_of_an_app_and_show_it(running: Zimwatch) -> None:
    token = (await page(running, "/silences")).split('name="form_token" value="')[1].split('"')[0]
    form = {"app_id": NAME, "duration": "1h", "reason": "a test", "do": "silence", "form_token": token}
    async with running.http.post("/silences", data=form, headers={"Origin": running.url}) as response:
        assert response.status == 200
        assert f"{SHOWN} ({APP_ID})" in await response.text()


async def test_the_page_behind_a_share_link_names_the_app(running: Zimwatch) -> None:
    await running.send([wire_event(user_id="alice")])
    text = await page(running, f"/users/{APP_ID}/alice?hand_off=1h")
    link = re.search(r"/hand-off/[A-Za-z0-9._-]+", text)
    assert link is not None
    assert f"A user of app {SHOWN} ({APP_ID})" in await page(running, link[0])


async def test_an_open_page_keeps_the_name_when_it_changes(running: Zimwatch) -> None:
    await running.send([fresh_event(user_id="alice")])
    async with streaming(running.http, "/live/users", {"Accept": "text/event-stream"}) as stream:
        await stream.next()
        await running.send([fresh_event(user_id="bob")])
        assert SHOWN in (await stream.next()).data
