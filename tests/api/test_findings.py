"""The findings of a user over HTTP: from events as apps send them, with evidence that is in the user's events."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from tests.support.running import Zimwatch
from tests.support.vectors import schema
from tests.support.wire import wire_event

pytestmark = pytest.mark.both_engines("soak")

APP = 1234567890


class Reporter:
    """A client that reports what happened some seconds ago."""

    def __init__(self, user_id: str, device_id: str, platform: str) -> None:
        self._common = {"user_id": user_id, "device_id": device_id, "platform": platform}
        self._common |= {"client_id": str(uuid.uuid4())}
        self._seq = 0

    def reports(self, kind: str, ago_s: float, **fields: Any) -> dict[str, Any]:
        self._seq += 1
        at = datetime.now(UTC) - timedelta(seconds=ago_s)
        common = self._common | {"type": kind, "seq": self._seq, "occurred_at": at.isoformat()}
        if kind == "connection_state_changed":
            return wire_event(**common, **fields)
        bare = {name: value for name, value in wire_event().items() if name not in {"state", "event", "extended_data"}}
        return bare | common | fields

    def logs_in(self, ago_s: float) -> list[dict[str, Any]]:
        return [
            self.reports("login", ago_s, offline_login=False),
            self.reports("connection_state_changed", ago_s - 0.3, state=2, event=0),
            self.reports("login_result", ago_s - 0.3, code=0),
        ]

    def is_kicked(self, ago_s: float) -> dict[str, Any]:
        return self.reports("connection_state_changed", ago_s, state="Disconnected", event="KickedOut")


async def findings_of(running: Zimwatch, user_id: str) -> list[dict[str, Any]]:
    _, user = await running.get(f"/v1/users/{APP}/{user_id}")
    described = schema("openapi.json")
    finding = {"$ref": "#/components/schemas/Finding", "components": described["components"]}
    for one in user["findings"]:
        jsonschema.validate(one, finding)
    _, listed = await running.get(f"/v1/users/{APP}/{user_id}/events?limit=500")
    known = {event["id"] for event in listed["events"]}
    assert all(one["events"] and set(one["events"]) <= known for one in user["findings"])
    return list(user["findings"])


async def test_a_healthy_user_has_none(running: Zimwatch) -> None:
    phone = Reporter("alice", "pixel-7", "Android")
    login = phone.logs_in(600)
    warned = phone.reports("token_will_expire", 60, second=30)
    renewed = phone.reports("token_renewed", 59, code=0)
    await running.send([*login, warned, renewed])
    assert await findings_of(running, "alice") == []


async def test_two_devices_that_kick_each_other_come_first(running: Zimwatch) -> None:
    both = (Reporter("carol", "pixel-7", "Android"), Reporter("carol", "chrome", "Web"))
    events = both[0].logs_in(1_700)
    kicks = []
    for time in range(9):
        begin_s = 1_650 - time * 180
        events += both[1 - time % 2].logs_in(begin_s)
        kicks.append(both[time % 2].is_kicked(begin_s - 0.5))
        events.append(kicks[-1])
    calls = [both[1].reports("api_error", 20 - at, method="sendMessage", code=6_000_105) for at in range(6)]
    await running.send([*events[::-1], *calls])
    first, second = await findings_of(running, "carol")
    assert (first["kind"], first["severity"], second["kind"]) == ("kicked_by_other_device", "critical", "calls_failing")
    assert first["summary"] == "carol: two devices kick each other out, 9 times within 24 min"
    assert "Please close the app on the one" in first["say"]
    assert {kick["id"] for kick in kicks} < set(first["events"])
    assert second["events"] == [call["id"] for call in calls]


@pytest.mark.parametrize("warned", [True, False])
async def test_an_expired_token_is_found_with_and_without_its_warning(running: Zimwatch, *, warned: bool) -> None:
    phone = Reporter("dave", "pixel-7", "Android")
    login = phone.logs_in(600)
    warning = [phone.reports("token_will_expire", 90, second=30)] if warned else []
    expired = phone.reports("connection_state_changed", 62, state=0, event=5)
    call = phone.reports("api_error", 5, method="queryMessages", code=6_000_121, message="not logged in")
    await running.send([*login, *warning, expired, call])
    (finding,) = await findings_of(running, "dave")
    kind = "token_not_renewed" if warned else "token_expired"
    assert (finding["kind"], finding["severity"]) == (kind, "critical")
    assert finding["events"] == [event["id"] for event in (*warning, expired, call)]


async def test_texts_from_outside_are_one_line_and_cut(running: Zimwatch) -> None:
    phone = Reporter("erin", "line\nbreak", "Web")
    login = phone.logs_in(60)
    call = phone.reports("api_error", 1, method="<b>" + "m" * 253, code=42, message="a\nb" + "x" * 60_000)
    await running.send([*login, call])
    (finding,) = await findings_of(running, "erin")
    assert len(finding["summary"]) < 400
    assert "\n" not in finding["summary"]
