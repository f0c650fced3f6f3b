"""Pages and the API say which devices report through an old tap or port."""

from __future__ import annotations

from html import unescape
from typing import Any

from sidecar.store.users.old_reporters import CURRENT
from tests.support.events import APP_ID
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

OLD: dict[str, Any] = {"name": "zim-tap", "version": "0.0.9"}


async def text(running: Zimwatch, path: str, **headers: str) -> str:
    async with running.http.get(path, headers=headers) as answer:
        return " ".join(unescape(await answer.text()).split())


async def test_an_old_tap_is_named_on_the_device_and_in_the_session(running: Zimwatch) -> None:
    current = {"name": "zim-tap", "version": CURRENT}
    await running.send([fresh_event(user_id="alice", reporter=OLD), fresh_event(user_id="bob", reporter=current)])
    await running.send([fresh_event(user_id="carol")])
    wanted: dict[str, dict[str, Any]] = {"alice": OLD | {"outdated": True}, "bob": current | {"outdated": False}}
    wanted["carol"] = {"name": None, "version": None, "outdated": False}
    for user_id, reporter in wanted.items():
        _, user = await running.get(f"/v1/users/{APP_ID}/{user_id}")
        assert user["sessions"][0]["reporter"] == reporter
        page = await text(running, f"/users/{APP_ID}/{user_id}")
        assert (f"old: {CURRENT} is current" in page) is reporter["outdated"]
        assert (f"zim-tap {reporter['version']}" in page) is (reporter["name"] is not None)


async def test_the_settings_count_devices_with_an_old_tap_and_the_overview_where_they_are_many(
    running: Zimwatch,
) -> None:
    told = f"device began to report through zim-tap 0.0.9 since yesterday; {CURRENT} is current"
    await running.send([fresh_event(user_id="alice", reporter=OLD)])
    assert f"1 {told}." in await text(running, "/settings")
    assert "zim-tap 0.0.9" not in await text(running, "/")
    await running.send([fresh_event(user_id=f"user-{number}", reporter=OLD) for number in range(19)])
    for path in ("/settings", "/"):
        assert f"20 {told.replace('device', 'devices')}" in await text(running, path)
    _, other = await new_token(running.store, "read", APP_ID + 1)
    assert "zim-tap 0.0.9" not in await text(running, "/settings", Authorization=f"Bearer {other}")
