"""What the apps are called on the pages, and the link from a user to the back office."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.settings import AppsSettings
from tests.support.events import APP_ID
from tests.support.running import Zimwatch
from tests.support.wire import wire_event

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
