"""The API of alerts: lists, acknowledgements, silences, the stream, chat commands, and permissions."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from standardwebhooks import Webhook

from sidecar.access.policy import POLICY, Action, Role
from sidecar.alerting.chat_commands import COMMANDS
from sidecar.settings import AlertSettings
from tests.api.test_api import next_event
from tests.support.called import SECRET
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

APP = 1234567890
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


@pytest.fixture
def options() -> dict[str, Any]:
    alerts = AlertSettings(chatops_secret=SECRET, slack_signing_secret=SLACK_SECRET)
    return {"alerts": alerts}


async def kicked(running: Zimwatch, user_id: str = "carol", **fields: Any) -> None:
    event = fresh_event(user_id=user_id, state=0, event=4) | fields
    assert (await running.send([event]))[1]["accepted"] == 1


async def post(running: Zimwatch, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with running.http.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


async def test_alerts_are_listed_by_state_and_kind_newest_first(running: Zimwatch) -> None:
    await kicked(running, "carol")
    await kicked(running, "dave", event=5)
    _, listed = await running.get("/v1/alerts?limit=1")
    assert [one["user_id"] for one in listed["alerts"]] == ["dave"]
    _, older = await running.get(f"/v1/alerts?limit=1&cursor={listed['next_cursor']}")
    assert ([one["user_id"] for one in older["alerts"]], older["next_cursor"]) == (["carol"], None)
    _, of_kind = await running.get("/v1/alerts?state=firing&kind=token_expired")
    assert [one["kind"] for one in of_kind["alerts"]] == ["token_expired"]
    assert (await running.get("/v1/alerts?state=resolved"))[1]["alerts"] == []
    assert (await running.get("/v1/summary"))[1]["alerts"] == {"kicked_out": 1, "token_expired": 1}


@pytest.mark.parametrize("query", ["state=loud", "kind=kick", "severity=high", "cursor=x", "limit=0"])
async def test_an_invalid_query_is_named(running: Zimwatch, query: str) -> None:
    status, answer = await running.get(f"/v1/alerts?{query}")
    assert status == 400
    assert query.split("=", maxsplit=1)[0] in answer["detail"]


async def test_an_acknowledgement_has_a_name_and_counts_once(running: Zimwatch) -> None:
    await kicked(running)
    assert (await post(running, "/v1/alerts/1/ack", {"author": "dana"}))[1]["acknowledged"]["by"] == "dana"
    _, again = await post(running, "/v1/alerts/1/ack", {"author": "erin"})
    assert (again["state"], again["acknowledged"]["by"]) == ("firing", "dana")
    _, listed = await running.get("/v1/alerts?state=acknowledged")
    assert len(listed["alerts"]) == 1
    _, alert = await running.get("/v1/alerts/1")
    assert [(line["what"], line["who"]) for line in alert["history"]] == [("acknowledged", "dana")]
    assert (await post(running, "/v1/alerts/99/ack"))[0] == 404


async def test_a_silence_is_previewed_created_listed_and_ended(running: Zimwatch) -> None:
    await kicked(running, "carol")
    await kicked(running, "dave")
    wanted = {"matchers": {"user_id": "car*", "app_id": APP}, "duration": "1h", "reason": "tests", "author": "dana"}
    status, preview = await post(running, "/v1/silences?dry_run=1", wanted)
    assert (status, [one["user_id"] for one in preview["hides"]]) == (200, ["carol"])
    assert (await running.get("/v1/silences"))[1]["silences"] == []
    status, made = await post(running, "/v1/silences", wanted)
    assert (status, made["state"], made["matchers"]) == (201, "active", {"user_id": ["car*"], "app_id": [str(APP)]})
    async with running.http.delete(f"/v1/silences/{made['id']}") as answer:
        assert answer.status == 204
    _, listed = await running.get("/v1/silences")
    assert [(one["id"], one["state"], one["reason"]) for one in listed["silences"]] == [
        (made["id"], "expired", "tests")
    ]
    async with running.http.delete(f"/v1/silences/{made['id']}") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"matchers": {}}, "matchers"),
        ({"matchers": {"colour": "red"}}, "matchers.colour"),
        ({"reason": " "}, "reason"),
        ({"duration": None}, "duration"),
        ({"duration": "soon"}, "duration"),
        ({"duration": None, "ends_at": "2020-01-01T00:00:00Z"}, "before it begins"),
        ({"duration": None, "ends_at": "2026-01-01T00:00:00"}, "ends_at"),
        ({"until": "x"}, "until"),
    ],
)
async def test_an_invalid_silence_is_refused_by_name(running: Zimwatch, change: dict[str, Any], named: str) -> None:
    wanted = {"matchers": {"user_id": "carol"}, "duration": "1h", "reason": "tests"} | change
    status, answer = await post(running, "/v1/silences", wanted)
    assert status == 400
    assert named in answer["detail"]


async def test_alerts_are_on_the_stream_and_a_resumed_reader_gets_the_missed_ones(running: Zimwatch) -> None:
    async with running.http.get("/v1/stream") as response:
        assert (await next_event(response))[0] == "summary"
        await kicked(running)
        seen = [await next_event(response) for _ in range(3)]
        assert [name for name, _, _ in seen] == ["user", "alert", "summary"]
        assert (seen[1][2]["kind"], seen[1][2]["state"]) == ("kicked_out", "firing")
        assert seen[2][2]["alerts"] == {"kicked_out": 1}
        position = seen[2][1]
        await post(running, "/v1/alerts/1/ack", {"author": "dana"})
        name, _, alert = await next_event(response)
        assert (name, alert["acknowledged"]["by"]) == ("alert", "dana")
    await kicked(running, "dave")
    async with running.http.get("/v1/stream", headers={"Last-Event-ID": str(position)}) as response:
        seen = [await next_event(response) for _ in range(4)]
        assert [one[2]["user_id"] for one in seen if one[0] == "alert"] == ["carol", "dave"]


async def test_a_token_of_one_app_reads_and_changes_only_that_app(running: Zimwatch) -> None:
    await kicked(running, "carol")
    await kicked(running, "dave", app_id=2)
    _, own = await new_token(running.store, "write", APP)
    bearer = {"Authorization": f"Bearer {own}"}
    _, listed = await running.get("/v1/alerts", **bearer)
    assert [one["user_id"] for one in listed["alerts"]] == ["carol"]
    assert (await running.get("/v1/alerts/2", **bearer))[0] == 404
    assert (await post(running, "/v1/alerts/2/ack", **bearer))[0] == 404
    assert (await running.get("/v1/alerts/undelivered", **bearer))[0] == 403
    assert (await running.get("/v1/summary", **bearer))[1]["alerts"] == {"kicked_out": 1}
    wanted = {"matchers": {"kind": "kicked_out"}, "duration": "1h", "reason": "tests"}
    _, made = await post(running, "/v1/silences", wanted, **bearer)
    assert [one["user_id"] for one in made["hides"]] == ["carol"]


async def test_a_read_token_changes_nothing(running: Zimwatch) -> None:
    await kicked(running)
    _, read = await new_token(running.store, "read")
    bearer = {"Authorization": f"Bearer {read}"}
    assert (await post(running, "/v1/alerts/1/ack", **bearer))[0] == 403
    assert (await post(running, "/v1/silences", {}, **bearer))[0] == 403
    status, answer = await post(running, "/v1/chatops", {"text": "status carol"}, **bearer)
    assert (status, answer["text"].startswith("carol is not logged in")) == (200, True)
    assert (await post(running, "/v1/chatops", {"text": "ack 1"}, **bearer))[1][
        "text"
    ] == "You may not acknowledge here."


@pytest.mark.parametrize("scope", ["read", "support", "write"])
async def test_a_signed_command_may_do_what_its_scope_may(tmp_path: Path, scope: Any) -> None:
    alerts = AlertSettings(slack_signing_secret=SLACK_SECRET, chatops_scope=scope)
    needed = {"ack 1": "acknowledge", "watch carol 1h": "watch", "silence carol 1h because tests": "silence"}
    assert {words for words, *_ in COMMANDS} >= {line.split()[0] for line in needed}
    assert {Action(action) for _, action, *_ in COMMANDS} == {Action.SEE_USERS, *map(Action, needed.values())}
    async with zimwatch(tmp_path, alerts=alerts) as running:
        await kicked(running)
        for line, action in needed.items():
            body = urlencode({"text": line}).encode()
            headers = of_slack(body, time.time())
            async with running.http.post("/v1/chatops/slack", data=body, headers=headers) as answer:
                text = (await answer.json())["text"]
            assert (text == f"You may not {action} here.") == (Action(action) not in POLICY[Role(scope)]), text


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("status carol", "carol is not logged in"),
        ("status nobody", "nobody: not logged in, never seen."),
        ("who kicked carol?", "carol was kicked out on Android (pixel-7)"),
        ("who kicked dave", "No kick of dave is known."),
        ("ack 1", "Alert 1 is acknowledged by dana: carol was kicked out"),
        ("ack 77", "There is no alert 77."),
        ("silence carol 1h because she tests", "Silence 1: alerts about carol call nobody until"),
        ("silence carol 900d because she tests", "That is not possible: a silence ends within a year."),
        ("watch carol 24h", "carol is watched until 20"),
        ("Watch carol", "I do not understand that."),
        ("watch carol 90d", "That is not possible: a watch ends within 30 days."),
        ("watch nobody 1h", "nobody was never seen"),
        ("unwatch carol", "carol is not watched."),
        ("top kicked", "Kicked out most in the last 24 hours:\ncarol: 1"),
        ("help", "status USER"),
        ("drop tables", "I do not understand that."),
    ],
)
async def test_a_chat_queries_and_commands(running: Zimwatch, line: str, answer: str) -> None:
    await kicked(running, platform="Android", device_id="pixel-7")
    _, body = await post(running, "/v1/chatops", {"text": line, "user": "dana"})
    assert body["text"].startswith(answer)


async def test_a_chat_finds_a_user_among_many_whose_ids_contain_the_same(running: Zimwatch) -> None:
    await kicked(running)
    await running.send([fresh_event(user_id=f"carol-{number}") for number in range(101)])
    _, body = await post(running, "/v1/chatops", {"text": "status carol"})
    assert body["text"].startswith("carol is not logged in")


async def test_the_status_has_what_is_wrong_and_what_to_say_as_the_api_has_it(running: Zimwatch) -> None:
    await kicked(running, platform="Android", device_id="pixel-7")
    _, user = await running.get(f"/v1/users/{APP}/carol")
    _, body = await post(running, "/v1/chatops", {"text": "status carol"})
    summary, say = user["findings"][0]["summary"], user["findings"][0]["say"]
    assert summary == "carol was kicked out on Android (pixel-7); which other device logged in is not known"
    assert body["text"].splitlines()[1:] == [f"{summary}.", f"Tell the user: {say}"]
    await running.send([fresh_event(user_id="bob")])
    _, body = await post(running, "/v1/chatops", {"text": "status bob"})
    assert len(body["text"].splitlines()) == 1


async def test_who_kicked_names_the_device_that_logged_in(running: Zimwatch) -> None:
    await running.send([fresh_event(user_id="carol", platform="Web", device_id="desk")])
    await kicked(running, platform="Android", device_id="pixel-7")
    _, body = await post(running, "/v1/chatops", {"text": "who kicked carol"})
    assert body["text"].endswith("Web (desk) logged in.")


def signed(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(int(at), UTC), body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def of_slack(body: bytes, at: float, secret: str = SLACK_SECRET) -> dict[str, str]:
    given = hmac.new(secret.encode(), b"v0:%d:" % int(at) + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(int(at)), "X-Slack-Signature": f"v0={given}"}


@pytest.mark.parametrize("path", ["/v1/chatops", "/v1/chatops/slack"])
async def test_a_command_without_a_token_has_to_be_signed(running: Zimwatch, path: str) -> None:
    await kicked(running)
    await new_token(running.store, "read")  # from here on loopback needs a token too
    is_slack = path.endswith("slack")
    body = (urlencode({"text": "ack 1", "user_name": "dana"}) if is_slack else json.dumps({"text": "ack 1"})).encode()
    sign = of_slack if is_slack else signed
    now = time.time()
    for wrong in ({}, sign(body, now - 400), sign(body + b" ", now), sign(body, now, "whsec_AAAA")):
        async with running.http.post(path, data=body, headers=wrong) as answer:
            assert answer.status == 401
    async with running.http.post(path, data=body, headers=sign(body, now)) as answer:
        body = await answer.json()
        assert (answer.status, "Alert 1 is acknowledged by" in body["text"]) == (200, True)
    assert (await running.get("/v1/alerts/1"))[0] == 401


async def test_a_signed_command_that_is_not_utf_8_is_refused(running: Zimwatch) -> None:
    headers = signed('{"text": "ack \N{REPLACEMENT CHARACTER}"}'.encode(), time.time())
    await new_token(running.store, "read")
    async with running.http.post("/v1/chatops", data=b'{"text": "ack \xff"}', headers=headers) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("path", ["/v1/chatops", "/v1/chatops/slack"])
async def test_a_signed_command_is_accepted_once_also_after_a_restart(tmp_path: Path, path: str) -> None:
    alerts = AlertSettings(chatops_secret=SECRET, slack_signing_secret=SLACK_SECRET)
    is_slack = path.endswith("slack")
    sign = of_slack if is_slack else signed
    body = (urlencode({"text": "top kicked"}) if is_slack else json.dumps({"text": "top kicked"})).encode()
    headers = sign(body, time.time())
    for expected in (200, 409):
        async with zimwatch(tmp_path, alerts=alerts) as running:
            for status in (expected, 409):
                async with running.http.post(path, data=body, headers=headers) as answer:
                    assert answer.status == status


@pytest.mark.parametrize("path", ["/v1/chatops", "/v1/chatops/slack"])
async def test_a_command_signed_by_a_clock_that_is_minutes_ahead_is_refused(running: Zimwatch, path: str) -> None:
    sign = of_slack if path.endswith("slack") else signed
    for ahead, status in ((100, 401), (30, 200)):
        body = b"{}" if path.endswith("slack") else json.dumps({"text": f"status {ahead}"}).encode()
        async with running.http.post(path, data=body, headers=sign(body, time.time() + ahead)) as answer:
            assert answer.status == status


async def test_a_silence_names_users_of_several_words_and_wants_a_reason(running: Zimwatch) -> None:
    for line, answer in (
        ("Silence  anna  maria 90M  BECAUSE of it", "Silence 1: alerts about anna  maria call nobody"),
        ("silence 1h 2h because", "Silence 2: alerts about 1h call nobody"),
        ("silence carol 1h", "I do not understand that."),
        ("silence carol 1h because", "Silence 3"),
        ("silence 1h because", "I do not understand that."),
        ("silence" + " " * 2_000 + "x", "I do not understand that."),
        ("ack #", "I do not understand that."),
        ("status " + "x" * 20_000, "That is longer than"),
    ):
        _, body = await post(running, "/v1/chatops", {"text": line})
        assert body["text"].startswith(answer), line


async def test_signed_commands_are_refused_where_no_secret_is_set(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        for path, sign in (("/v1/chatops", signed), ("/v1/chatops/slack", of_slack)):
            async with running.http.post(path, data=b"{}", headers=sign(b"{}", time.time())) as answer:
                assert answer.status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
async def test_a_page_of_another_origin_changes_nothing(running: Zimwatch, origin: str) -> None:
    await kicked(running)
    wanted = {"matchers": {"user_id": "*"}, "duration": "1h", "reason": "none of your business"}
    for path, body in (("/v1/alerts/1/ack", {}), ("/v1/silences", wanted), ("/v1/chatops", {"text": "ack 1"})):
        assert (await post(running, path, body, Origin=origin))[0] == 403
    assert (await running.get("/v1/alerts/1"))[1]["acknowledged"] is None
    assert (await running.get("/v1/silences"))[1]["silences"] == []


# The pages' forms.


async def form(running: Zimwatch, path: str, **headers: str) -> str:
    async with running.http.get(path, headers=headers) as answer:
        text = await answer.text()
    return text.split('name="form_token" value="')[1].split('"')[0]


async def submit(running: Zimwatch, path: str, fields: dict[str, str], **headers: str) -> int:
    async with running.http.post(path, data=fields, headers=headers, allow_redirects=False) as answer:
        return answer.status


async def test_a_form_acknowledges_and_silences_and_the_history_names_who(running: Zimwatch) -> None:
    await kicked(running)
    _, secret = await new_token(running.store, "write")
    basic = {"Authorization": aiohttp.encode_basic_auth("dana", secret)}
    token = await form(running, "/alerts/1", **basic)
    own = basic | {"Origin": running.url}
    assert await submit(running, "/alerts/1/ack", {"form_token": token}, **own) == 303
    given = {"form_token": token, "what": "user", "duration": "1h", "reason": "she tests"}
    assert await submit(running, "/alerts/1/silence", given, **own) == 303
    assert await submit(running, "/alerts/1/silence", given | {"reason": ""}, **own) == 400
    async with running.http.get("/alerts/1", headers=basic) as answer:
        assert "dana" in await answer.text()
    _, listed = await running.get("/v1/silences", Authorization=f"Bearer {secret}")
    assert [(one["author"], one["matchers"]) for one in listed["silences"]] == [
        ("dana, by token 1", {"app_id": [str(APP)], "user_id": ["carol"]})
    ]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
async def test_a_form_of_another_site_changes_nothing(running: Zimwatch, origin: str) -> None:
    await kicked(running)
    token = await form(running, "/alerts/1")
    assert await submit(running, "/alerts/1/ack", {"form_token": token}, Origin=origin) == 403
    assert (await running.get("/v1/alerts/1"))[1]["acknowledged"] is None


async def test_a_form_without_its_token_changes_nothing(running: Zimwatch) -> None:
    await kicked(running)
    for fields in ({}, {"form_token": "x"}):
        assert await submit(running, "/alerts/1/ack", fields, Origin=running.url) == 403
    assert (await running.get("/v1/alerts/1"))[1]["acknowledged"] is None


async def test_a_password_that_a_browser_sends_along_changes_nothing_in_the_api_and_a_programs_does(
    running: Zimwatch,
) -> None:
    await kicked(running)
    _, secret = await new_token(running.store, "write")
    basic = {"Authorization": aiohttp.encode_basic_auth("dana", secret)}
    token = await form(running, "/alerts/1", **basic)
    elsewhere = basic | {"Origin": "https://evil.example"}
    assert await submit(running, "/alerts/1/ack", {"form_token": token}, **elsewhere) == 403
    for says_where in ({"Origin": running.url}, {"Sec-Fetch-Site": "same-origin"}):
        assert (await post(running, "/v1/alerts/1/ack", **says_where, **basic))[0] == 401
    status, alert = await post(running, "/v1/alerts/1/ack", **basic)
    assert (status, alert["acknowledged"]["by"]) == (200, "dana, by token 1")


async def test_a_silence_is_previewed_and_ended_by_forms(running: Zimwatch) -> None:
    await kicked(running)
    token = {"form_token": await form(running, "/silences")}
    own = {"Origin": running.url}
    given = token | {"user_id": "carol", "duration": "4h", "reason": "tests"}
    async with running.http.post("/silences", data=given | {"do": "preview"}, headers=own) as answer:
        text = await answer.text()
        assert "It would match 1 firing alert" in text
        assert 'value="carol"' in text
    assert await submit(running, "/silences", given, **own) == 303
    assert await submit(running, "/silences", token | {"reason": "all"}, **own) == 400
    assert await submit(running, "/silences/1/end", token, **own) == 303
    _, listed = await running.get("/v1/silences")
    assert [one["state"] for one in listed["silences"]] == ["expired"]


@pytest.mark.parametrize(
    "user_id", ["<script>alert(1)</script>", "\"'><img src=x>", "a/b", "\u202egnp.exe", "a" * 10_000]
)
async def test_no_user_id_breaks_a_page_of_alerts(running: Zimwatch, user_id: str) -> None:
    await kicked(running, user_id, extended_data=user_id, device_id=user_id[:200])
    for path in ("/alerts", "/alerts/1", "/silences"):
        async with running.http.get(path) as answer:
            text = await answer.text()
            assert answer.status == 200
        assert "<script>alert" not in text
        assert "<img" not in text


async def test_an_unknown_page_is_not_found(running: Zimwatch) -> None:
    for path in ("/alerts/99", f"/alerts/{uuid.uuid4().int}"):
        async with running.http.get(path) as answer:
            assert answer.status == 404
