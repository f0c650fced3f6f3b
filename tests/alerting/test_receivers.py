"""Each type of receiver, on loopback, with a firing alert, its changes and its end, and with errors."""

from __future__ import annotations

import asyncio
import socket
import ssl
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from sidecar import clock
from sidecar.alerting.notify.test_message import send_test_message
from sidecar.alerting.receivers.alertmanager import AlertmanagerSettings
from sidecar.alerting.receivers.apprise import AppriseSettings
from sidecar.alerting.receivers.email import EmailSettings
from sidecar.alerting.receivers.pagerduty import PagerDutySettings
from sidecar.alerting.receivers.slack import SlackSettings
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.settings import AlertSettings
from tests.support.called import (
    ROUTING_KEY,
    SECRET,
    SLACK_TOKEN,
    Called,
    Slack,
    alertmanager,
    certificate,
    listening,
    mail_server,
)
from tests.support.running import Zimwatch, zimwatch
from tests.support.wire import fresh_event

CAROL = str(uuid.uuid4())


async def kicked(running: Zimwatch, user_id: str = "carol", seq: int = 1, **fields: Any) -> None:
    event = {"user_id": user_id, "client_id": CAROL, "seq": seq, "state": 0, "event": 4, "platform": "Android"}
    status, _ = await running.send([fresh_event(**event | fields)])
    assert status == 200


async def back(running: Zimwatch, user_id: str = "carol", seq: int = 2, **fields: Any) -> None:
    event = {"user_id": user_id, "client_id": CAROL, "seq": seq, "state": 2, "event": 0}
    status, _ = await running.send([fresh_event(**event | fields)])
    assert status == 200


async def delivered(running: Zimwatch, state: str, count: int = 1, attempts: int = 0) -> list[dict[str, Any]]:
    """The notifications of the first alert, once as many of its messages are in that state after as many attempts."""
    async with asyncio.timeout(20):
        while True:
            _, alert = await running.get("/v1/alerts/1")
            found = [
                one
                for one in alert["notifications"]
                if one["state"] == state and one["message"]["attempts"] >= attempts
            ]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
async def hook() -> AsyncIterator[Called]:
    async with listening(Called()) as called:
        yield called


def webhook(called: Called, **more: Any) -> AlertSettings:
    return AlertSettings(receivers=(WebhookSettings(name="ops", url=f"{called.url}/hook", secret=SECRET),), **more)


async def test_a_webhook_is_signed_and_is_sent_the_beginning_and_the_end(tmp_path: Path, hook: Called) -> None:
    async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
        await kicked(running)
        (first,) = await hook.wait(1)
        assert first["type"] == "alert.firing"
        alert = first["alert"]
        assert (alert["kind"], alert["user_id"], alert["state"], alert["ended_at"]) == (
            "kicked_out",
            "carol",
            "firing",
            None,
        )
        assert alert["url"] == f"{running.url}/alerts/1"
        await back(running)
        last = (await hook.wait(2))[1]
        assert last["type"] == "alert.resolved"
        assert (last["alert"]["id"], last["alert"]["fingerprint"]) == (alert["id"], alert["fingerprint"])
        assert last["alert"]["ended_at"] >= alert["started_at"]
        assert len(set(hook.ids)) == 2
        sent = await delivered(running, "sent", 2)
        assert [one["message"]["proof"] for one in sent] == [{"status": 200}, {"status": 200}]


async def test_a_failed_attempt_is_repeated_with_the_same_id_after_the_requested_pause(
    tmp_path: Path, hook: Called
) -> None:
    hook.refusing(429, 1, **{"Retry-After": "1"})
    async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
        await kicked(running)
        await hook.wait(1)
        (notification,) = await delivered(running, "sent")
        assert notification["message"]["attempts"] == 2
        assert hook.refused == hook.ids


async def test_a_permanent_error_is_a_dead_letter_that_can_be_sent_again(tmp_path: Path, hook: Called) -> None:
    hook.refusing(401, 1)
    async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
        await kicked(running)
        (dead,) = await delivered(running, "dead")
        assert dead["message"]["error"] == "HTTP 401"
        _, listed = await running.get("/v1/alerts/undelivered")
        assert [one["id"] for one in listed["messages"]] == [dead["message"]["id"]]
        async with running.http.post(f"/v1/alerts/undelivered/{dead['message']['id']}/send") as answer:
            assert answer.status == 202
        await hook.wait(1)
        (notification,) = await delivered(running, "sent")
        assert (notification["message"]["attempts"], notification["message"]["message_id"]) == (2, hook.refused[0])


async def test_a_redirect_is_not_followed(tmp_path: Path, hook: Called) -> None:
    hook.refusing(302, 1, Location="/any")
    async with zimwatch(tmp_path, alerts=webhook(hook)) as running:
        await kicked(running)
        (dead,) = await delivered(running, "dead")
        assert "redirect" in dead["message"]["error"]
        assert hook.taken == []


async def test_the_first_route_that_matches_decides_who_is_notified(tmp_path: Path, hook: Called) -> None:
    from sidecar.settings.alert_settings import RouteSettings  # noqa: PLC0415

    async with listening(Called()) as other:
        alerts = AlertSettings(
            receivers=(
                WebhookSettings(name="ops", url=f"{hook.url}/hook", secret=SECRET),
                WebhookSettings(name="desk", url=f"{other.url}/hook", secret=SECRET),
            ),
            routes=(
                RouteSettings(
                    match={"kind": ("kicked_out", "token_expired"), "severity": ("critical",), "app_id": (1234567890,)},
                    receivers=("ops",),
                ),
                RouteSettings(match={"severity": "warning"}, receivers=("desk",)),
            ),
        )
        async with zimwatch(tmp_path, alerts=alerts) as running:
            await kicked(running)
            await kicked(running, "dave", client_id=str(uuid.uuid4()), event=2)
            await kicked(running, "mallory", client_id=str(uuid.uuid4()), event=6)
            await hook.wait(1)
            await other.wait(1)
            assert [one["alert"]["user_id"] for one in hook.taken] == ["carol"]
            assert [one["alert"]["user_id"] for one in other.taken] == ["dave"]
            _, nobody = await running.get("/v1/alerts/3")
            assert (nobody["kind"], nobody["notifications"]) == ("unregistered", [])


async def test_slack_has_one_message_edited_in_place_and_a_thread(tmp_path: Path) -> None:
    slack = Slack()
    async with listening(slack):
        settings = SlackSettings(name="chat", token=SLACK_TOKEN, channel="#zim", url=f"{slack.url}/api/")
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
            await kicked(running, user_id="<carol> & co")
            await slack.wait(1)
            await delivered(running, "sent")
            async with running.http.post("/v1/alerts/1/ack", json={"author": "dana"}) as answer:
                assert (await answer.json())["acknowledged"]["by"] == "dana"
            await delivered(running, "sent", 2)
            await back(running, user_id="<carol> & co")
            (first, _, _) = await delivered(running, "sent", 3)
            assert slack.wrong == []
            assert [one["method"] for one in slack.taken] == [
                "chat.postMessage",
                *["chat.update", "chat.postMessage"] * 2,
            ]
            (top,) = [one for one in slack.messages.values() if "thread_ts" not in one]
            assert top["text"].startswith("RESOLVED: &lt;carol&gt; &amp; co was kicked out")
            thread = [one["text"] for one in slack.messages.values() if "thread_ts" in one]
            assert "Acknowledged by dana." in thread[0]
            assert "The user is online again" in thread[1]
            assert top["metadata"]["event_payload"]["message_id"] == first["message"]["message_id"]


@pytest.mark.parametrize(("error", "state"), [("channel_not_found", "dead"), ("internal_error", "pending")])
async def test_only_a_temporary_error_of_slack_is_retried(tmp_path: Path, error: str, state: str) -> None:
    slack = Slack()
    slack.error = error
    async with listening(slack):
        settings = SlackSettings(name="chat", token=SLACK_TOKEN, channel="#zim", url=f"{slack.url}/api/")
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
            await kicked(running)
            found = await delivered(running, state, attempts=1)
            assert found[0]["message"]["error"] == f"Slack: {error}"


async def test_pagerduty_gets_one_incident_that_is_acknowledged_and_resolved(tmp_path: Path, hook: Called) -> None:
    settings = PagerDutySettings(name="pager", routing_key=ROUTING_KEY, url=f"{hook.url}/v2/enqueue")
    async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
        await kicked(running)
        await hook.wait(1)
        await delivered(running, "sent")
        async with running.http.post("/v1/alerts/1/ack") as answer:
            assert answer.status == 200
        await hook.wait(2)
        await back(running)
        events = await hook.wait(3)
        assert [one["event_action"] for one in events] == ["trigger", "acknowledge", "resolve"]
        assert len({one["dedup_key"] for one in events}) == 1
        assert events[0]["payload"]["summary"] == "carol was kicked out on Android"


@pytest.mark.alertmanager
async def test_a_real_alertmanager_shows_an_alert_until_it_is_resolved_and_a_test_for_five_minutes(
    tmp_path: Path,
) -> None:
    async with alertmanager(tmp_path) as address, aiohttp.ClientSession() as http:
        settings = AlertmanagerSettings(name="am", url=address)
        tested = AlertSettings(receivers=(settings,), allowed_hosts=("127.0.0.1",))

        async def shown(want: int) -> list[dict[str, Any]]:
            async with asyncio.timeout(20):
                while True:
                    async with http.get(f"{address}/api/v2/alerts") as answer:
                        found: list[dict[str, Any]] = await answer.json()
                    if len(found) == want:
                        return found
                    await asyncio.sleep(0.1)

        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
            await kicked(running)
            (alert,) = await shown(1)
            assert alert["labels"]["alertname"] == "kicked_out"
            assert alert["labels"]["user_id"] == "carol"
            assert alert["annotations"]["summary"] == "carol was kicked out on Android"
            assert alert["generatorURL"] == f"{running.url}/alerts/1"
            await back(running)
            await shown(0)
            await send_test_message(tested, "am", running.url, clock.now_us())
            (alert,) = await shown(1)
            began, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
            assert ends - began == timedelta(minutes=5)


@pytest.mark.alertmanager
async def test_an_alertmanager_that_was_killed_is_sent_the_firing_alerts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledged or not, whatever repeat_interval is; but not resolved or silenced ones."""
    monkeypatch.setattr("sidecar.alerting.notify.resend.RESEND_S", 0.2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"

    async def shown(want: set[str]) -> None:
        async with asyncio.timeout(20):
            while True:
                async with http.get(f"{address}/api/v2/alerts") as answer:
                    found = await answer.json()
                if {one["labels"]["user_id"] for one in found} == want:
                    return
                await asyncio.sleep(0.1)

    alerts = AlertSettings(repeat_interval="0s", receivers=(AlertmanagerSettings(name="am", url=address),))
    async with aiohttp.ClientSession() as http, zimwatch(tmp_path, alerts=alerts) as running:
        async with alertmanager(tmp_path, port):
            await kicked(running)
            await kicked(running, "dave", client_id=str(uuid.uuid4()))
            await kicked(running, "erin", client_id=str(uuid.uuid4()))
            await shown({"carol", "dave", "erin"})
            async with running.http.post("/v1/alerts/2/ack", json={"author": "dana"}) as answer:
                assert answer.status == 200
            silence = {"matchers": {"user_id": "erin"}, "duration": "1h", "reason": "tests", "author": "dana"}
            async with running.http.post("/v1/silences", json=silence) as answer:
                assert answer.status == 201
            await delivered(running, "sent")
        async with alertmanager(tmp_path, port):
            await shown({"carol", "dave"})
            await back(running)
            await shown({"dave"})


async def test_mail_is_threaded_and_its_line_is_readable_on_a_phone(tmp_path: Path) -> None:
    with mail_server() as (mailbox, port):
        settings = EmailSettings(
            name="mail",
            host="127.0.0.1",
            port=port,
            tls="none",
            sender="Zimwatch <zim@example.com>",
            to=("ops@example.com", "desk@example.com"),
        )
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
            await kicked(running, user_id="王芳")
            await delivered(running, "sent")
            await back(running, user_id="王芳")
            (notification, _) = await delivered(running, "sent", 2)
            first, last = mailbox.mails
            assert first["Subject"] == "CRITICAL: 王芳 was kicked out on Android"
            assert first["To"] == "ops@example.com, desk@example.com"
            text = first.get_body().get_content()
            assert "Ask the user to log in again; do not retry in code." in text
            assert f"{running.url}/users/1234567890/" in text.replace("=\n", "")
            assert last["Subject"].startswith("RESOLVED: ")
            assert last["In-Reply-To"] == first["Message-ID"]
            assert notification["message"]["proof"] == {"message_id": first["Message-ID"]}


def leads_here(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """``host`` is the name of this machine."""
    real = socket.getaddrinfo

    def resolve(name: Any, *args: Any, **more: Any) -> Any:
        return real("127.0.0.1" if name == host else name, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def test_a_mail_server_whose_name_resolves_to_this_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_here(monkeypatch, "mail.example.com")
    with mail_server() as (mailbox, port):
        settings = EmailSettings(
            name="mail", host="mail.example.com", port=port, tls="none", sender="zim@example.com", to=("a@example.com",)
        )
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
            await kicked(running)
            (notification,) = await delivered(running, "dead")
            assert "mail.example.com is 127.0.0.1, which is not a public address" in notification["message"]["error"]
        assert mailbox.mails == []


@pytest.mark.parametrize("tls", ["tls", "starttls"])
@pytest.mark.parametrize("named", ["mail.example.com", "mallory.example.com"])
async def test_an_encrypted_mail_goes_only_to_the_server_whose_certificate_names_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: Literal["tls", "starttls"], named: str
) -> None:
    leads_here(monkeypatch, "mail.example.com")
    made = certificate(tmp_path, named)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made)
    with mail_server(**{"ssl_context" if tls == "tls" else "tls_context": context}) as (mailbox, port):
        settings = EmailSettings(
            name="mail", host="mail.example.com", port=port, tls=tls, sender="zim@example.com", to=("a@example.com",)
        )
        alerts = AlertSettings(receivers=(settings,), allowed_hosts=("mail.example.com",))
        async with zimwatch(tmp_path, alerts=alerts) as running:
            await kicked(running)
            is_right = named == "mail.example.com"
            (notification,) = await delivered(running, "sent" if is_right else "dead")
            assert is_right or "TLS certificate verification failed" in notification["message"]["error"]
        assert len(mailbox.mails) == is_right


@pytest.mark.parametrize(("code", "state"), [(554, "dead"), (451, "pending")])
async def test_only_a_mail_that_is_refused_temporarily_is_retried(tmp_path: Path, code: int, state: str) -> None:
    with mail_server() as (mailbox, port):
        mailbox.answer = f"{code} not now"
        settings = EmailSettings(
            name="mail", host="127.0.0.1", port=port, tls="none", sender="zim@example.com", to=("ops@example.com",)
        )
        async with zimwatch(tmp_path, alerts=AlertSettings(receivers=(settings,))) as running:
            await kicked(running)
            found = await delivered(running, state, attempts=1)
            assert found[0]["message"]["error"] == f"SMTP {code}: not now"


async def test_apprise_delivers_to_the_service_of_its_url(tmp_path: Path, hook: Called) -> None:
    url = hook.url.replace("http://", "json://") + "/any"
    alerts = AlertSettings(receivers=(AppriseSettings(name="teams", url=url),))
    async with zimwatch(tmp_path, alerts=alerts) as running:
        await kicked(running)
        (taken,) = await hook.wait(1)
        assert "carol was kicked out on Android" in taken["body"]


async def test_a_template_of_the_settings_replaces_the_text_and_stays_in_its_sandbox(
    tmp_path: Path, hook: Called
) -> None:
    url = hook.url.replace("http://", "json://") + "/any"
    template = "{{ alert.user_id | upper }} {{ alert.__class__.__mro__ }}"
    alerts = AlertSettings(receivers=(AppriseSettings(name="teams", url=url, template=template),))
    async with zimwatch(tmp_path, alerts=alerts) as running:
        await kicked(running)
        (taken,) = await hook.wait(1)
        assert "the template failed" in taken["body"]
        assert "<class" not in taken["body"]


async def test_the_heartbeat_calls_its_url_while_alerting_works(tmp_path: Path, hook: Called) -> None:
    alerts = AlertSettings(heartbeat_url=f"{hook.url}/any", heartbeat_interval="500ms")
    async with zimwatch(tmp_path, alerts=alerts):
        taken = await hook.wait(2)
    assert {one["method"] for one in taken} == {"GET"}


async def test_no_address_that_gives_access_is_logged_or_shown(
    tmp_path: Path, hook: Called, capfd: pytest.CaptureFixture[str]
) -> None:
    nobody = "http://127.0.0.1:9"  # refuses every connection
    settings = {"permanent": f"{hook.url}/hunter2", "away": f"{nobody}/hunter2?key=hunter2"}
    hook.refusing(404, 1_000)
    alerts = AlertSettings(
        heartbeat_url=f"{nobody}/hunter2",
        receivers=(
            *(WebhookSettings(name=name, url=url) for name, url in settings.items()),
            AppriseSettings(name="apprise", url="json://bob:hunter2@127.0.0.1:9/hunter2"),
        ),
    )
    async with zimwatch(tmp_path, alerts=alerts) as running:
        await kicked(running)
        output = ""
        while not ("apprise" in output and "permanent" in output and "away" in output and "heartbeat" in output):
            output += "".join(capfd.readouterr())
            await asyncio.sleep(0.05)
        for path in ("/settings", "/alerts/1", "/alerts/undelivered", "/v1/alerts/1", "/v1/alerts/undelivered"):
            async with running.http.get(path) as answer:
                output += await answer.text()
    output += "".join(capfd.readouterr())
    assert "no connection" in output
    assert "hunter2" not in output


async def test_a_receiver_that_keeps_failing_is_an_alert_to_the_others(tmp_path: Path, hook: Called) -> None:
    async with listening(Called()) as broken:
        broken.refusing(503, 1_000)
        alerts = AlertSettings(
            stalled_after="1s",
            receivers=(
                WebhookSettings(name="ops", url=f"{hook.url}/hook", secret=SECRET),
                WebhookSettings(name="desk", url=f"{broken.url}/hook", secret=SECRET),
            ),
        )
        async with zimwatch(tmp_path, alerts=alerts) as running:
            await kicked(running)
            await hook.wait_for(lambda taken: any(one["alert"]["kind"] == "export_stalled" for one in taken))
            stalled = next(one["alert"] for one in hook.taken if one["alert"]["kind"] == "export_stalled")
            assert "receiver desk: nothing was delivered" in stalled["summary"]
            assert "HTTP 503" in stalled["summary"]
            broken.refusing(503, 0)
            await hook.wait_for(lambda taken: taken[-1]["type"] == "alert.resolved", within_s=40)
