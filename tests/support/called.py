"""Whom alerts are sent to, on loopback: each checks every request against the service's published shape."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import socket
import subprocess
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiosmtpd.controller import Controller
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.small_server import served

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/webhook.v1.json").read_text())
SLACK_TOKEN = "xoxb-1234"
ROUTING_KEY = "R" * 32

# From PagerDuty's reference of the Events API v2, "Send an event": what is required, and what each may be.
PAGERDUTY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string", "format": "uri"},
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "properties": {"href": {"type": "string"}, "text": {"type": "string"}},
                "additionalProperties": False,
            },
        },
        "images": {"type": "array"},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "maxLength": 1024, "minLength": 1},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}


class Called:
    """What arrived, and was in order; ``wrong`` is what was not. ``refuse`` may answer with an error first."""

    def __init__(self) -> None:
        self.url = ""
        self.taken: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.refused: list[str] = []
        self.wrong: list[str] = []
        self.refuse: Callable[[], web.Response | None] = lambda: None
        self.answer: Callable[[], web.Response] = web.Response
        self._arrived = asyncio.Condition()

    def refusing(self, status: int, times: int, **headers: str) -> None:
        """Answers the next requests so."""
        left = times

        def refuse() -> web.Response | None:
            nonlocal left
            left -= 1
            return web.Response(status=status, headers=headers) if left >= 0 else None

        self.refuse = refuse

    def failing(self, share: float, seed: int = 7) -> None:
        """Fails this share of the requests; of these, half after it has read them."""
        chance = random.Random(seed)  # noqa: S311 - which ones, the same every time
        self.refuse = lambda: web.Response(status=503) if chance.random() < share / 2 else None
        self.answer = lambda: web.Response(status=503 if chance.random() < share / 2 else 200)

    async def take(self, what: dict[str, Any]) -> None:
        async with self._arrived:
            self.taken.append(what)
            self._arrived.notify_all()

    async def wait_for(self, ready: Callable[[list[dict[str, Any]]], bool], within_s: float = 20) -> None:
        """TimeoutError where it does not come to that."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: ready(self.taken))

    async def wait(self, count: int, within_s: float = 20) -> list[dict[str, Any]]:
        """What was taken, once there is as much."""
        await self.wait_for(lambda taken: len(taken) >= count, within_s)
        assert self.wrong == []
        return self.taken

    async def webhook(self, request: web.Request) -> web.Response:
        """Checks the signature and its time as Standard Webhooks has them, and the body against our own schema."""
        raw = await request.read()
        headers = request.headers
        try:
            Webhook(SECRET).verify(raw, dict(headers))
        except WebhookVerificationError as error:
            self.wrong.append(str(error))
        body = json.loads(raw)
        self.wrong += [error.message for error in Draft202012Validator(WEBHOOK_SCHEMA).iter_errors(body)]
        if (refusal := self.refuse()) is not None:
            self.refused.append(headers["webhook-id"])
            return refusal
        self.ids.append(headers["webhook-id"])
        await self.take(body)
        return self.answer()

    async def pagerduty(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.wrong += [error.message for error in Draft202012Validator(PAGERDUTY_SCHEMA).iter_errors(body)]
        if (refusal := self.refuse()) is not None:
            return refusal
        await self.take(body)
        answer = {"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]}
        return web.json_response(answer, status=202)

    async def anything(self, request: web.Request) -> web.Response:
        if (refusal := self.refuse()) is not None:
            return refusal
        raw = await request.read()
        await self.take({"method": request.method, "path": request.path, "body": raw.decode()})
        return web.Response()


class Slack(Called):
    """chat.postMessage and chat.update of Slack's Web API: what is posted, by its time, with its thread."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, dict[str, Any]] = {}
        self.error: str | None = None

    async def call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if (refusal := self.refuse()) is not None:
            return refusal
        if request.headers.get("Authorization") != f"Bearer {SLACK_TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.error is not None:
            return web.json_response({"ok": False, "error": self.error})
        body = await request.json()
        needed = {"chat.postMessage": {"channel", "text"}, "chat.update": {"channel", "ts", "text"}}[method]
        if not needed <= body.keys():
            self.wrong.append(f"{method} without {needed - body.keys()}")
        if len(body["text"]) > 40_000 or any(len(one["text"]["text"]) > 3_000 for one in body.get("blocks", [])):
            self.wrong.append("msg_too_long")
        if method == "chat.update":
            if body["ts"] not in self.messages:
                return web.json_response({"ok": False, "error": "message_not_found"})
            ts = body["ts"]
            self.messages[ts] |= body
        else:
            if "thread_ts" in body and body["thread_ts"] not in self.messages:
                self.wrong.append("thread_not_found")
            ts = f"1795442400.{len(self.messages) + 1:06}"
            self.messages[ts] = body
        await self.take({"method": method, **body})
        return web.json_response({"ok": True, "channel": "C024BE91L", "ts": ts, "message": {"text": body["text"]}})


@contextlib.asynccontextmanager
async def listening(called: Called, port: int = 0) -> AsyncIterator[Called]:
    """Runs it until the context ends."""
    async with served(
        web.post("/hook", called.webhook),
        web.post("/v2/enqueue", called.pagerduty),
        *([web.post("/api/{method}", called.call)] if isinstance(called, Slack) else ()),
        web.route("*", "/any", called.anything),
        web.route("*", "/any/", called.anything),
        port=port,
        client_max_size=1 << 26,
    ) as called.url:
        yield called


class Mailbox:
    """An SMTP server that takes mail for everybody; ``answer`` may be another reply to DATA."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answer.startswith("250"):
            parsed = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
        return self.answer


@contextlib.contextmanager
def mail_server(**encrypted: Any) -> Any:
    """A mailbox and its port; ``encrypted`` is aiosmtpd's own (``ssl_context``, or ``tls_context`` for STARTTLS)."""
    mailbox = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **encrypted)
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()


def certificate(folder: Path, host: str) -> Path:
    """A certificate for a host that signs itself, with its key, in one file."""
    made = folder / f"{host}.pem"
    request = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj /CN={host} -addext subjectAltName=DNS:{host}"
    )
    subprocess.run([*request.split(), "-keyout", made, "-out", f"{made}.crt"], check=True, capture_output=True)
    made.write_text(made.read_text() + Path(f"{made}.crt").read_text())
    return made


@contextlib.asynccontextmanager
async def alertmanager(folder: Path, port: int | None = None) -> AsyncIterator[str]:
    """A real prometheus-alertmanager of Debian, and its address. It is killed at the end."""
    if port is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    config = folder / "alertmanager.yml"
    config.write_text("route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n")
    program = shutil.which("prometheus-alertmanager")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"{address}/-/ready") as answer:
                        if answer.ok:
                            break
                await asyncio.sleep(0.05)
        yield address
    finally:
        process.kill()
        await process.wait()
