"""``POST /v1/chatops`` and Slack's slash command: the same questions and commands, signed by whom they come from.

With a token a command may do what the token may; with a signature, what ``alerts.chatops_scope`` says.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from sidecar.alerting import Engine
from sidecar.alerting.chatops import Asker, Chatops
from sidecar.alerting.receivers.webhook import key_of, signature
from sidecar.api import guard, json
from sidecar.api.alerts import decoded, read
from sidecar.api.problem import Problem
from sidecar.clock import Clock
from sidecar.settings import Settings
from sidecar.store import Store

# A signature is good for this long, so that a request that was overheard cannot be played again later.
_FRESH_US = 300_000_000
_BLOCK_CHARACTERS = 2_900


class Line(msgspec.Struct):
    """The body of the generic call."""

    text: str
    user: str | None = None


def routes(store: Store, engine: Engine, settings: Settings, clock: Clock) -> list[web.AbstractRouteDef]:
    """Both calls."""
    chatops = Chatops(store, engine, clock)
    alerts = settings.alerts

    async def generic(request: web.Request) -> web.Response:
        raw = await read(request)
        token = request.get(guard.TOKEN)
        if token is not None:
            may_write, who = token.scope == "write", guard.who(request)
        elif "webhook-signature" in request.headers:
            _check_signature(request, raw, alerts.chatops_secret, clock())
            may_write, who = alerts.chatops_scope == "write", "chat"
        elif not store.has_tokens and guard.is_local(request):
            may_write, who = True, "local"
        else:
            raise Problem(401, "a token or a signature is needed: see alerts.chatops_secret in the settings")
        line = decoded(raw, Line)
        asker = Asker(line.user or who, may_write, guard.app_of(request))
        return json.response({"text": await chatops.answer(line.text, asker)})

    async def slack(request: web.Request) -> web.Response:
        raw = await read(request)
        _check_slack(request, raw, alerts.slack_signing_secret, clock())
        form = {name: values[-1] for name, values in parse_qs(raw.decode(errors="replace")).items()}
        who = form.get("user_name") or form.get("user_id") or "Slack"
        text = await chatops.answer(form.get("text", ""), Asker(f"{who} (Slack)", alerts.chatops_scope == "write"))
        shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:_BLOCK_CHARACTERS]
        block = {"type": "section", "text": {"type": "mrkdwn", "text": shown}}
        return json.response({"response_type": "ephemeral", "text": shown, "blocks": [block]})

    return [web.post("/v1/chatops", generic), web.post("/v1/chatops/slack", slack)]


def _check_signature(request: web.Request, raw: bytes, secret: str | None, now_us: int) -> None:
    """Standard Webhooks: any of the signatures in the header may be the right one."""
    if secret is None:
        raise Problem(403, "signed commands are not taken: alerts.chatops_secret is not set")
    message_id = request.headers.get("webhook-id", "")
    timestamp_s = _fresh(request.headers.get("webhook-timestamp", ""), now_us)
    wanted = signature(key_of(secret), message_id, timestamp_s, raw)
    given = request.headers["webhook-signature"].split()
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in given):
        raise Problem(401, "the signature is not good")


def _check_slack(request: web.Request, raw: bytes, secret: str | None, now_us: int) -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    if secret is None:
        raise Problem(403, "Slack's commands are not taken: alerts.slack_signing_secret is not set")
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    _fresh(timestamp, now_us)
    signed = b"v0:" + timestamp.encode() + b":" + raw
    wanted = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.headers.get("X-Slack-Signature", "").encode(), wanted.encode()):
        raise Problem(401, "the signature is not good")


def _fresh(text: str, now_us: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 12  # noqa: PLR2004 - seconds, up to the year 5138
    if not is_number or abs(now_us - int(text) * 1_000_000) > _FRESH_US:
        raise Problem(401, "the timestamp is missing, or more than five minutes off")
    return int(text)
