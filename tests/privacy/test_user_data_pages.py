"""Administrators export and erase a user on its page and by the API."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.events import APP_ID
from tests.support.running import Zimwatch
from tests.support.wire import fresh_event

ALICE = "alice/7f3a9c"
QUOTED = "alice%2F7f3a9c"


async def sent(running: Zimwatch) -> None:
    status, _ = await running.send([fresh_event(user_id=ALICE, app_id=APP_ID)])
    assert status == 200


async def test_the_api_exports_and_erases_a_user(running: Zimwatch) -> None:
    await sent(running)
    status, exported = await running.get(f"/v1/user-export?app_id={APP_ID}&user_id={QUOTED}")
    assert (status, exported["user_id"], len(exported["data"]["events"])) == (200, ALICE, 1)
    async with running.http.delete(f"/v1/users/{APP_ID}/{QUOTED}") as response:
        certificate = await response.json()
    assert response.status == 200
    assert certificate["removed"]["events"] == 1
    assert ALICE not in str(certificate)
    assert (await running.get(f"/v1/users/{APP_ID}/{QUOTED}"))[0] == 404
    assert (await running.get(f"/v1/erasures/{certificate['id']}"))[1] == certificate
    _, left = await running.get(f"/v1/user-export?app_id={APP_ID}&user_id={QUOTED}")
    assert set(left["data"]) <= {"audit_log"}  # who exported and erased, by a pseudonym


async def test_the_page_erases_once_the_id_is_typed_again_and_shows_the_certificate(
    running: Zimwatch, tmp_path: Path
) -> None:
    await sent(running)
    path = f"/user-data?app_id={APP_ID}&user_id={QUOTED}"
    async with running.http.get(path) as response:
        page = await response.text()
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert token is not None
    form: dict[str, Any] = {"form_token": token[1], "app_id": str(APP_ID), "user_id": ALICE, "again": "bob"}
    async with running.http.post("/erasures", data=form) as response:
        assert response.status == 400
    async with running.http.post("/erasures", data=form | {"again": ALICE, "form_token": "other"}) as response:
        assert response.status == 403
    assert (await running.get(f"/v1/users/{APP_ID}/{QUOTED}"))[0] == 200
    async with running.http.post("/erasures", data=form | {"again": ALICE}) as response:
        where = str(response.url)
    for _ in range(200):
        async with running.http.get(where) as response:
            shown = await response.text()
        if "finished" in shown:
            break
        await asyncio.sleep(0.1)
    assert "events" in shown
    assert ALICE not in shown
    assert ALICE.encode() not in (tmp_path / "zimwatch.db").read_bytes()


@pytest.mark.parametrize("query", ["", "?app_id=1", "?app_id=x&user_id=a"])
async def test_an_export_of_nobody_is_refused(running: Zimwatch, query: str) -> None:
    assert (await running.get(f"/v1/user-export{query}"))[0] == 400
