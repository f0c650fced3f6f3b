"""Text from outside forges no line and no markup, in messages to any receiver and in the log."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from sidecar import logs
from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.notify.test_message import _message
from sidecar.alerting.payloads import message_body
from sidecar.alerting.receivers import receiver_of
from sidecar.alerting.receivers.alertmanager import AlertmanagerSettings
from sidecar.alerting.receivers.apprise import AppriseSettings
from sidecar.alerting.receivers.email import EmailSettings
from sidecar.alerting.receivers.pagerduty import PagerDutySettings
from sidecar.alerting.receivers.slack import SlackSettings
from sidecar.alerting.tables.alert_values import Message
from sidecar.clock import now_us
from sidecar.domain import outside_text
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.naming import Device, user_name
from sidecar.domain.alerts.rules.kicked_out import KICKED_OUT
from sidecar.domain.apps import Apps
from sidecar.domain.texts import Text, verbatim
from sidecar.http_client import HttpClient
from sidecar.settings import AlertSettings, LogSettings
from sidecar.settings.alert_settings import ReceiverSettings
from tests.alerting.test_calls import SLACK_SECRET, of_slack
from tests.support.called import ROUTING_KEY, SLACK_TOKEN, Called, Slack, alertmanager, listening, mail_server
from tests.support.running import zimwatch
from tests.support.wire import fresh_event

FORGED = "Acknowledge: http://evil.example/"
ENDS = ["\n", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x00", "\x1b[31m"]
TURNS = ["\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\ufeff", "\U000e0041", "\x7f"]
MARKED = (
    "*bold* `code` _it_ ~no~ <http://evil.example|Log in> <img src=x onerror=alert(1)> [a](http://e.example) @everyone"
)
EVIL = f"carol{''.join(ENDS)}{FORGED}{''.join(TURNS)} {MARKED} :red_circle:"
UNSEEN = frozenset("".join(ENDS + TURNS).replace("[31m", ""))


EVIL_APPS = Apps({7: f"Prod{EVIL}"[:60]}, "https://office.example/{app_id}/{user_id}")


def evil_message(*, digest: bool = False) -> Message:
    device = Device("Web" + EVIL, "pixel" + EVIL)
    summary = KICKED_OUT(who=user_name(EVIL), device=device.text)
    alerts = [
        Alert(
            id=number,
            kind="kicked_out",
            fingerprint="f" * 32,
            severity="critical",
            subject=Subject(7, EVIL),
            started_at_us=now_us(),
            opened_at_us=now_us(),
            # As an older version stored it.
            summary=summary if number else Text("verbatim", {"text": f"{EVIL} was kicked out"}),
            labels={"platform": EVIL, "device_id": EVIL, "app_version": EVIL},
            acknowledged_by=EVIL,
            end_reason=verbatim(EVIL),
        )
        for number in range(2 if digest else 1)
    ]
    body = message_body("firing", alerts, "https://z.example", EVIL_APPS, "g", is_digest=digest, now_us=now_us())
    return msgspec_replace(_message("r", "https://z.example", now_us()), body)


def msgspec_replace(message: Message, body: dict[str, Any]) -> Message:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(message, body=body)


async def send(settings: ReceiverSettings, message: Message) -> None:
    async with HttpClient() as http:
        await receiver_of(settings, http).send(message, None, now_us())


def all_text(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from all_text(one)
    elif isinstance(value, list):
        for one in value:
            yield from all_text(one)


def lines_of(text: str) -> list[str]:
    return text.splitlines()


def is_honest(text: str) -> bool:
    """Whether no line was forged, and nothing in it is unseen."""
    return not any(line.startswith((FORGED, "FORGED")) for line in lines_of(text)) and not (UNSEEN - {"\n"}) & set(text)


@pytest.mark.parametrize("digest", [False, True])
async def test_slack_shows_text_as_it_is(*, digest: bool) -> None:
    slack = Slack()
    async with listening(slack):
        settings = SlackSettings(name="r", token=SLACK_TOKEN, channel="#zim", url=f"{slack.url}/api/")
        await send(settings, evil_message(digest=digest))
    (posted,) = slack.taken
    assert posted["parse"] == "none"
    assert posted["blocks"][0]["text"]["verbatim"] is True  # else a name such as evil.example becomes a link
    for text in (posted["text"], posted["blocks"][0]["text"]["text"]):
        assert is_honest(text)
        # Within our own links nothing is markup.
        outside = re.sub(r"<https://(z|office)\.example/[^>]*>", "", text).removeprefix(":red_circle: *CRITICAL")
        for mark in ("*bold*", "`", "_it_", "~no~", "<http://evil", "<img", ":red_circle: <", "@everyone"):
            assert mark not in outside
    # Our own link is kept.
    assert "<https://z.example/alerts" in posted["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("digest", [False, True])
async def test_mail_is_plain_text_without_forged_lines(*, digest: bool) -> None:
    with mail_server() as (mailbox, port):
        settings = EmailSettings(
            name="r", host="127.0.0.1", port=port, sender="z@z.example", to=("o@z.example",), tls="none"
        )
        await send(settings, evil_message(digest=digest))
    (mail,) = mailbox.mails
    assert mail.get_content_type() == "text/plain"
    assert is_honest(mail.get_content().replace("\r\n", "\n"))
    assert is_honest(mail["Subject"])
    assert "\n" not in mail["Subject"]
    assert set(mail.keys()) == {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted"} | set(mail.keys()) & {
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
        "X-Peer",
    }


@pytest.mark.parametrize("form", ["", "html", "markdown"])
async def test_mail_by_apprise_is_plain_text_whatever_format_its_url_requests(form: str) -> None:
    with mail_server() as (mailbox, port):
        query = urlencode({"smtp": "127.0.0.1", "from": "z@z.example", "to": "o@z.example", "mode": "insecure"})
        more = f"&format={form}" if form else ""
        await send(AppriseSettings(name="r", url=f"mailto://127.0.0.1:{port}?{query}{more}"), evil_message())
    (mail,) = mailbox.mails
    parts = [one for one in mail.walk() if not one.is_multipart()]
    assert {one.get_content_type() for one in parts} == {"text/plain"}
    for part in parts:
        assert is_honest(part.get_content().replace("\r\n", "\n"))
        assert "<img" not in part.get_content()
        assert "*bold*" not in part.get_content()
    assert is_honest(mail["Subject"])


async def test_pagerduty_gets_no_forged_lines() -> None:
    async with listening(Called()) as hook:
        settings = PagerDutySettings(name="r", routing_key=ROUTING_KEY, url=f"{hook.url}/v2/enqueue")
        await send(settings, evil_message())
        assert hook.wrong == []
        assert all(is_honest(text) for text in all_text(hook.taken[0]))


@pytest.mark.alertmanager
async def test_an_alertmanager_gets_no_forged_lines(tmp_path: Path) -> None:
    import aiohttp  # noqa: PLC0415

    async with alertmanager(tmp_path) as address:
        await send(AlertmanagerSettings(name="r", url=address), evil_message())
        async with aiohttp.ClientSession() as http, http.get(f"{address}/api/v2/alerts") as answer:
            (shown,) = await answer.json()
    assert shown["labels"]["user_id"].startswith("carol")
    assert all(is_honest(text) for text in all_text([shown["labels"], shown["annotations"]]))


def test_markup_of_a_template_is_kept_and_that_of_a_value_is_escaped() -> None:
    made = MessageTemplate("*{{ alert.user_id }}*\n<{{ alert.labels.platform }}>", outside_text.slack).text(
        evil_message()
    )
    assert made.startswith("*carol")
    assert "*bold*" not in made
    assert len(lines_of(made)) == 2


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("user_123", True),
        ("a*b", True),
        ("bob@example.com", True),
        ("HTTP 503: away", True),
        ("10:05", True),
        ("_admin_", False),
        ("*x", False),
        ("a`b", False),
        (":x:", False),
        ("http://evil", False),
    ],
)
def test_a_sign_inside_a_word_is_no_markup(text: str, *, plain: bool) -> None:
    assert (outside_text.unmarked(text) == text) is plain


@pytest.mark.parametrize("unseen", ["\u2800", "\U0001bca0", "\U0001bca3"])
def test_an_invisible_character_is_replaced_by_a_mark(unseen: str) -> None:
    assert outside_text.one_line(f"al{unseen}ice") == "al\ufffdice"


@given(st.text())
def test_one_line_is_a_single_line_that_can_be_encoded(text: str) -> None:
    line = outside_text.one_line(text)
    assert len(line) == len(text)
    assert len(line.splitlines()) <= 1
    assert line.encode() == line.encode("utf-8", "strict")
    assert outside_text.one_line(line) == line


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_entry_is_one_line_whatever_text_is_in_it(form: Any) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    stream = io.StringIO()
    try:
        logs.configure(LogSettings(format=form), stream)
        log = structlog.stdlib.get_logger("sidecar")
        log.info("a request", user=EVIL, more={"deep": [EVIL]})
        logging.getLogger("aiohttp").warning("theirs %s", EVIL)
        try:
            int("x\nFORGED line")
        except ValueError as error:
            error.args = (str(error).replace("\\n", "\n"),)
            log.exception("failed", user=EVIL)
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
    text = stream.getvalue()
    assert is_honest(text)
    if form == "json":
        assert [json.loads(line)["event"].split()[0] for line in text.splitlines()] == ["a", "theirs", "failed"]


async def test_an_answer_to_a_chat_shows_text_as_it_is(tmp_path: Path) -> None:
    alerts = AlertSettings(slack_signing_secret=SLACK_SECRET)
    user = "*x* <http://evil.example|y> `z`"
    async with zimwatch(tmp_path, alerts=alerts) as running:
        await running.send([fresh_event(user_id=user, platform="*Web*", state=0, event=4)])
        for command in (
            f"status {user}",
            f"who kicked {user}",
            "top kicked",
            f"silence {user} 1h because {user}",
            "ack 1",
        ):
            raw = urlencode({"text": command, "user_name": "dana"}).encode()
            async with running.http.post("/v1/chatops/slack", data=raw, headers=of_slack(raw, time.time())) as answer:
                body = await answer.json()
            assert body["blocks"][0]["text"]["verbatim"] is True
            for text in (body["text"], body["blocks"][0]["text"]["text"]):
                assert "x" in text
                assert not [mark for mark in ("*x*", "<http://evil", "`", "*Web*") if mark in text]
